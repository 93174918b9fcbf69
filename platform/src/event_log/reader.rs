//! A log that is only looked at, on whatever engine: beside those who write it, and where they refuse it.

use super::postgres::PostgresLog;
use super::seal::Chain;
use super::sqlite::reader::SqliteLogReader;
use super::stats::Stats;
use super::{EventLog, LogError, LogId, Position, RecordedEvent, Revision, StreamId};
use crate::seam::Timestamp;

/// Events that are read at once where the whole log is.
const PAGE: usize = 1_000;

/// The log.
pub enum LogReader {
    /// In a file.
    Sqlite(SqliteLogReader),
    /// In a database.
    Postgres(PostgresLog),
}

/// A log that is as it was written, up to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Where it was verified up to: the number of its events.
    pub position: Position,
    /// How many streams they are of.
    pub streams: u64,
}

impl LogReader {
    /// Which log this is.
    pub fn id(&self) -> LogId {
        match self {
            Self::Sqlite(log) => log.id(),
            Self::Postgres(log) => log.id(),
        }
    }

    /// As [`EventLog::read_stream`].
    pub async fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        match self {
            Self::Sqlite(log) => log.read_stream(stream, after, limit).await,
            Self::Postgres(log) => log.read_stream(stream, after, limit).await,
        }
    }

    /// As [`EventLog::read_all`].
    pub async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        match self {
            Self::Sqlite(log) => log.read_all(after, limit).await,
            Self::Postgres(log) => log.read_all(after, limit).await,
        }
    }

    /// As [`LogReader::read_all`], but of a damaged page it gives what comes before the damage; it fails where that is
    /// nothing, and then names the damage's position.
    pub async fn read_sound(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let mut limit = limit;
        loop {
            match self.read_all(after, limit).await {
                // What cannot be read is searched for one by one, so that it has a position.
                Err(LogError::Damaged { position: 0, .. }) if limit > 1 => limit = 1,
                Err(LogError::Damaged { position: 0, stream, what }) => {
                    return Err(LogError::Damaged { position: after.0 + 1, stream, what });
                }
                Err(LogError::Damaged { position, .. })
                    if position > after.0 + 1 && position - after.0 <= limit as u64 =>
                {
                    limit = usize::try_from(position - after.0 - 1).unwrap_or(1);
                }
                done => return done,
            }
        }
    }

    /// The log's last position now.
    pub async fn head(&self) -> Result<Position, LogError> {
        match self {
            Self::Sqlite(log) => log.head().await,
            Self::Postgres(log) => log.head().await,
        }
    }

    /// The log's last position, soon after another process has put it past `position`.
    pub async fn wait_past(&self, position: Position) -> Result<Position, LogError> {
        match self {
            Self::Sqlite(log) => log.wait_past(position).await,
            Self::Postgres(log) => log.wait_past(position).await,
        }
    }

    /// The position of the first event that was decided at `time` or later, if there is one. Reads the whole log.
    pub async fn first_since(&self, time: Timestamp) -> Result<Option<Position>, LogError> {
        match self {
            Self::Sqlite(log) => log.first_since(time).await,
            Self::Postgres(log) => log.first_since(time).await,
        }
    }

    /// What the log holds, counted by its engine: its records are not verified.
    pub async fn stats(&self) -> Result<Stats, LogError> {
        match self {
            Self::Sqlite(log) => log.stats().await,
            Self::Postgres(log) => log.stats().await,
        }
    }

    /// Reads the whole log as it is now and checks all of it: positions from 1 on without a gap, each record's checksum,
    /// each stream's revisions and chain from its first event on, and, in a file, SQLite's own view of its pages and
    /// indexes, without which a stream could lack an event. `progress` is told how far it has come. Fails on the first bad
    /// place.
    pub async fn verify(&self, progress: impl Fn(Position)) -> Result<Verified, LogError> {
        let verified = self
            .walk(|event| {
                progress(event.position);
                Ok::<_, LogError>(())
            })
            .await?;
        if let Self::Sqlite(log) = self {
            log.check_file(verified.position).await?;
        }
        Ok(verified)
    }

    /// Hands over every event of the log as it is now, one after the other, each checked to follow on those before it. Fails
    /// on the first that does not, after those before it.
    pub async fn walk<E: From<LogError>>(
        &self,
        mut take: impl FnMut(&RecordedEvent) -> Result<(), E>,
    ) -> Result<Verified, E> {
        let (head, mut chain) = (self.head().await?, Chain::default());
        while chain.position() < head {
            let after = chain.position();
            let left = usize::try_from(head.0 - after.0).unwrap_or(PAGE);
            let events = self.read_sound(after, left.min(PAGE)).await?;
            if events.is_empty() {
                return Err(ends_before(after, head).into());
            }
            for event in &events {
                chain.follow(event)?;
                take(event)?;
            }
        }
        Ok(Verified { position: head, streams: chain.streams() as u64 })
    }
}

fn ends_before(found: Position, expected: Position) -> LogError {
    LogError::Damaged {
        position: found.0 + 1,
        stream: "unknown".to_owned(),
        what: format!("expected events up to position {}, found them up to {}", expected.0, found.0),
    }
}
