//! The bus: events on their way to workers, as facts that a worker can check for completeness.

pub mod log_tail;

use crate::event_log::{LogId, Position, RecordedEvent};
use futures_util::future::BoxFuture;

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
