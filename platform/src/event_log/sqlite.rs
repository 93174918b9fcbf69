//! An event log in a SQLite file: one writer, whose commits are on the disk before they are answered.

use super::intake::Intake;
use super::{Append, EventLog, LogError, LogId, Position, RecordedEvent, Revision, StreamId, Verdict};
use crate::seam::Seam;
use crate::sqlite_code;
use futures_util::future::{BoxFuture, FutureExt};
use rows::unavailable;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::timeout;
use uuid::Uuid;
use writer::Writer;

mod import;
pub mod reader;
mod rows;
mod stats;
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
    /// There is none.
    #[error("there is no event log at {}: name the data directory with --data-dir", path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
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
    #[error("{} cannot be opened: {}", path.display(), sqlite_code::told(source))]
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
    /// None once the log is closed.
    writer: Arc<Mutex<Option<Writer>>>,
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
        let Marks { application, format, tables } = Marks::read(&mut connection).await.map_err(failed)?;
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
            writer: Arc::new(Mutex::new(Some(Writer::new(connection, Position(head.cast_unsigned()))))),
            readers,
            head: watch::Sender::new(Position(head.cast_unsigned())),
        })
    }

    async fn stream(&self, stream: StreamId, after: Revision, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let rows = rows::stream(&self.readers, &stream, after, limit).await.map_err(unavailable)?;
        rows::stream_events(&rows, after)
    }

    async fn all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let rows = rows::all(&self.readers, after, limit).await.map_err(unavailable)?;
        rows::all_events(&rows, after)
    }
}

/// Gives the log in a file another id, for a copy whose positions will stand for other events than those of its original.
/// Nobody else may have the file open.
pub async fn rename(path: &Path, id: LogId) -> Result<(), OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let options = SqliteConnectOptions::new().filename(path).synchronous(SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
    sqlx::query("UPDATE log SET id = ?").bind(id.0).execute(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)
}

fn closed() -> LogError {
    LogError::Unavailable("it is closed".to_owned())
}

/// What tells whether a file is a log.
struct Marks {
    application: i32,
    format: i32,
    tables: i64,
}

impl Marks {
    async fn read(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        const READ: &str = "SELECT (SELECT application_id FROM pragma_application_id),
            (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)";
        let (application, format, tables) = sqlx::query_as(READ).fetch_one(connection).await?;
        Ok(Self { application, format, tables })
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

impl EventLog for SqliteLog {
    fn id(&self) -> LogId {
        self.id
    }

    /// Once begun, a batch is carried through, also if nobody waits for it any more.
    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Vec<Verdict>, LogError>> {
        let (writer, announced) = (Arc::clone(&self.writer), self.head.clone());
        let carried_through = async move {
            let mut writer = writer.lock().await;
            let (verdicts, head) = writer.as_mut().ok_or_else(closed)?.append(batch).await?;
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

    /// Once begun, it is carried through, also if nobody waits for it any more.
    fn import(&self, last: Position, pages: mpsc::Receiver<Vec<RecordedEvent>>) -> BoxFuture<'_, Result<(), LogError>> {
        let (writer, announced) = (Arc::clone(&self.writer), self.head.clone());
        let carried_through = async move {
            let mut writer = writer.lock().await;
            writer.as_mut().ok_or_else(closed)?.import(Intake::new(last, pages)).await?;
            announced.send_replace(last);
            Ok(())
        };
        async move {
            let panicked = |error: tokio::task::JoinError| Err(LogError::Fatal(error.to_string()));
            tokio::spawn(carried_through).await.unwrap_or_else(panicked)
        }
        .boxed()
    }

    fn wait_past(&self, position: Position) -> BoxFuture<'_, Result<Position, LogError>> {
        super::wait_past(self.head.subscribe(), position).boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        std::future::ready(Ok(*self.head.borrow())).boxed()
    }

    /// SQLite moves the write-ahead log into the file and removes it when the last connection is closed, unless that one
    /// only reads: so the writer's is. A process that just ends closes none.
    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            if timeout(PATIENCE, self.readers.close()).await.is_err() {
                tracing::warn!("the event log is still read: its write-ahead log stays beside it");
            }
            let Some(writer) = self.writer.lock().await.take() else { return };
            if let Err(error) = writer.connection.close().await {
                tracing::warn!(%error, "the event log could not be closed: its write-ahead log stays beside it");
            }
        }
        .boxed()
    }
}
