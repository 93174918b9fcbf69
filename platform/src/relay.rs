//! The relay: sends the log to Kafka, batch by batch, as facts that workers check for completeness.
//!
//! A batch says of each partition what lies in it from where the last batch ended up to where this one ends, and how far
//! the log is sent is stored after the cluster has all of it. So whatever ends a relay, the next one can only repeat;
//! two at once do no harm either, and the lease merely spares work.

mod progress;
#[cfg(test)]
mod tests;

pub use self::progress::RelayProgress;

use crate::bus::Delivery;
use crate::bus::kafka::Settings;
use crate::bus::kafka::producer::Producer;
use crate::bus::kafka::topic::{self, TopicError};
use crate::event_log::{EventLog, LogError, Position, RecordedEvent};
use rdkafka::error::KafkaError;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// Events in a batch, and bytes of their data unless one alone has more.
const EVENTS: usize = 1_000;
const BYTES: usize = 8 << 20;

/// How long what comes after a batch is gathered for the next one, unless it is full: every batch is a message for each
/// partition, and a transaction for each view.
const GATHER: Duration = Duration::from_millis(20);

/// How long it is until there is a new producer after one failed: at first, and at most.
const AGAIN_FIRST: Duration = Duration::from_millis(250);
const AGAIN_MOST: Duration = Duration::from_secs(10);

/// Why a producer came to its end.
#[derive(Debug, Error)]
enum RelayError {
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error("the cluster did not take a batch: {0}")]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("how far the log is sent cannot be read or stored: {0}")]
    Progress(#[from] sqlx::Error),
    #[error("the log ends at position {head}, but was sent up to {sent}: was an older copy of it put in its place?")]
    Shorter { head: u64, sent: u64 },
}

/// Sends the log until it is stopped, from where it was left.
pub async fn run(log: Arc<dyn EventLog>, settings: Settings, progress: Arc<RelayProgress>, stop: CancellationToken) {
    let mut relay = Relay { log, settings, progress, again: AGAIN_FIRST };
    let active = metrics::gauge!("relay_active");
    active.set(1);
    while let Err(error) = relay.attempt(&stop).await {
        metrics::counter!("relay_failures_total").increment(1);
        tracing::warn!(%error, again_ms = relay.again.as_millis(), "the relay failed; it goes on from what is stored");
        if stop.run_until_cancelled(sleep(relay.again)).await.is_none() {
            break;
        }
        relay.again = (relay.again * 2).min(AGAIN_MOST);
    }
    active.set(0);
}

struct Relay {
    log: Arc<dyn EventLog>,
    settings: Settings,
    progress: Arc<RelayProgress>,
    again: Duration,
}

impl Relay {
    /// Sends batches with one producer, until it is stopped or anything fails.
    async fn attempt(&mut self, stop: &CancellationToken) -> Result<(), RelayError> {
        // A producer that finds no topic would have the cluster make one, with another number of partitions.
        let Some(there) = stop.run_until_cancelled(topic::ensure(&self.settings)).await else { return Ok(()) };
        there?;
        let producer = Producer::open(&self.settings)?;
        let sent = stop.run_until_cancelled(self.send_all(&producer)).await;
        producer.close().await;
        sent.unwrap_or(Ok(()))
    }

    async fn send_all(&mut self, producer: &Producer) -> Result<(), RelayError> {
        let mut sent = self.progress.position().await?;
        let head = self.log.head().await?;
        if head < sent {
            return Err(RelayError::Shorter { head: head.0, sent: sent.0 });
        }
        let mut gathered_at = Instant::now();
        loop {
            tell(sent, self.log.head().await?);
            self.log.wait_past(sent).await?;
            sleep_until(gathered_at).await;
            let events = up_to_bytes(self.log.read_all(sent, EVENTS).await?);
            let Some(to) = events.last().map(|event| event.position) else { continue };
            let is_full = events.len() >= EVENTS;
            let batch = Delivery::of_partitions(self.log.id(), sent, to, events, self.settings.partitions);
            producer.send(&batch).await?;
            self.progress.store(to).await?;
            gathered_at = Instant::now() + if is_full { Duration::ZERO } else { GATHER };
            sent = to;
            self.again = AGAIN_FIRST;
            metrics::counter!("relay_batches_total").increment(1);
        }
    }
}

fn tell(sent: Position, head: Position) {
    metrics::gauge!("relay_position").set(sent.0 as f64);
    metrics::gauge!("relay_lag_events").set(head.0.saturating_sub(sent.0) as f64);
}

/// The first of these events, as many as a batch may hold.
fn up_to_bytes(mut events: Vec<RecordedEvent>) -> Vec<RecordedEvent> {
    let mut bytes = 0;
    let mut fits = |event: &RecordedEvent| {
        bytes += event.data.len();
        bytes <= BYTES
    };
    let count = events.iter().take_while(|event| fits(event)).count();
    events.truncate(count.max(1));
    events
}
