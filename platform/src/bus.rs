//! The bus: events on their way to workers, as facts that a worker can check for completeness.

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod log_tail;
pub mod message;
pub mod partition;

use crate::event_log::{LogId, Position, RecordedEvent};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// A fact about one partition: nothing lies between `after` and `position` but this event, or nothing at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which log it speaks of.
    pub log: LogId,
    /// Which partition it speaks of.
    pub partition: u16,
    /// Where the fact begins (exclusive).
    pub after: Position,
    /// Where it ends (inclusive).
    pub position: Position,
    /// What lies at `position`, if it belongs to the partition.
    pub event: Option<RecordedEvent>,
}

impl Delivery {
    /// Events that follow on each other in the whole log, from after a position on, as its only partition.
    pub fn of_whole_log(log: LogId, mut after: Position, events: Vec<RecordedEvent>) -> Vec<Self> {
        let deliver = |event: RecordedEvent| {
            let after = std::mem::replace(&mut after, event.position);
            Self { log, partition: 0, after, position: event.position, event: Some(event) }
        };
        events.into_iter().map(deliver).collect()
    }

    /// The log between two positions, of which these are all the events, as facts about each of so many partitions: an
    /// event's delivery begins where its partition's last one ended, and what is left up to `to` holds no event. So
    /// every partition gets from `after` to `to`, quiet ones too.
    pub fn of_partitions(
        log: LogId,
        after: Position,
        to: Position,
        events: Vec<RecordedEvent>,
        partitions: u16,
    ) -> Vec<Self> {
        let mut reached = vec![after; usize::from(partitions)];
        let mut deliver = |partition: u16, position: Position, event: Option<RecordedEvent>| {
            let after = std::mem::replace(&mut reached[usize::from(partition)], position);
            (after < position).then_some(Self { log, partition, after, position, event })
        };
        let mut deliveries: Vec<_> = events
            .into_iter()
            .filter_map(|event| {
                let partition = partition::partition(event.stream.as_str(), partitions);
                deliver(partition, event.position, Some(event))
            })
            .collect();
        deliveries.extend((0..partitions).filter_map(|partition| deliver(partition, to, None)));
        deliveries
    }
}

/// What a table has taken of a partition, to be compared with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many events.
    pub events: u64,
    /// The sum of their checksums.
    pub digest: u64,
}

impl Tally {
    /// What all partitions together have taken.
    pub fn of(checkpoints: &[Checkpoint]) -> Self {
        checkpoints.iter().fold(Self::default(), |sum, Checkpoint { tally, .. }| Self {
            events: sum.events + tally.events,
            digest: sum.digest.wrapping_add(tally.digest),
        })
    }

    /// Counts one more.
    pub fn add(&mut self, event: &RecordedEvent) {
        self.events += 1;
        self.digest = self.digest.wrapping_add(event.checksum);
    }
}

/// How far a table has come in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Of which log.
    pub log: LogId,
    /// Which table.
    pub table: String,
    /// Of which partition.
    pub partition: u16,
    /// All up to here is in the table.
    pub position: Position,
    /// What of it was for the table.
    pub tally: Tally,
    /// How often streams that were set aside have been taken up again: whoever folded before that has to fold anew.
    pub amended: u64,
}

/// How a delivery relates to a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It continues where the checkpoint stands: apply it.
    Next,
    /// It tells what is known already: drop it.
    Behind,
    /// Something between is missing: ignore it, the bus delivers again.
    Ahead,
}

impl Checkpoint {
    /// Of a table that has taken nothing yet.
    pub fn start(log: LogId, table: String, partition: u16) -> Self {
        Self { log, table, partition, position: Position(0), tally: Tally::default(), amended: 0 }
    }

    /// Whether `delivery`, of this checkpoint's log and partition, is the next to apply.
    pub fn fit(&self, delivery: &Delivery) -> Fit {
        if delivery.position <= self.position {
            Fit::Behind
        } else if delivery.after <= self.position {
            Fit::Next
        } else {
            Fit::Ahead
        }
    }
}

/// Why the bus delivers nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the bus does not deliver: {0}")]
pub struct BusError(pub String);

/// Where deliveries come from: Kafka, or the log's own tail.
pub trait Bus: Send {
    /// The next deliveries, at least one and at most `limit`, as soon as there are any. Cancel-safe.
    fn next(&mut self, limit: usize) -> BoxFuture<'_, Result<Vec<Delivery>, BusError>>;
}

/// What as many workers as there are may subscribe to.
pub trait Deliveries: Send + Sync {
    /// Deliveries for a worker that has taken all up to a position. What comes first may lie behind it or ahead of it.
    fn subscribe(self: Arc<Self>, after: Position) -> Box<dyn Bus>;
}

#[cfg(test)]
mod tests;
