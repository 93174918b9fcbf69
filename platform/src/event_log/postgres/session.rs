//! Sessions with the Postgres that keeps the log: how they are opened, and when the server ends one whose client is gone.

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Error};
use std::time::Duration;

/// How long a caller waits for a free connection, or a new one.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// What every session asks of the server. The log's indexes are used from its first event on, before anybody has counted
/// its rows: a plan that is kept must not be that of a small table. The server looks after its clients: one that is gone
/// is noticed while it waits for a lock, and one that does not acknowledge what it is sent, after seconds.
const OPTIONS: [(&str, &str); 9] = [
    ("client_min_messages", "warning"),
    ("enable_seqscan", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
    ("client_connection_check_interval", "500ms"),
    ("tcp_keepalives_idle", "2"),
    ("tcp_keepalives_interval", "1"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "5s"),
];

/// Where the log is kept.
#[derive(Clone)]
pub(super) struct Server(PgConnectOptions);

impl Server {
    /// The server and database that a URL names.
    pub(super) fn at(url: &str) -> Result<Self, Error> {
        let options: PgConnectOptions = url.parse()?;
        Ok(Self(options.application_name("colophon log").options(OPTIONS)))
    }

    /// A session of one's own.
    pub(super) async fn connect(&self) -> Result<PgConnection, Error> {
        tokio::time::timeout(CONNECT_WITHIN, self.0.connect()).await.map_err(|_| Error::PoolTimedOut)?
    }

    /// At most so many sessions, opened when they are needed.
    pub(super) fn pool(&self, connections_max: u32) -> PgPool {
        let pool = PgPoolOptions::new().max_connections(connections_max).acquire_timeout(CONNECT_WITHIN);
        pool.connect_lazy_with(self.0.clone())
    }
}
