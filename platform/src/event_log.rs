//! The event log: streams of recorded events in one total order, behind one trait with an engine per backend.

use crate::seam::Timestamp;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

#[cfg(test)]
mod conformance;
pub mod fault;
mod intake;
pub mod memory;
pub mod postgres;
pub mod reader;
pub mod seal;
pub mod sqlite;
pub mod stats;

/// The name of one aggregate's events.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// Names a stream.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many events a stream has; 0 = none. An event's own revision counts the events up to and including it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

/// An event's place in the whole log, from 1 on and without gaps; 0 = before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// Which log a position belongs to: made when the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId(pub Uuid);

/// The identity of a command, the same for every repeat of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommandId(pub Uuid);

/// The identity of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId(pub Uuid);

impl EventId {
    /// The id of the `n`-th event (from 0) of a command: the command's own, with `n` in its last four bytes. So events of
    /// commands whose ids follow the time lie side by side in an index, and a batch touches few of its pages.
    pub fn of(command: CommandId, n: u32) -> Self {
        Self(Uuid::from_u128(command.0.as_u128() ^ u128::from(n)))
    }
}

/// A digest of what a command asked for: the same key with another body is another command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyHash(pub [u8; 32]);

/// What is known of an event besides its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Derived from the command's id, see [`EventId::of`].
    pub id: EventId,
    /// The command that caused it.
    pub command_id: CommandId,
    /// What that command asked for.
    pub body_hash: BodyHash,
    /// Such as `BookRegistered`.
    pub event_type: String,
    /// Which version of the type's schema the data follow.
    pub version: u16,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// W3C trace context of the request that caused it.
    pub traceparent: String,
}

/// An event that is to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// What is known of it.
    pub envelope: Envelope,
    /// Its data, in the schema that the envelope names.
    pub data: Bytes,
}

/// An event in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Whose event it is.
    pub stream: StreamId,
    /// Its place in the stream, from 1 on.
    pub revision: Revision,
    /// Its place in the log.
    pub position: Position,
    /// What is known of it.
    pub envelope: Envelope,
    /// Its data.
    pub data: Bytes,
    /// The checksum of the event before it in the stream; 0 for the first.
    pub previous_checksum: u64,
    /// CRC-64/NVME over all of the above.
    pub checksum: u64,
}

/// One stream's share of a batch: written whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Which stream.
    pub stream: StreamId,
    /// The revision that the decisions rest on.
    pub expected: Revision,
    /// In the order they were taken.
    pub decisions: Vec<Decision>,
}

/// What one command came to: its events; none for a refusal or a command that changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which command.
    pub command_id: CommandId,
    /// What follows from it.
    pub events: Vec<NewEvent>,
}

/// What the log says to one append of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The stream was at the expected revision and all the events are durable.
    Appended {
        /// The stream's revision now.
        revision: Revision,
        /// The log's last position once this append is in it: what the decisions rested on is not later.
        position: Position,
    },
    /// The stream is at another revision: reload and decide again.
    Conflict,
    /// One of the commands is in the log already: answer it from there, decide the rest again.
    Repeated {
        /// The first event of the first such command.
        first: RecordedEvent,
    },
}

/// Why the log did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The outcome of an append is not known, and this process can no longer trust the log: it must stop.
    #[error("the event log failed to commit and takes no more appends: {0}")]
    Fatal(String),
    /// Another node is the log's writer now: nothing of the batch is in the log.
    #[error("another node is the log's writer now")]
    Deposed,
    /// The backend did not answer as it should; a later try may succeed.
    #[error("the event log is not available: {0}")]
    Unavailable(String),
    /// An import is refused: nothing of it is in the log.
    #[error("nothing was imported: {0}")]
    Refused(String),
    /// A record is not what was written.
    #[error("the event log is damaged at position {position}, stream {stream}: {what}")]
    Damaged {
        /// The first bad place.
        position: u64,
        /// The stream of the bad record, as far as it can be read.
        stream: String,
        /// What was expected and what was found.
        what: String,
    },
}

/// An append-only log of streams. Every engine passes the same conformance suite.
///
/// Order of commit is order of position, without gaps: a reader that has seen position p has seen all before it.
pub trait EventLog: Send + Sync {
    /// Which log this is.
    fn id(&self) -> LogId;

    /// Appends a batch (at most one append per stream) in one commit; the verdicts are in the batch's order.
    /// A conflict or repeat fails its own append only. When this answers `Ok`, what it says is durable.
    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Vec<Verdict>, LogError>>;

    /// The stream's events after a revision, oldest first, at most `limit` of them. Checksums are verified.
    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>>;

    /// The log's events after a position, oldest first, at most `limit` of them. Checksums and contiguity are verified.
    fn read_all(&self, after: Position, limit: usize) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>>;

    /// The log's last position, as soon as it is past `position`.
    fn wait_past(&self, position: Position) -> BoxFuture<'_, Result<Position, LogError>>;

    /// Takes the events of another log, positions, times and checksums as they are: all that `pages` bring, which has to
    /// end with position `last`, or nothing. Only an empty log takes them, and it is closed to appends meanwhile. When
    /// this answers `Ok`, they are durable; [`LogError::Refused`] and [`LogError::Damaged`] leave the log empty.
    fn import(&self, last: Position, pages: mpsc::Receiver<Vec<RecordedEvent>>) -> BoxFuture<'_, Result<(), LogError>>;

    /// The log's last position now.
    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>>;

    /// Puts in order what the log is kept in, once all is done: nothing can be read or appended afterwards.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// The log's last position out of an engine's announcements of it, as soon as it is past `position`.
async fn wait_past(mut announced: watch::Receiver<Position>, position: Position) -> Result<Position, LogError> {
    let reached = announced.wait_for(|head| *head > position).await;
    reached.map(|head| *head).map_err(|_| LogError::Unavailable("the log was closed".to_owned()))
}
