//! Appends to a Postgres log, batch by batch: what is judged and what is written is one transaction under the log's lock.

use super::Right;
use super::rows::{self, unavailable};
use crate::event_log::seal::{self, Head, Heads, seal};
use crate::event_log::{Append, EventId, LogError, Position, RecordedEvent, Verdict};
use crate::postgres::{LOG_LOCK, lock_log};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Row};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

/// What a session that appends is bound to, in milliseconds. A process that is stopped in the middle of a batch holds the
/// log's lock no longer than the first of these, so that another node can take over.
const BOUNDS: [(&str, &str); 6] = [
    ("idle_in_transaction_session_timeout", "2000"),
    ("statement_timeout", "10000"),
    ("lock_timeout", "5000"),
    ("tcp_user_timeout", "5000"),
    ("tcp_keepalives_idle", "2"),
    ("tcp_keepalives_interval", "1"),
];

/// How long a commit whose outcome is not known may take to be found out. After that its commands are answered as
/// unavailable, and whoever repeats them finds out.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);

/// How long it is from one try to settle a commit to the next.
const SETTLE_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The log's last event, the last one of each stream, and the first one of each command that is there, in one statement.
const HEADS: &str = "
    (SELECT 'log', events.* FROM events ORDER BY position DESC LIMIT 1)
    UNION ALL
    SELECT 'stream', last.* FROM unnest($1::text[]) AS asked (stream) CROSS JOIN LATERAL (
        SELECT * FROM events AS own WHERE own.stream = asked.stream ORDER BY own.revision DESC LIMIT 1) AS last
    UNION ALL
    SELECT 'command', events.* FROM events WHERE id = ANY($2)";

/// The connection that appends; a new one after any error.
pub(super) struct Writer {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

impl Writer {
    pub(super) fn new(url: &str) -> Result<Self, sqlx::Error> {
        let options: PgConnectOptions = url.parse()?;
        Ok(Self { options: options.application_name("colophon writer").options(BOUNDS), connection: None })
    }

    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // It is closed either way.
            let _ = connection.close().await;
        }
    }

    /// The verdicts, and where the log ends after them.
    pub(super) async fn append(
        &mut self,
        right: Right,
        batch: Vec<Append>,
    ) -> Result<(Vec<Verdict>, Position), LogError> {
        let started = Instant::now();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => PgConnection::connect_with(&self.options).await.map_err(unavailable)?,
        };
        // Whatever fails from here on drops the connection, and with it the transaction and the lock.
        begin(&mut connection, right).await?;
        let heads = look_up(&mut connection, &batch).await?;
        let (verdicts, events) = seal(&heads, batch);
        let Some(last) = events.last() else {
            sqlx::raw_sql("COMMIT").execute(&mut connection).await.map_err(unavailable)?;
            self.connection = Some(connection);
            return Ok((verdicts, heads.position));
        };
        rows::insert(&mut connection, &events).await.map_err(unavailable)?;
        match sqlx::raw_sql("COMMIT").execute(&mut connection).await {
            Ok(_) => self.connection = Some(connection),
            Err(error) => {
                tracing::warn!(%error, "it is not known whether a batch of events was committed; finding out");
                drop(connection);
                self.settle(&events).await?;
            }
        }
        metrics::histogram!("log_commit_milliseconds").record(started.elapsed().as_secs_f64() * 1e3);
        metrics::counter!("log_commits_total").increment(1);
        metrics::counter!("log_events_total").increment(events.len() as u64);
        Ok((verdicts, last.position))
    }

    /// Finds out whether events were committed: the lock is free only once the transaction that wrote them has ended.
    async fn settle(&mut self, events: &[RecordedEvent]) -> Result<(), LogError> {
        metrics::counter!("log_commits_settled_total").increment(1);
        let until = Instant::now() + SETTLE_WITHIN;
        let ids: Vec<Uuid> = events.iter().map(|event| event.envelope.id.0).collect();
        loop {
            let reason = match timeout_at(until, self.count(&ids)).await {
                Ok(Ok(found)) if found == events.len() => return Ok(()),
                Ok(Ok(0)) => return Err(LogError::Unavailable("a batch of events was not committed".to_owned())),
                Ok(Ok(found)) => {
                    let what = format!("expected all {} events of a batch or none, found {found}", events.len());
                    return Err(LogError::Fatal(what));
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the database does not answer in time".to_owned(),
            };
            if Instant::now() >= until {
                let what = format!("it is not known whether a batch of events was committed: {reason}");
                return Err(LogError::Unavailable(what));
            }
            sleep(SETTLE_AGAIN_AFTER).await;
        }
    }

    /// How many of these events are in the log, once nobody else is about to write.
    async fn count(&mut self, ids: &[Uuid]) -> Result<usize, sqlx::Error> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        let mut transaction = connection.begin().await?;
        lock_log(&mut transaction).await?;
        let found: i64 = sqlx::query_scalar("SELECT count(*) FROM events WHERE id = ANY($1)")
            .bind(ids)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        self.connection = Some(connection);
        Ok(usize::try_from(found).unwrap_or(usize::MAX))
    }
}

/// Begins a transaction, takes the log's lock in a statement of its own, and checks the right to append under it: in one
/// round trip.
async fn begin(connection: &mut PgConnection, right: Right) -> Result<(), LogError> {
    let epoch = match right {
        Right::None => return Err(LogError::Unavailable("this handle only reads".to_owned())),
        Right::Alone => String::new(),
        Right::Lease(name, _) => format!("; SELECT epoch FROM leases WHERE name = '{name}'"),
    };
    let begin = format!("BEGIN; SET LOCAL synchronous_commit = on; SELECT pg_advisory_xact_lock({LOG_LOCK}){epoch}");
    let rows = sqlx::raw_sql(AssertSqlSafe(begin)).fetch_all(connection).await.map_err(unavailable)?;
    let Right::Lease(_, epoch) = right else { return Ok(()) };
    // The first row is the lock's.
    let found = rows.get(1).map(|row| row.try_get::<i64, _>(0)).transpose().map_err(unavailable)?;
    if found.map(i64::cast_unsigned) == Some(epoch.0) { Ok(()) } else { Err(LogError::Deposed) }
}

/// Reads where the log and streams end, and which commands are in it.
async fn look_up(connection: &mut PgConnection, batch: &[Append]) -> Result<Heads, LogError> {
    let streams: Vec<_> = batch.iter().map(|append| append.stream.as_str()).collect();
    let decisions = batch.iter().flat_map(|append| &append.decisions);
    let first_ids: Vec<_> = decisions.map(|decision| EventId::of(decision.command_id, 0).0).collect();
    let rows = sqlx::query(HEADS).bind(streams).bind(first_ids).fetch_all(connection).await.map_err(unavailable)?;
    let mut heads = Heads::default();
    for row in &rows {
        let event = rows::event(row)?;
        seal::verify(&event)?;
        match row.try_get(0).map_err(unavailable)? {
            "log" => heads.position = event.position,
            "stream" => {
                let head = Head::of(&event);
                heads.streams.insert(event.stream, head);
            }
            _ => {
                heads.recorded.insert(event.envelope.id, event);
            }
        }
    }
    Ok(heads)
}
