//! What is kept in Postgres, by all nodes together: how it is reached, and the lock under which the log is written.

pub mod lease;
pub mod scratch;
pub(crate) mod transaction;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgConnection};
use std::sync::LazyLock;
use std::time::Duration;

/// How long a caller waits for a free connection, or a new one.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The advisory lock under which the log is appended to and its writer's lease changes hands: "CLog" twice.
const LOG_LOCK: i64 = i64::from_be_bytes(*b"CLogCLog");

/// Opens connections to a database, at most so many at once. One that breaks is replaced when it is needed next.
pub async fn connect(url: &str, connections_max: u32) -> Result<PgPool, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let pool = PgPoolOptions::new().max_connections(connections_max).acquire_timeout(CONNECT_WITHIN);
    pool.connect_with(options.application_name("colophon").options([("client_min_messages", "warning")])).await
}

/// Takes the log's lock: statements of their own within a transaction. What the next statement reads is what whoever had
/// the lock before committed (READ COMMITTED: each statement has its own snapshot).
///
/// Who stands still while it holds the lock (its process stopped, its machine gone) loses its session, and with it the
/// lock, after two seconds: long for what is done between two statements, short beside the five in which another node has
/// to write on. So who waits three seconds for the lock waits for nothing that will come.
pub(crate) static LOCK_LOG: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SET LOCAL idle_in_transaction_session_timeout = '2s'; SET LOCAL lock_timeout = '3s';
         SELECT pg_advisory_xact_lock({LOG_LOCK})"
    )
});

/// Waits until nobody else is in a transaction that holds the log's lock, and holds it until this one ends.
pub(crate) async fn lock_log(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(LOCK_LOG.as_str())).execute(transaction).await.map(drop)
}
