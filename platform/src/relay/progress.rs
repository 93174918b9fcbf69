//! How far logs have been sent to topics, in Postgres, so that every node knows it.

use crate::event_log::{LogId, Position};
use crate::postgres::{connect, lock_log};
use sqlx::PgPool;

const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS relay (
        log uuid NOT NULL, topic text NOT NULL, position bigint NOT NULL, PRIMARY KEY (log, topic))";

const BEGIN: &str = "INSERT INTO relay (log, topic, position) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING";

const POSITION: &str = "SELECT position FROM relay WHERE log = $1 AND topic = $2";

/// Two relays may store at once: what one has sent stays sent. It is not flushed: where a crash of the server takes it
/// back, the next relay repeats what was sent.
const STORE: &str = "
    UPDATE relay SET position = greatest(position, $3)
    FROM set_config('synchronous_commit', 'off', true) WHERE log = $1 AND topic = $2";

/// How far one log has been sent to one topic.
pub struct RelayProgress {
    pool: PgPool,
    log: LogId,
    topic: String,
}

impl RelayProgress {
    /// Knows the table. Of a log that has no row, nothing is sent yet.
    pub async fn open(url: &str, log: LogId, topic: &str) -> Result<Self, sqlx::Error> {
        let pool = connect(url, 1).await?;
        let mut transaction = pool.begin().await?;
        // Nodes that start at once would both make the table.
        lock_log(&mut transaction).await?;
        sqlx::query(CREATE).execute(&mut *transaction).await?;
        sqlx::query(BEGIN).bind(log.0).bind(topic).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Self { pool, log, topic: topic.to_owned() })
    }

    /// All up to here is in the topic.
    pub async fn position(&self) -> Result<Position, sqlx::Error> {
        let position: i64 =
            sqlx::query_scalar(POSITION).bind(self.log.0).bind(&self.topic).fetch_one(&self.pool).await?;
        Ok(Position(position.cast_unsigned()))
    }

    /// All up to there is in the topic now.
    pub(super) async fn store(&self, position: Position) -> Result<(), sqlx::Error> {
        let position = position.0.cast_signed();
        sqlx::query(STORE).bind(self.log.0).bind(&self.topic).bind(position).execute(&self.pool).await.map(drop)
    }
}
