//! An event log in a SQLite file: one writer, whose commits are on the disk before they are answered.

use super::seal::{self, Head, Heads, seal};
use super::{
    Append, BodyHash, CommandId, Decision, Envelope, EventId, EventLog, LogError, LogId, Position, RecordedEvent,
    Revision, StreamId, Verdict,
};
use crate::seam::{Seam, Timestamp};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use lru::LruCache;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use uuid::Uuid;

#[cfg(test)]
mod tests;

/// Marks the file as ours (`PRAGMA application_id`): "CLog".
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"CLog");

/// The version of the file's format (`PRAGMA user_version`).
const FORMAT: i32 = 1;

/// Connections that read; as many as there are readers that matter (dispatcher, projections, tools).
const READERS: u32 = 4;

/// How long a statement waits for a lock of another process.
const PATIENCE: Duration = Duration::from_secs(5);

/// Streams whose ends the writer remembers.
const REMEMBERED_HEADS: NonZeroUsize = NonZeroUsize::new(65_536).expect("it is not zero");

/// How often a batch is judged anew because the log was not as remembered.
const ATTEMPTS: usize = 10;

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

/// The log's last event, the last one of each stream, and the first one of each command that is there, in one statement.
const HEADS: &str = "
    SELECT 'log', events.* FROM events WHERE position = (SELECT max(position) FROM events)
    UNION ALL
    SELECT 'stream', events.* FROM json_each(?1) AS asked CROSS JOIN events ON position = (
        SELECT position FROM events AS own WHERE own.stream = asked.value ORDER BY own.revision DESC LIMIT 1)
    UNION ALL
    SELECT 'command', events.* FROM json_each(?2) AS asked CROSS JOIN events ON events.id = unhex(asked.value)";

/// How many rows an INSERT has room for; few sizes keep the statements prepared.
const INSERT_SIZES: [usize; 5] = [1, 4, 16, 64, 256];

/// What writes a batch by itself. On a conflict the statement's own transaction is rolled back, so that SQLite need not
/// keep a journal of the statement beside that of the transaction.
static INSERTS: LazyLock<[Arc<str>; 5]> = LazyLock::new(|| INSERT_SIZES.map(|rows| insert_statement("ROLLBACK", rows)));

/// What writes a part of a batch, within a transaction that is ended by others.
static PARTIAL_INSERTS: LazyLock<[Arc<str>; 5]> =
    LazyLock::new(|| INSERT_SIZES.map(|rows| insert_statement("ABORT", rows)));

/// Writes as many rows as are bound; the others are all NULL.
fn insert_statement(on_conflict: &str, rows: usize) -> Arc<str> {
    let values = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
    format!("INSERT OR {on_conflict} INTO events SELECT * FROM (VALUES {values}) WHERE column1 IS NOT NULL").into()
}

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
        let failed = |source: sqlx::Error| match code(&source) {
            Some(NOT_A_DATABASE) => OpenError::NotALog { path: path.to_owned() },
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
            before.checksum = anchor.checksum;
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

/// The one writer of this process. It remembers where the log and its streams end, which holds as long as nobody else
/// writes; whoever does takes a position that the next batch wants, and so is noticed.
struct Writer {
    connection: SqliteConnection,
    position: Position,
    heads: LruCache<StreamId, Head>,
    /// Why it takes no more appends.
    failed: Option<String>,
}

/// What became of writing a batch.
enum Written {
    Committed,
    /// Nothing was written: a position, revision or event id was there already.
    Taken,
}

impl Writer {
    fn new(connection: SqliteConnection, position: Position) -> Self {
        let heads = LruCache::new(REMEMBERED_HEADS);
        Self { connection, position, heads, failed: None }
    }

    async fn append(&mut self, batch: Vec<Append>) -> Result<(Vec<Verdict>, Position), LogError> {
        if let Some(reason) = &self.failed {
            return Err(LogError::Fatal(reason.clone()));
        }
        let mut heads = self.remembered(&batch).await?;
        for _ in 0..ATTEMPTS {
            let (verdicts, events) = seal(&heads, batch.clone());
            let written = if events.is_empty() { self.confirm().await? } else { self.write(&events).await? };
            if matches!(written, Written::Committed) {
                self.remember(&events);
                return Ok((verdicts, self.position));
            }
            // A repeat of a command, or somebody else's event: from here on only what is in the file counts.
            self.heads.clear();
            let streams = batch.iter().map(|append| &append.stream);
            heads = look_up(&mut self.connection, streams, batch.iter().flat_map(|append| &append.decisions)).await?;
            self.position = heads.position;
        }
        Err(LogError::Unavailable("somebody else keeps writing to the event log".to_owned()))
    }

    /// What a batch touches, from memory as far as it is there. Commands with events are left out: if one of them is in
    /// the log, its first event's id is taken.
    async fn remembered(&mut self, batch: &[Append]) -> Result<Heads, LogError> {
        let unknown: Vec<_> =
            batch.iter().map(|append| &append.stream).filter(|stream| !self.heads.contains(stream)).collect();
        let eventless: Vec<_> =
            batch.iter().flat_map(|append| &append.decisions).filter(|decision| decision.events.is_empty()).collect();
        let mut heads = Heads::default();
        if !unknown.is_empty() || !eventless.is_empty() {
            heads = look_up(&mut self.connection, unknown.iter().copied(), eventless).await?;
            for stream in unknown {
                self.heads.put(stream.clone(), heads.streams.get(stream).copied().unwrap_or_default());
            }
        }
        heads.position = self.position;
        let head = |append: &Append| Some((append.stream.clone(), *self.heads.get(&append.stream)?));
        heads.streams = batch.iter().filter_map(head).collect();
        Ok(heads)
    }

    fn remember(&mut self, events: &[RecordedEvent]) {
        for event in events {
            let head = Head { revision: event.revision, checksum: event.checksum };
            self.heads.put(event.stream.clone(), head);
            self.position = event.position;
        }
    }

    /// Whether the log still ends where this writer remembers, which is what verdicts without events rest on.
    async fn confirm(&mut self) -> Result<Written, LogError> {
        let end: i64 = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM events")
            .fetch_one(&mut self.connection)
            .await
            .map_err(unavailable)?;
        Ok(if end.cast_unsigned() == self.position.0 { Written::Committed } else { Written::Taken })
    }

    async fn write(&mut self, events: &[RecordedEvent]) -> Result<Written, LogError> {
        let started = Instant::now();
        let written = insert(&mut self.connection, events).await;
        match written {
            Ok(()) => {}
            Err(error) if error.as_database_error().is_some_and(|error| error.is_unique_violation()) => {
                return Ok(Written::Taken);
            }
            Err(error) if matches!(code(&error), Some(BUSY | LOCKED)) => return Err(unavailable(error)),
            Err(error) => {
                // After a failed fsync nobody knows what is on the disk, a second try least of all (Rebello et al., "Can
                // applications recover from fsync failures?", 2020): only a restart, which reads the file again, tells.
                self.failed = Some(error.to_string());
                return Err(LogError::Fatal(error.to_string()));
            }
        }
        metrics::histogram!("log_commit_milliseconds").record(started.elapsed().as_secs_f64() * 1e3);
        metrics::counter!("log_commits_total").increment(1);
        metrics::counter!("log_events_total").increment(events.len() as u64);
        Ok(Written::Committed)
    }
}

/// Reads where the log and streams end, and which commands are in it, all of one moment.
async fn look_up<'a>(
    connection: &mut SqliteConnection,
    streams: impl IntoIterator<Item = &'a StreamId>,
    decisions: impl IntoIterator<Item = &'a Decision>,
) -> Result<Heads, LogError> {
    let streams: Vec<_> = streams.into_iter().map(StreamId::as_str).collect();
    let first_id = |decision: &Decision| EventId::of(decision.command_id, 0).0.simple().to_string();
    let first_ids: Vec<_> = decisions.into_iter().map(first_id).collect();
    let rows = sqlx::query(HEADS)
        .bind(serde_json::to_string(&streams).expect("strings can be written as JSON"))
        .bind(serde_json::to_string(&first_ids).expect("strings can be written as JSON"))
        .fetch_all(connection)
        .await
        .map_err(unavailable)?;
    let mut heads = Heads::default();
    for row in &rows {
        let event = event(row)?;
        seal::verify(&event)?;
        match row.try_get(0).map_err(unavailable)? {
            "log" => heads.position = event.position,
            "stream" => {
                let head = Head { revision: event.revision, checksum: event.checksum };
                heads.streams.insert(event.stream, head);
            }
            _ => {
                heads.recorded.insert(event.envelope.id, event);
            }
        }
    }
    Ok(heads)
}

/// Writes and commits: one statement is its own transaction, several get one around them.
async fn insert(connection: &mut SqliteConnection, events: &[RecordedEvent]) -> Result<(), sqlx::Error> {
    let [.., most] = INSERT_SIZES;
    if events.len() <= most {
        return insert_rows(connection, &INSERTS, events).await;
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for rows in events.chunks(most) {
        insert_rows(&mut transaction, &PARTIAL_INSERTS, rows).await?;
    }
    transaction.commit().await
}

async fn insert_rows(
    connection: &mut SqliteConnection,
    statements: &[Arc<str>; 5],
    rows: &[RecordedEvent],
) -> Result<(), sqlx::Error> {
    let size = INSERT_SIZES.iter().position(|size| *size >= rows.len()).expect("more rows are written in chunks");
    let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&statements[size])));
    for event in rows {
        query = query
            .bind(event.position.0.cast_signed())
            .bind(event.stream.as_str())
            .bind(event.revision.0.cast_signed())
            .bind(event.envelope.id.0)
            .bind(event.envelope.command_id.0)
            .bind(event.envelope.body_hash.0.as_slice())
            .bind(event.envelope.event_type.as_str())
            .bind(event.envelope.version)
            .bind(event.envelope.recorded_at.0)
            .bind(event.envelope.traceparent.as_str())
            .bind(event.data.as_ref())
            .bind(event.previous_checksum.cast_signed())
            .bind(event.checksum.cast_signed());
    }
    query.execute(connection).await.map(drop)
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

/// SQLite's primary result codes that are told apart (<https://www.sqlite.org/rescode.html>).
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const CORRUPT: i32 = 11;
const NOT_A_DATABASE: i32 = 26;

/// SQLite's primary result code.
fn code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

fn unavailable(error: sqlx::Error) -> LogError {
    match code(&error) {
        Some(CORRUPT | NOT_A_DATABASE) => LogError::Damaged {
            position: 0,
            stream: "unknown".to_owned(),
            what: format!("the file itself cannot be read: {error}"),
        },
        _ => LogError::Unavailable(error.to_string()),
    }
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
