//! The one writer of a SQLite log: judges a batch by what it remembers, and writes it in one statement.

use super::rows::{event, unavailable};
use crate::event_log::seal::{Head, Heads, seal};
use crate::event_log::{Append, Decision, EventId, LogError, Position, RecordedEvent, StreamId, Verdict};
use crate::sqlite_code;
use lru::LruCache;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};
use tokio::time::Instant;

/// Streams whose ends the writer remembers.
const REMEMBERED_HEADS: NonZeroUsize = NonZeroUsize::new(65_536).expect("it is not zero");

/// How often a batch is judged anew because the log was not as remembered.
const ATTEMPTS: usize = 10;

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

/// The one writer of this process. It remembers where the log and its streams end, which holds as long as nobody else
/// writes; whoever does takes a position that the next batch wants, and so is noticed.
pub(super) struct Writer {
    pub(super) connection: SqliteConnection,
    pub(super) position: Position,
    pub(super) heads: LruCache<StreamId, Head>,
    /// Why it takes no more appends.
    pub(super) failed: Option<String>,
}

/// What became of writing a batch.
enum Written {
    Committed,
    /// Nothing was written: a position, revision or event id was there already.
    Taken,
}

impl Writer {
    pub(super) fn new(connection: SqliteConnection, position: Position) -> Self {
        let heads = LruCache::new(REMEMBERED_HEADS);
        Self { connection, position, heads, failed: None }
    }

    /// The verdicts, and where the log ends after them.
    pub(super) async fn append(&mut self, batch: Vec<Append>) -> Result<(Vec<Verdict>, Position), LogError> {
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
            // A repeat of a command, or somebody else's event: only what is in the file tells.
            let streams = batch.iter().map(|append| &append.stream);
            heads = look_up(&mut self.connection, streams, batch.iter().flat_map(|append| &append.decisions)).await?;
            if heads.position != self.position {
                self.heads.clear();
                self.position = heads.position;
            }
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
            self.heads.put(event.stream.clone(), Head::of(event));
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

    /// Takes no more appends.
    pub(super) fn fail(&mut self, reason: String) -> LogError {
        self.failed = Some(reason.clone());
        LogError::Fatal(reason)
    }

    async fn write(&mut self, events: &[RecordedEvent]) -> Result<Written, LogError> {
        let started = Instant::now();
        let written = insert(&mut self.connection, events).await;
        match written {
            Ok(()) => {}
            Err(error) if error.as_database_error().is_some_and(|error| error.is_unique_violation()) => {
                return Ok(Written::Taken);
            }
            Err(error) if matches!(sqlite_code::of(&error), Some(sqlite_code::BUSY | sqlite_code::LOCKED)) => {
                return Err(unavailable(error));
            }
            Err(error) => {
                // After a failed fsync nobody knows what is on the disk, a second try least of all (Rebello et al., "Can
                // applications recover from fsync failures?", 2020): only a restart, which reads the file again, tells.
                return Err(self.fail(sqlite_code::told(&error)));
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
        heads.add(row.try_get(0).map_err(unavailable)?, event(row)?)?;
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
    insert_within(&mut transaction, events).await?;
    transaction.commit().await
}

/// Writes events within a transaction that others end.
pub(super) async fn insert_within(
    transaction: &mut SqliteConnection,
    events: &[RecordedEvent],
) -> Result<(), sqlx::Error> {
    let [.., most] = INSERT_SIZES;
    for rows in events.chunks(most) {
        insert_rows(transaction, &PARTIAL_INSERTS, rows).await?;
    }
    Ok(())
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
