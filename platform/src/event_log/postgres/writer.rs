//! What appends to a Postgres log: one transaction per batch, under the log's lock from its first statement on.

use super::rows::{self, event, unavailable};
use super::session::Server;
use super::settlement::settle;
use crate::event_log::seal::{Heads, seal};
use crate::event_log::{Append, EventId, LogError, Position, RecordedEvent, Verdict};
use crate::postgres::LOCK_LOG;
use crate::postgres::lease::Epoch;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a batch may take until its commit is answered: three seconds are left to whoever has the lock to be gone.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The log's last event, the last one of each stream, and the first one of each command that is there, in one statement.
const HEADS: &str = "
    SELECT 'log', events.* FROM events WHERE position = (SELECT max(position) FROM events)
    UNION ALL
    SELECT 'stream', last.* FROM unnest($1::text[]) AS asked (stream) CROSS JOIN LATERAL (
        SELECT * FROM events WHERE events.stream = asked.stream ORDER BY events.revision DESC LIMIT 1) AS last
    UNION ALL
    SELECT 'command', events.* FROM events WHERE id = ANY ($2::uuid[])";

/// By what right a handle of the log writes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Right {
    /// By none: it only reads.
    None,
    /// Nobody else writes, as far as whoever opened it knows.
    Alone,
    /// As the owner of a lease, as long as it has this epoch.
    Lease(&'static str, Epoch),
}

impl Right {
    /// Begins a transaction that holds the log's lock, and asks what the right rests on: all in one round trip.
    fn begin(self) -> String {
        let lock = LOCK_LOG.as_str();
        let lease = match self {
            Self::Lease(name, _) => format!("SELECT epoch FROM leases WHERE name = '{}'", name.replace('\'', "''")),
            Self::None | Self::Alone => String::new(),
        };
        format!("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; {lock}; {lease}")
    }

    /// Whether it holds, if the lease has this epoch now.
    fn holds(self, found: Option<i64>) -> bool {
        match self {
            Self::None => false,
            Self::Alone => true,
            Self::Lease(_, epoch) => found == Some(epoch.0.cast_signed()),
        }
    }
}

/// Writes batches one after the other. It remembers nothing of the log: others write it too.
pub(super) struct Writer {
    server: Server,
    /// None until it is needed, and once its session is not as it should be.
    connection: Option<PgConnection>,
}

/// A batch, judged under the log's lock.
pub(super) struct Judged {
    pub(super) verdicts: Vec<Verdict>,
    pub(super) events: Vec<RecordedEvent>,
    end: Position,
}

impl Writer {
    pub(super) fn new(server: Server) -> Self {
        Self { server, connection: None }
    }

    /// The verdicts, and where the log ends after them.
    pub(super) async fn append(
        &mut self,
        batch: Vec<Append>,
        right: Right,
    ) -> Result<(Vec<Verdict>, Position), LogError> {
        let (started, deadline) = (Instant::now(), Instant::now() + ANSWER_WITHIN);
        let late = |_| LogError::Unavailable(format!("no answer within {} s", ANSWER_WITHIN.as_secs()));
        // A connection is put back only if all went well on it: when one is dropped, the server ends its transaction.
        let mut connection = timeout_at(deadline, self.begin(right)).await.map_err(late)??;
        let judged = timeout_at(deadline, judge_and_write(&mut connection, batch)).await.map_err(late)??;
        let committed = timeout_at(deadline, sqlx::raw_sql("COMMIT").execute(&mut connection)).await;
        match committed {
            Ok(Ok(_)) => self.connection = Some(connection),
            // What was judged without being written was judged under the lock, however the transaction ended.
            _ if judged.events.is_empty() => {}
            failed => {
                drop(connection);
                let why = failed.map_or_else(|_| "it was not answered".to_owned(), |failed| told(failed.err()));
                tracing::warn!("a commit to the event log is looked after: {why}");
                self.connection = Some(settle(&self.server, &judged.events).await?);
            }
        }
        if !judged.events.is_empty() {
            metrics::histogram!("log_commit_milliseconds").record(started.elapsed().as_secs_f64() * 1e3);
            metrics::counter!("log_commits_total").increment(1);
            metrics::counter!("log_events_total").increment(judged.events.len() as u64);
        }
        Ok((judged.verdicts, judged.end))
    }

    /// A transaction that holds the log's lock, by a right that holds.
    pub(super) async fn begin(&mut self, right: Right) -> Result<PgConnection, LogError> {
        let begin = right.begin();
        let mut kept = self.connection.take();
        loop {
            let is_kept = kept.is_some();
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => self.server.connect().await.map_err(unavailable)?,
            };
            let rows = match sqlx::raw_sql(AssertSqlSafe(begin.as_str())).fetch_all(&mut connection).await {
                Ok(rows) => rows,
                // A session that ended while nobody used it says nothing about the server.
                Err(error) if is_kept && is_lost(&error) => continue,
                Err(error) => return Err(unavailable(error)),
            };
            // The first row is the lock's.
            let epoch = rows.get(1).map(|row| row.try_get(0)).transpose().map_err(unavailable)?;
            if right.holds(epoch) {
                return Ok(connection);
            }
            return match sqlx::raw_sql("ROLLBACK").execute(&mut connection).await {
                Ok(_) => {
                    self.connection = Some(connection);
                    Err(LogError::Deposed)
                }
                Err(_) => Err(LogError::Deposed),
            };
        }
    }

    pub(super) async fn close(self) {
        use sqlx::Connection;
        let Some(connection) = self.connection else { return };
        if let Err(error) = connection.close().await {
            tracing::warn!(%error, "the session that writes the event log could not be ended");
        }
    }
}

fn told(error: Option<sqlx::Error>) -> String {
    error.map(|error| error.to_string()).unwrap_or_default()
}

/// Whether an error is the session's end: nothing that was asked on it will happen any more.
fn is_lost(error: &sqlx::Error) -> bool {
    // Class 57P: the server ended it.
    let ended = |code: std::borrow::Cow<'_, str>| code.starts_with("57P");
    error.as_database_error().is_none_or(|error| error.code().is_some_and(ended))
}

/// Judges a batch by what is in the log, and writes what fits. It is not committed yet.
pub(super) async fn judge_and_write(transaction: &mut PgConnection, batch: Vec<Append>) -> Result<Judged, LogError> {
    let heads = look_up(transaction, &batch).await?;
    let (verdicts, events) = seal(&heads, batch);
    rows::insert(transaction, &events).await.map_err(unavailable)?;
    let end = events.last().map_or(heads.position, |last| last.position);
    Ok(Judged { verdicts, events, end })
}

/// Reads where the log and the batch's streams end, and which of its commands are there, all of one moment.
async fn look_up(transaction: &mut PgConnection, batch: &[Append]) -> Result<Heads, LogError> {
    let streams: Vec<_> = batch.iter().map(|append| append.stream.as_str()).collect();
    let decisions = batch.iter().flat_map(|append| &append.decisions);
    let first_ids: Vec<_> = decisions.map(|decision| EventId::of(decision.command_id, 0).0).collect();
    let rows = sqlx::query(HEADS).bind(streams).bind(first_ids).fetch_all(transaction).await.map_err(unavailable)?;
    let mut heads = Heads::default();
    for row in &rows {
        heads.add(row.try_get(0).map_err(unavailable)?, event(row)?)?;
    }
    Ok(heads)
}
