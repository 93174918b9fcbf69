//! A database of its own for a test, on the server that `DATABASE_URL` names.

use super::connect;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

/// The variable that names the server, such as `postgres://postgres@127.0.0.1:5432/postgres`.
const SERVER: &str = "DATABASE_URL";

/// The variable that, where it is set, makes a missing server a failure: a test that is skipped proves nothing.
const REQUIRED: &str = "COLOPHON_TEST_SERVICES";

/// The database. Databases of tests that are gone are left to whoever ends the server.
pub struct Scratch {
    /// Where it is.
    pub url: String,
}

impl Scratch {
    /// A new, empty database; none where no server is named.
    pub async fn new() -> Option<Self> {
        let Ok(server) = std::env::var(SERVER) else {
            assert!(std::env::var_os(REQUIRED).is_none(), "{SERVER} is not set; `make test` sets it");
            return None;
        };
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("the operating system's random number generator answers");
        let name = format!("scratch_{}", Uuid::from_bytes(random).simple());
        let pool = connect(&server, 1).await.expect("the server answers");
        let created = sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&pool).await;
        created.expect("the server takes another database");
        pool.close().await;
        let (head, _) = server.rsplit_once('/').expect("the variable names a database");
        Some(Self { url: format!("{head}/{name}") })
    }

    /// Connections to it.
    pub async fn connect(&self, connections_max: u32) -> PgPool {
        connect(&self.url, connections_max).await.expect("the server answers")
    }
}
