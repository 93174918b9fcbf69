//! An event log in a SQLite file: one writer, whose commits are on the disk before they are answered.

use super::seal::{self, Head};
use super::{
    Append, BodyHash, CommandId, Envelope, EventId, EventLog, LogError, LogId, Position, RecordedEvent, Revision,
    StreamId, Verdict,
};
use crate::seam::{Seam, Timestamp};
use crate::sqlite_code;
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{Mutex, watch};
use uuid::Uuid;
use writer::Writer;

#[cfg(test)]
mod tests;
mod writer;

/// Marks the file as ours (`PRAGMA application_id`): "CLog".
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"CLog");

/// The version of the file's format (`PRAGMA user_version`).
const FORMAT: i32 = 1;

/// Connections that read; as many as there are readers that matter (dispatcher, projections, tools).
const READERS: u32 = 4;

/// How long a statement waits for a lock of another process.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pages that the write-ahead log grows to before they are moved into the database, which the writer waits for.
const CHECKPOINT_PAGES: &str = "4096";

/// Kibibytes of pages that the writer keeps in memory, negative as SQLite wants it: what a batch changes has to fit.
const CACHE_KIB: &str = "-16384";

const CREATE: [&str; 3] = [
    "CREATE TABLE log (id BLOB NOT NULL) STRICT",
    "CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        revision INTEGER NOT NULL,
        id BLOB NOT NULL UNIQUE,
        command_id BLOB NOT NULL,
        body_hash BLOB NOT NULL,
        event_type TEXT NOT NULL,
        version INTEGER NOT NULL,
        recorded_at INTEGER NOT NULL,
        traceparent TEXT NOT NULL,
        data BLOB NOT NULL,
        previous_checksum INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        UNIQUE (stream, revision)
    ) STRICT",
    "INSERT INTO log (id) VALUES (?)",
];

/// Why a file could not be opened as an event log.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It is something else.
    #[error("{} is not an event log of Colophon", path.display())]
    NotALog {
        /// Which file.
        path: PathBuf,
    },
    /// A later version of this program wrote it.
    #[error("{} has format {found}, this program knows up to {FORMAT}: run the version that wrote it, or a later one", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: i32,
    },
    /// SQLite could not.
    #[error("{} cannot be opened: {source}", path.display())]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
}

/// The log.
pub struct SqliteLog {
    id: LogId,
    writer: Arc<Mutex<Writer>>,
    readers: SqlitePool,
    head: watch::Sender<Position>,
}

impl SqliteLog {
    /// Opens the log in a file, or makes a new one there.
    pub async fn open(path: &Path, seam: &Seam) -> Result<Self, OpenError> {
        let failed = |source: sqlx::Error| match sqlite_code::of(&source) {
            Some(sqlite_code::NOT_A_DATABASE) => OpenError::NotALog { path: path.to_owned() },
            _ => OpenError::Sqlite { path: path.to_owned(), source },
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("cache_size", CACHE_KIB);
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
        let (application, tables): (i32, i64) = sqlx::query_as(
            "SELECT (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)",
        )
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
        let format: i32 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await.map_err(failed)?;
        match application {
            APPLICATION_ID if format > FORMAT => {
                return Err(OpenError::Newer { path: path.to_owned(), found: format });
            }
            APPLICATION_ID => {}
            0 if tables == 0 => create(&mut connection, path, seam).await.map_err(failed)?,
            _ => return Err(OpenError::NotALog { path: path.to_owned() }),
        }
        sqlx::query("PRAGMA journal_mode = WAL").execute(&mut connection).await.map_err(failed)?;
        let (id, head): (Uuid, i64) =
            sqlx::query_as("SELECT id, (SELECT coalesce(max(position), 0) FROM events) FROM log")
                .fetch_one(&mut connection)
                .await
                .map_err(failed)?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).idle_timeout(None).max_lifetime(None);
        let readers = readers.connect_with(options.read_only(true).create_if_missing(false)).await.map_err(failed)?;
        Ok(Self {
            id: LogId(id),
            writer: Arc::new(Mutex::new(Writer::new(connection, Position(head.cast_unsigned())))),
            readers,
            head: watch::Sender::new(Position(head.cast_unsigned())),
        })
    }

    async fn stream(&self, stream: StreamId, after: Revision, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        // The event at `after` comes along, since the next one's checksum has to continue it.
        let limit = limit.saturating_add(usize::from(after.0 > 0));
        let rows =
            sqlx::query("SELECT NULL, * FROM events WHERE stream = ? AND revision >= ? ORDER BY revision LIMIT ?")
                .bind(stream.as_str())
                .bind(after.0.cast_signed())
                .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                .fetch_all(&self.readers)
                .await
                .map_err(unavailable)?;
        let mut events = rows.iter().map(event).collect::<Result<Vec<_>, _>>()?;
        let mut before = Head { revision: after, checksum: 0 };
        if after.0 > 0 && events.first().is_some_and(|event| event.revision == after) {
            let anchor = events.remove(0);
            seal::verify(&anchor)?;
            before = Head::of(&anchor);
        }
        seal::verify_stream(before, &events)?;
        Ok(events)
    }

    async fn all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let rows = sqlx::query("SELECT NULL, * FROM events WHERE position > ? ORDER BY position LIMIT ?")
            .bind(i64::try_from(after.0).unwrap_or(i64::MAX))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.readers)
            .await
            .map_err(unavailable)?;
        let events = rows.iter().map(event).collect::<Result<Vec<_>, _>>()?;
        seal::verify_all(after, &events)?;
        Ok(events)
    }
}

async fn create(connection: &mut SqliteConnection, path: &Path, seam: &Seam) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let [log, events, id] = CREATE;
    sqlx::query(log).execute(&mut *transaction).await?;
    sqlx::query(events).execute(&mut *transaction).await?;
    sqlx::query(id).bind(seam.uuid()).execute(&mut *transaction).await?;
    sqlx::query(AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}"))).execute(&mut *transaction).await?;
    sqlx::query(AssertSqlSafe(format!("PRAGMA user_version = {FORMAT}"))).execute(&mut *transaction).await?;
    transaction.commit().await?;
    // The file's name, too, has to survive a power cut.
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(sqlx::Error::Io)
}

/// Reads a row of `events` behind one other column.
fn event(row: &SqliteRow) -> Result<RecordedEvent, LogError> {
    let read = || -> Result<RecordedEvent, sqlx::Error> {
        let body_hash = <[u8; 32]>::try_from(row.try_get::<&[u8], _>(6)?);
        Ok(RecordedEvent {
            position: Position(row.try_get::<i64, _>(1)?.cast_unsigned()),
            stream: StreamId::new(row.try_get(2)?),
            revision: Revision(row.try_get::<i64, _>(3)?.cast_unsigned()),
            envelope: Envelope {
                id: EventId(row.try_get(4)?),
                command_id: CommandId(row.try_get(5)?),
                body_hash: BodyHash(body_hash.map_err(|error| sqlx::Error::Decode(error.into()))?),
                event_type: row.try_get(7)?,
                version: row.try_get(8)?,
                recorded_at: Timestamp(row.try_get(9)?),
                traceparent: row.try_get(10)?,
            },
            data: Bytes::from(row.try_get::<Vec<u8>, _>(11)?),
            previous_checksum: row.try_get::<i64, _>(12)?.cast_unsigned(),
            checksum: row.try_get::<i64, _>(13)?.cast_unsigned(),
        })
    };
    read().map_err(|error| LogError::Damaged {
        position: row.try_get::<i64, _>(1).unwrap_or_default().cast_unsigned(),
        stream: row.try_get(2).unwrap_or_else(|_| "unknown".to_owned()),
        what: format!("expected an event, found: {error}"),
    })
}

fn unavailable(error: sqlx::Error) -> LogError {
    if sqlite_code::is_damaged(&error) {
        let what = format!("the file itself cannot be read: {error}");
        return LogError::Damaged { position: 0, stream: "unknown".to_owned(), what };
    }
    LogError::Unavailable(error.to_string())
}

impl EventLog for SqliteLog {
    fn id(&self) -> LogId {
        self.id
    }

    /// Once begun, a batch is carried through, also if nobody waits for it any more.
    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Vec<Verdict>, LogError>> {
        let (writer, announced) = (Arc::clone(&self.writer), self.head.clone());
        let carried_through = async move {
            let mut writer = writer.lock().await;
            let (verdicts, head) = writer.append(batch).await?;
            announced.send_replace(head);
            Ok(verdicts)
        };
        async move {
            let panicked = |error: tokio::task::JoinError| Err(LogError::Fatal(error.to_string()));
            tokio::spawn(carried_through).await.unwrap_or_else(panicked)
        }
        .boxed()
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        self.stream(stream.clone(), after, limit).boxed()
    }

    fn read_all(&self, after: Position, limit: usize) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        self.all(after, limit).boxed()
    }

    fn wait_past(&self, position: Position) -> BoxFuture<'_, Result<Position, LogError>> {
        super::wait_past(self.head.subscribe(), position).boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        std::future::ready(Ok(*self.head.borrow())).boxed()
    }
}
