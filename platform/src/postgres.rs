//! What is kept in Postgres, by all nodes together: how it is reached, and the lock under which the log is written.

pub mod lease;
pub mod scratch;

use sqlx::PgConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::time::Duration;

/// How long a caller waits for a free connection, or a new one.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The advisory lock under which the log is appended to and its writer's lease changes hands: "CLog" twice.
pub(crate) const LOG_LOCK: i64 = i64::from_be_bytes(*b"CLogCLog");

/// Opens connections to a database, at most so many at once. One that breaks is replaced when it is needed next.
pub async fn connect(url: &str, connections_max: u32) -> Result<PgPool, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let pool = PgPoolOptions::new().max_connections(connections_max).acquire_timeout(CONNECT_WITHIN);
    pool.connect_with(options.application_name("colophon")).await
}

/// Waits until nobody else is in a transaction that holds the log's lock, and holds it until this one ends. A statement
/// of its own: what the next one reads is what the one before committed (READ COMMITTED).
pub(crate) async fn lock_log(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOG_LOCK).execute(transaction).await.map(drop)
}
