//! An event log in Postgres, which several nodes read and one appends to: whoever has the writer's lease.

mod import;
mod rows;
#[cfg(test)]
mod tests;
mod writer;

use super::intake::Intake;
use super::{Append, EventLog, LogError, LogId, Position, RecordedEvent, Revision, StreamId, Verdict};
use crate::postgres::lease::Epoch;
use crate::postgres::{self, lock_log};
use crate::seam::Seam;
use futures_util::future::{BoxFuture, FutureExt};
use rows::unavailable;
use sqlx::postgres::{PgListener, PgPool};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;
use writer::Writer;

/// Connections that read.
const READERS: u32 = 8;

/// What is notified when the log has more.
const CHANNEL: &str = "colophon_log";

/// How often it is looked whether there is more, in case that no notification comes.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long whoever hears of the log waits before it connects again.
const RECONNECT_AFTER: Duration = Duration::from_millis(200);

const CREATE: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS log (id uuid NOT NULL, one boolean PRIMARY KEY DEFAULT true CHECK (one))",
    "CREATE TABLE IF NOT EXISTS events (
        position bigint PRIMARY KEY,
        stream text COLLATE \"C\" NOT NULL,
        revision bigint NOT NULL,
        id uuid NOT NULL UNIQUE,
        command_id uuid NOT NULL,
        body_hash bytea NOT NULL,
        event_type text NOT NULL,
        version integer NOT NULL,
        recorded_at bigint NOT NULL,
        traceparent text NOT NULL,
        data bytea NOT NULL,
        previous_checksum bigint NOT NULL,
        checksum bigint NOT NULL,
        UNIQUE (stream, revision))",
    "INSERT INTO log (id) VALUES ($1) ON CONFLICT DO NOTHING",
];

/// Under which right a handle appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    /// Under none.
    None,
    /// Nobody else appends: for tests, and for tools on a log that no node serves.
    Alone,
    /// As long as the lease of this name is in this epoch.
    Lease(&'static str, Epoch),
}

/// The log. Handles share its connections; by itself one only reads.
#[derive(Clone)]
pub struct PostgresLog {
    id: LogId,
    readers: PgPool,
    writer: Arc<Mutex<Writer>>,
    head: watch::Sender<Position>,
    right: Right,
    _listening: Arc<DropGuard>,
}

impl PostgresLog {
    /// Opens the log in a database, or makes a new one there.
    pub async fn open(url: &str, seam: &Seam) -> Result<Self, LogError> {
        let readers = postgres::connect(url, READERS).await.map_err(unavailable)?;
        let mut transaction = readers.begin().await.map_err(unavailable)?;
        lock_log(&mut transaction).await.map_err(unavailable)?;
        let [log, events, id] = CREATE;
        sqlx::query(log).execute(&mut *transaction).await.map_err(unavailable)?;
        sqlx::query(events).execute(&mut *transaction).await.map_err(unavailable)?;
        sqlx::query(id).bind(seam.uuid()).execute(&mut *transaction).await.map_err(unavailable)?;
        let id: Uuid =
            sqlx::query_scalar("SELECT id FROM log").fetch_one(&mut *transaction).await.map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        let head = watch::Sender::new(read_head(&readers).await?);
        let stop = CancellationToken::new();
        tokio::spawn(listen(readers.clone(), head.clone(), stop.clone()));
        Ok(Self {
            id: LogId(id),
            writer: Arc::new(Mutex::new(Writer::new(url).map_err(unavailable)?)),
            readers,
            head,
            right: Right::None,
            _listening: Arc::new(stop.drop_guard()),
        })
    }

    /// A handle that appends as long as a lease is in this epoch: every batch, one of refusals too, checks that under the
    /// log's lock, under which leases change hands.
    pub fn writing_under(&self, lease: &'static str, epoch: Epoch) -> Self {
        Self { right: Right::Lease(lease, epoch), ..self.clone() }
    }

    /// A handle that appends whoever else does.
    pub fn writing_alone(&self) -> Self {
        Self { right: Right::Alone, ..self.clone() }
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

async fn read_head(readers: &PgPool) -> Result<Position, LogError> {
    let head: i64 = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM events")
        .fetch_one(readers)
        .await
        .map_err(unavailable)?;
    Ok(Position(head.cast_unsigned()))
}

/// Announces where the log ends, as other processes append to it. Dropping the log's last handle ends it.
async fn listen(readers: PgPool, head: watch::Sender<Position>, stop: CancellationToken) {
    let raise = |to: Position| {
        head.send_if_modified(|head| {
            let is_more = to > *head;
            *head = to.max(*head);
            is_more
        });
    };
    let listening = async {
        loop {
            if let Err(error) = heed(&readers, &raise).await {
                tracing::debug!(%error, "the log is not heard of; listening again");
            }
            tokio::time::sleep(RECONNECT_AFTER).await;
        }
    };
    stop.run_until_cancelled(listening).await;
}

async fn heed(readers: &PgPool, raise: &impl Fn(Position)) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(readers).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // What was appended before somebody listened, and what a lost notification told of.
        let head: i64 = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM events").fetch_one(readers).await?;
        raise(Position(head.cast_unsigned()));
        while let Ok(told) = tokio::time::timeout(LOOK_EVERY, listener.try_recv()).await {
            let Some(told) = told? else { break };
            if let Ok(head) = told.payload().parse() {
                raise(Position(head));
            }
        }
    }
}

impl EventLog for PostgresLog {
    fn id(&self) -> LogId {
        self.id
    }

    /// Once begun, a batch is carried through, also if nobody waits for it any more.
    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Vec<Verdict>, LogError>> {
        let (writer, announced, right) = (Arc::clone(&self.writer), self.head.clone(), self.right);
        let carried_through = async move {
            let (verdicts, head) = writer.lock().await.append(right, batch).await?;
            announced.send_if_modified(|announced| {
                let is_more = head > *announced;
                *announced = head.max(*announced);
                is_more
            });
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

    /// Once begun, it is carried through, also if nobody waits for it any more.
    fn import(&self, last: Position, pages: mpsc::Receiver<Vec<RecordedEvent>>) -> BoxFuture<'_, Result<(), LogError>> {
        let (readers, announced) = (self.readers.clone(), self.head.clone());
        let carried_through = async move {
            import::import(&readers, Intake::new(last, pages)).await?;
            announced.send_replace(last);
            Ok(())
        };
        async move {
            let panicked = |error: tokio::task::JoinError| Err(LogError::Fatal(error.to_string()));
            tokio::spawn(carried_through).await.unwrap_or_else(panicked)
        }
        .boxed()
    }

    /// Other processes append: only the database knows.
    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        read_head(&self.readers).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.writer.lock().await.close().await;
        }
        .boxed()
    }
}
