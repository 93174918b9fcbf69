//! The worker: takes deliveries that fit, folds them, and writes rows and checkpoint in one transaction.

pub mod batch;
#[cfg(test)]
mod tests;

use crate::any_view::AnyView;
use platform::bus::{Bus, BusError, Checkpoint, Delivery, Fit, Tally};
use platform::event_log::{EventLog, LogError, LogId, Position};
use platform::view_store::{self, Change, SetAside, StoreError, ViewStore};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Deliveries taken at once.
const BATCH: usize = 2_000;

/// Events taken at once of a log beside which others are served: whoever else writes waits for no more than these.
const SHARE: usize = 500;

/// How long a partition may get deliveries of which none continues it, before that is reported.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// Why a worker ended without being asked to. Whoever owns it starts another one.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// There are no deliveries.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The rows could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Builds one generation of a view.
pub struct Worker {
    view: &'static dyn AnyView,
    store: Arc<dyn ViewStore>,
    partitions: BTreeMap<u16, Partition>,
    set_aside: SetAside,
}

/// How far a partition has come, and since when there is a gap behind it.
struct Partition {
    checkpoint: Checkpoint,
    gap_since: Option<Instant>,
    reported: bool,
}

impl Worker {
    /// A worker that goes on where the generation stands.
    pub async fn open(view: &'static dyn AnyView, store: Arc<dyn ViewStore>) -> Result<Self, StoreError> {
        let mut worker = Self { view, store, partitions: BTreeMap::new(), set_aside: SetAside::default() };
        worker.look_again().await?;
        Ok(worker)
    }

    /// Takes what comes until it is stopped.
    pub async fn run(mut self, mut bus: Box<dyn Bus>, stop: CancellationToken) -> Result<(), WorkerError> {
        while let Some(deliveries) = stop.run_until_cancelled(bus.next(BATCH)).await {
            self.take(deliveries?).await?;
        }
        Ok(())
    }

    /// Takes the log's next batch, not beyond a position; answers how far it is then.
    pub async fn advance(&mut self, log: &dyn EventLog, to: Position) -> Result<Position, WorkerError> {
        let at = self.position();
        let limit = usize::try_from(to.0.saturating_sub(at.0)).unwrap_or(SHARE).min(SHARE);
        let events = log.read_all(at, limit).await?;
        if events.is_empty() && at < to {
            let what = format!("expected events up to position {}, found none after {}", to.0, at.0);
            return Err(LogError::Unavailable(what).into());
        }
        self.take(Delivery::of_whole_log(log.id(), at, events)).await?;
        Ok(self.position())
    }

    /// How far it has come.
    pub fn position(&self) -> Position {
        let checkpoints: Vec<_> = self.partitions.values().map(|partition| partition.checkpoint.clone()).collect();
        view_store::position(&checkpoints)
    }

    /// Takes deliveries, as far as they continue what there is.
    pub async fn take(&mut self, deliveries: Vec<Delivery>) -> Result<(), StoreError> {
        let view = self.view.name();
        for (number, deliveries) in by_partition(deliveries) {
            let Some(partition) = self.partitions.get_mut(&number) else {
                tracing::error!(view, partition = number, "the view does not know this partition");
                continue;
            };
            let fitting = partition.fitting(&deliveries);
            let ahead = deliveries.iter().any(|delivery| partition.checkpoint.fit(delivery) == Fit::Ahead);
            partition.watch(fitting.is_empty() && ahead, view);
            let (mut from, mut rest) = (partition.checkpoint.clone(), fitting);
            while let Some(last) = rest.last() {
                self.apply(&rest, from.clone(), last.position).await?;
                // If somebody else was first, what is left of these is folded anew: the bus may not deliver them again.
                let Some(now) = self.partitions.get(&number).filter(|now| now.checkpoint != from) else { break };
                (from, rest) = (now.checkpoint.clone(), now.fitting(&deliveries));
            }
        }
        Ok(())
    }

    /// Folds deliveries that continue a partition, and writes what they come to.
    async fn apply(&mut self, fitting: &[&Delivery], from: Checkpoint, to: Position) -> Result<(), StoreError> {
        let view = self.view.name();
        let folded = self.view.fold(fitting, &self.set_aside, self.store.as_ref()).await?;
        let Tally { events, digest } = from.tally;
        let change = Change {
            tally: Tally { events: events + folded.tally.events, digest: digest.wrapping_add(folded.tally.digest) },
            upserts: folded.upserts,
            deletes: folded.deletes,
            parked: folded.parked,
            ..Change::of(from, to)
        };
        if !self.store.write(&change).await? {
            // Another worker has this partition too, and was first, or a stream that was set aside is taken up again.
            tracing::debug!(view, "the checkpoint is not where it was; reading it again");
            return self.look_again().await;
        }
        for parked in &change.parked {
            let (stream, position, reason) = (&parked.stream, parked.position, &parked.reason);
            tracing::error!(view, %stream, position, reason, "the view cannot take this event, and sets the stream aside");
        }
        self.set_aside.change(&change);
        if let Some(partition) = self.partitions.get_mut(&change.from.partition) {
            partition.checkpoint = change.checkpoint();
        }
        if self.store.is_live() {
            metrics::counter!("projection_events_total", "view" => view).increment(fitting.len() as u64);
            metrics::counter!("projection_commits_total", "view" => view).increment(1);
        }
        Ok(())
    }

    /// Reads where the generation stands.
    async fn look_again(&mut self) -> Result<(), StoreError> {
        for checkpoint in self.store.checkpoints().await? {
            let number = checkpoint.partition;
            match self.partitions.get_mut(&number) {
                Some(partition) => partition.checkpoint = checkpoint,
                None => {
                    drop(self.partitions.insert(number, Partition { checkpoint, gap_since: None, reported: false }))
                }
            }
        }
        self.set_aside = self.store.set_aside();
        Ok(())
    }
}

fn by_partition(deliveries: Vec<Delivery>) -> BTreeMap<u16, Vec<Delivery>> {
    let mut by_partition: BTreeMap<u16, Vec<Delivery>> = BTreeMap::new();
    for delivery in deliveries {
        by_partition.entry(delivery.partition).or_default().push(delivery);
    }
    by_partition
}

impl Partition {
    /// The deliveries that continue the checkpoint, each the one before it.
    fn fitting<'a>(&self, deliveries: &'a [Delivery]) -> Vec<&'a Delivery> {
        let mut reached = self.checkpoint.clone();
        let of_this_log = |log: LogId| log == self.checkpoint.log;
        let mut fitting = Vec::new();
        for delivery in deliveries.iter().filter(|delivery| of_this_log(delivery.log)) {
            if reached.fit(delivery) == Fit::Next {
                reached.position = delivery.position;
                fitting.push(delivery);
            }
        }
        fitting
    }

    /// Reports a partition for which something is missing that does not come: what is delivered lies behind a gap.
    fn watch(&mut self, gap: bool, view: &'static str) {
        let partition = self.checkpoint.partition;
        if !gap {
            self.gap_since = None;
        }
        let stalled = gap && self.gap_since.get_or_insert_with(Instant::now).elapsed() >= STALLED_AFTER;
        if stalled && !self.reported {
            let position = self.checkpoint.position.0;
            tracing::error!(view, partition, position, "nothing that is delivered continues the view here");
        }
        if stalled != self.reported {
            self.reported = stalled;
            let labels = [("view", view.to_owned()), ("partition", partition.to_string())];
            metrics::gauge!("projection_stalled", &labels).set(f64::from(u8::from(stalled)));
        }
    }
}
