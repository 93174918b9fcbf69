//! An event log in Postgres: many processes read it, one at a time appends, and its commits are durable before they are
//! answered.

use super::intake::Intake;
use super::stats::Stats;
use super::{Append, EventLog, LogError, LogId, Position, RecordedEvent, Revision, StreamId, Verdict};
use crate::postgres::lease::Epoch;
use crate::postgres::lock_log;
use crate::seam::{Seam, Timestamp};
use futures_util::future::{BoxFuture, FutureExt};
use rows::unavailable;
use session::Server;
use sqlx::postgres::PgPool;
use sqlx::{Connection, PgConnection};
use std::sync::Arc;
use std::time::Duration;
use tail::Tail;
use thiserror::Error;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use uuid::Uuid;
use writer::{Right, Writer};

mod import;
mod rows;
mod session;
mod settlement;
mod stats;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

/// Connections that read; as many as there are readers that matter (dispatcher, projections, tools).
const READERS: u32 = 4;

/// How long a page may take.
const READ_WITHIN: Duration = Duration::from_secs(10);

const CREATE: &str = r#"
    CREATE TABLE IF NOT EXISTS log (id uuid NOT NULL);
    CREATE TABLE IF NOT EXISTS events (
        position bigint PRIMARY KEY,
        stream text COLLATE "C" NOT NULL,
        revision bigint NOT NULL,
        id uuid NOT NULL UNIQUE,
        command_id uuid NOT NULL,
        body_hash bytea NOT NULL,
        event_type text NOT NULL,
        version int NOT NULL,
        recorded_at bigint NOT NULL,
        traceparent text NOT NULL,
        data bytea NOT NULL,
        previous_checksum bigint NOT NULL,
        checksum bigint NOT NULL,
        UNIQUE (stream, revision))"#;

/// What Postgres says of a table that is not there (Appendix A).
const UNDEFINED_TABLE: &str = "42P01";

/// Why a database could not be opened as an event log.
#[derive(Debug, Error)]
#[error("the event log in Postgres cannot be opened: {0}")]
pub struct OpenError(#[from] sqlx::Error);

/// A handle of the log. One that [`PostgresLog::open`] gives only reads and imports; those made of it share its
/// connections.
pub struct PostgresLog {
    shared: Arc<Shared>,
    right: Right,
}

struct Shared {
    id: LogId,
    server: Server,
    readers: PgPool,
    /// None once the log is closed.
    writer: Mutex<Option<Writer>>,
    tail: Tail,
}

impl PostgresLog {
    /// Opens the log in a database, such as `postgres://user:password@host/database`, or makes a new one there.
    pub async fn open(url: &str, seam: &Seam) -> Result<Self, OpenError> {
        let server = Server::at(url)?;
        let mut connection = server.connect().await?;
        let id = match find(&mut connection).await? {
            Some(id) => id,
            None => create(&mut connection, seam).await?,
        };
        let head = rows::head(&mut connection).await?;
        connection.close().await?;
        let readers = server.pool(READERS);
        let tail = Tail::follow(server.clone(), readers.clone(), head);
        let writer = Mutex::new(Some(Writer::new(server.clone())));
        let shared = Shared { id: LogId(id), server, readers, writer, tail };
        Ok(Self { shared: Arc::new(shared), right: Right::None })
    }

    /// A handle that appends as long as the lease of this name has this epoch; afterwards its batches fail with
    /// [`LogError::Deposed`].
    pub fn writing_under(&self, lease_name: &'static str, epoch: Epoch) -> Self {
        Self { shared: Arc::clone(&self.shared), right: Right::Lease(lease_name, epoch) }
    }

    /// A handle that appends without a lease, for whoever knows that no other process decides what is written.
    pub fn writing_alone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), right: Right::Alone }
    }

    /// The position of the first event that was decided at `time` or later, if there is one. Reads the whole log.
    pub async fn first_since(&self, time: Timestamp) -> Result<Option<Position>, LogError> {
        let first = async |connection: &mut PgConnection| {
            sqlx::query_scalar("SELECT min(position) FROM events WHERE recorded_at >= $1")
                .bind(time.0)
                .fetch_one(connection)
                .await
        };
        let position: Option<i64> = read(&self.shared.readers, first).await?;
        Ok(position.map(|position| Position(position.cast_unsigned())))
    }

    /// What the log holds, counted by Postgres as of one moment: its records are not verified. It reads all of it.
    pub async fn stats(&self) -> Result<Stats, LogError> {
        stats::read(&self.shared.server).await
    }
}

/// Which log is in the database, if there is one.
async fn find(connection: &mut PgConnection) -> Result<Option<Uuid>, sqlx::Error> {
    let found = sqlx::query_scalar("SELECT id FROM log").fetch_optional(connection).await;
    match found {
        Err(error) if error.as_database_error().and_then(|error| error.code()).as_deref() == Some(UNDEFINED_TABLE) => {
            Ok(None)
        }
        found => found,
    }
}

/// Makes the log, unless another process has just done so.
async fn create(connection: &mut PgConnection, seam: &Seam) -> Result<Uuid, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    lock_log(&mut transaction).await?;
    sqlx::raw_sql(CREATE).execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO log (id) SELECT $1 WHERE NOT EXISTS (SELECT FROM log)")
        .bind(seam.uuid())
        .execute(&mut *transaction)
        .await?;
    let id = sqlx::query_scalar("SELECT id FROM log").fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(id)
}

/// Asks something on a connection of the pool; one that does not answer is closed.
async fn read<T>(
    pool: &PgPool,
    query: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<T, LogError> {
    let mut connection = pool.acquire().await.map_err(unavailable)?;
    if let Ok(answered) = timeout(READ_WITHIN, query(&mut connection)).await {
        return answered.map_err(unavailable);
    }
    connection.close_on_drop();
    Err(LogError::Unavailable(format!("no answer within {} s", READ_WITHIN.as_secs())))
}

fn closed() -> LogError {
    LogError::Unavailable("it is closed".to_owned())
}

impl Shared {
    async fn append(&self, batch: Vec<Append>, right: Right) -> Result<Vec<Verdict>, LogError> {
        let mut writer = self.writer.lock().await;
        let (verdicts, head) = writer.as_mut().ok_or_else(closed)?.append(batch, right).await?;
        self.tail.announce(head);
        Ok(verdicts)
    }

    async fn stream(&self, stream: StreamId, after: Revision, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let query = async |connection: &mut _| rows::stream(connection, &stream, after, limit).await;
        rows::stream_events(&read(&self.readers, query).await?, after)
    }

    async fn all(&self, after: Position, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let query = async |connection: &mut _| rows::all(connection, after, limit).await;
        rows::all_events(&read(&self.readers, query).await?, after)
    }
}

impl EventLog for PostgresLog {
    fn id(&self) -> LogId {
        self.shared.id
    }

    /// Once begun, a batch is carried through, also if nobody waits for it any more.
    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Vec<Verdict>, LogError>> {
        if matches!(self.right, Right::None) {
            let only_reads = "this process only reads it, and has no right to append".to_owned();
            return std::future::ready(Err(LogError::Unavailable(only_reads))).boxed();
        }
        let (shared, right) = (Arc::clone(&self.shared), self.right);
        async move {
            let panicked = |error: tokio::task::JoinError| Err(LogError::Fatal(error.to_string()));
            tokio::spawn(async move { shared.append(batch, right).await }).await.unwrap_or_else(panicked)
        }
        .boxed()
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        self.shared.stream(stream.clone(), after, limit).boxed()
    }

    fn read_all(&self, after: Position, limit: usize) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        self.shared.all(after, limit).boxed()
    }

    /// Once begun, it is carried through, also if nobody waits for it any more.
    fn import(&self, last: Position, pages: mpsc::Receiver<Vec<RecordedEvent>>) -> BoxFuture<'_, Result<(), LogError>> {
        let shared = Arc::clone(&self.shared);
        let carried_through = async move {
            import::import(&shared.server, Intake::new(last, pages)).await?;
            shared.tail.announce(last);
            Ok(())
        };
        async move {
            let panicked = |error: tokio::task::JoinError| Err(LogError::Fatal(error.to_string()));
            tokio::spawn(carried_through).await.unwrap_or_else(panicked)
        }
        .boxed()
    }

    fn wait_past(&self, position: Position) -> BoxFuture<'_, Result<Position, LogError>> {
        super::wait_past(self.shared.tail.subscribe(), position).boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        async { read(&self.shared.readers, async |connection: &mut _| rows::head(connection).await).await }.boxed()
    }

    /// Ends the log's sessions, those of all handles.
    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.shared.tail.close();
            if timeout(READ_WITHIN, self.shared.readers.close()).await.is_err() {
                tracing::warn!("the event log is still read: its sessions end with this process");
            }
            let Some(writer) = self.shared.writer.lock().await.take() else { return };
            writer.close().await;
        }
        .boxed()
    }
}
