//! A SQLite log that is only read: beside a server, without one, and where a server refuses it.

use super::rows::{self, unavailable};
use super::stats;
use super::{APPLICATION_ID, FORMAT, Marks, OpenError};
use crate::event_log::stats::Stats;
use crate::event_log::{LogError, LogId, Position, RecordedEvent, Revision, StreamId};
use crate::seam::Timestamp;
use crate::sqlite_code;
use crate::sqlite_file::ReadOnlyFile;
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

/// How often it is looked whether another process appended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The log. It takes no lock on the data directory, makes no file and changes none.
pub struct SqliteLogReader {
    id: LogId,
    pub(super) file: ReadOnlyFile,
}

impl SqliteLogReader {
    /// Opens the log in a file, which has to be there.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source: sqlx::Error| match sqlite_code::of(&source) {
            Some(sqlite_code::NOT_A_DATABASE) => OpenError::NotALog { path: path.to_owned() },
            _ => OpenError::Sqlite { path: path.to_owned(), source },
        };
        if !path.exists() {
            return Err(OpenError::Absent { path: path.to_owned() });
        }
        let file = ReadOnlyFile::new(path);
        let Marks { application, format, .. } =
            file.read(async |connection| Marks::read(connection).await).await.map_err(failed)?;
        match application {
            APPLICATION_ID if format > FORMAT => Err(OpenError::Newer { path: path.to_owned(), found: format }),
            APPLICATION_ID => {
                let id =
                    file.read(async |connection| sqlx::query_scalar("SELECT id FROM log").fetch_one(connection).await);
                let id: Uuid = id.await.map_err(failed)?;
                Ok(Self { id: LogId(id), file })
            }
            _ => Err(OpenError::NotALog { path: path.to_owned() }),
        }
    }

    /// Which log this is.
    pub fn id(&self) -> LogId {
        self.id
    }

    /// As [`EventLog::read_stream`](crate::event_log::EventLog::read_stream).
    pub async fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        let read = async |connection: &mut _| rows::stream(connection, stream, after, limit).await;
        rows::stream_events(&self.file.read(read).await.map_err(unavailable)?, after)
    }

    /// As [`EventLog::read_all`](crate::event_log::EventLog::read_all).
    pub async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let read = async |connection: &mut _| rows::all(connection, after, limit).await;
        rows::all_events(&self.file.read(read).await.map_err(unavailable)?, after)
    }

    /// The log's last position now.
    pub async fn head(&self) -> Result<Position, LogError> {
        let head: i64 = self.number("SELECT coalesce(max(position), 0) FROM events").await?;
        Ok(Position(head.cast_unsigned()))
    }

    /// The log's last position, within a tenth of a second after another process has put it past `position`.
    pub async fn wait_past(&self, position: Position) -> Result<Position, LogError> {
        loop {
            let head = self.head().await?;
            if head > position {
                return Ok(head);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The position of the first event that was decided at `time` or later, if there is one. Reads the whole log.
    pub async fn first_since(&self, time: Timestamp) -> Result<Option<Position>, LogError> {
        let first = async |connection: &mut _| {
            sqlx::query_scalar("SELECT min(position) FROM events WHERE recorded_at >= ?")
                .bind(time.0)
                .fetch_one(connection)
                .await
        };
        let position: Option<i64> = self.file.read(first).await.map_err(unavailable)?;
        Ok(position.map(|position| Position(position.cast_unsigned())))
    }

    /// What the log holds, counted by SQLite: its records are not verified.
    pub async fn stats(&self) -> Result<Stats, LogError> {
        stats::read(self).await
    }

    /// Checks what a walk along the positions cannot see: events beside it, and indexes.
    pub(in crate::event_log) async fn check_file(&self, head: Position) -> Result<(), LogError> {
        let before: i64 = self.number("SELECT count(*) FROM events WHERE position < 1").await?;
        if before != 0 {
            let lowest: i64 = self.number("SELECT min(position) FROM events").await?;
            let what = format!("expected positions from 1 on, found {lowest}");
            return Err(LogError::Damaged { position: head.0 + 1, stream: "unknown".to_owned(), what });
        }
        let faults = self.file.faults().await.map_err(unavailable)?;
        let Some(fault) = faults.first() else { return Ok(()) };
        let more = match faults.len() {
            1 => String::new(),
            faults => format!(", and {} more", faults - 1),
        };
        let what = format!("expected a sound file, found by SQLite's own check: {fault}{more}");
        Err(LogError::Damaged { position: 0, stream: "unknown".to_owned(), what })
    }

    /// Writes a copy of the log, as of one moment, to `target`, where nothing may be yet.
    pub async fn copy(&self, target: &Path) -> Result<(), LogError> {
        self.file.copy(target).await.map_err(unavailable)
    }

    async fn number(&self, query: &'static str) -> Result<i64, LogError> {
        let read = async |connection: &mut _| sqlx::query_scalar(query).fetch_one(connection).await;
        self.file.read(read).await.map_err(unavailable)
    }
}
