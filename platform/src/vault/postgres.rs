//! The vault in Postgres, which all nodes share; its commits are durable before they are answered.

use super::VaultError;
use super::sql::{self, vault_in_sql};
use crate::event_log::LogId;
use crate::identity::Principal;
use crate::postgres::lock_log;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use std::time::Duration;
use thiserror::Error;
use uuid::Uuid;

/// Connections at once.
const CONNECTIONS: u32 = 4;

/// How long a caller waits for a free connection, or a new one.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

const CREATE: &str = r#"
    CREATE TABLE IF NOT EXISTS vault (log uuid NOT NULL);
    CREATE TABLE IF NOT EXISTS customers (
        issuer text COLLATE "C" NOT NULL, subject text COLLATE "C" NOT NULL, id uuid NOT NULL UNIQUE,
        PRIMARY KEY (issuer, subject));
    CREATE TABLE IF NOT EXISTS effects (
        event uuid NOT NULL, effect text COLLATE "C" NOT NULL, stage text NOT NULL, since bigint NOT NULL, failure text,
        PRIMARY KEY (event, effect));
    CREATE TABLE IF NOT EXISTS effects_untried (up_to bigint NOT NULL)"#;

/// Why a vault could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Its customers are those of another log.
    #[error("the vault in Postgres belongs to another event log: put back the one that belongs to this log")]
    OfAnotherLog,
    /// Postgres could not.
    #[error("the vault in Postgres cannot be opened: {0}")]
    Postgres(#[from] sqlx::Error),
}

/// The vault.
pub struct PostgresVault(PgPool);

impl PostgresVault {
    /// Opens the vault of a log in a database, or makes a new one there.
    pub async fn open(url: &str, log: LogId) -> Result<Self, OpenError> {
        let options: PgConnectOptions = url.parse()?;
        let options = options
            .application_name("colophon vault")
            .options([("synchronous_commit", "on"), ("client_min_messages", "warning")]);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(CONNECT_WITHIN);
        let pool = pool.connect_with(options).await?;
        let of = open(&mut *pool.acquire().await?, log).await?;
        if of == log.0 { Ok(Self(pool)) } else { Err(OpenError::OfAnotherLog) }
    }
}

/// Which log the vault is of: this one, if it is new. Under the log's lock, for several processes may open it at once.
async fn open(connection: &mut PgConnection, log: LogId) -> Result<Uuid, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    lock_log(&mut transaction).await?;
    sqlx::raw_sql(CREATE).execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO vault (log) SELECT $1 WHERE NOT EXISTS (SELECT FROM vault)")
        .bind(log.0)
        .execute(&mut *transaction)
        .await?;
    let of = sqlx::query_scalar("SELECT log FROM vault").fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(of)
}

impl PostgresVault {
    /// All customers.
    pub async fn customers(&self) -> Result<Vec<(Principal, Uuid)>, VaultError> {
        let rows = sqlx::query_as(sql::CUSTOMERS).fetch_all(&self.0).await.map_err(sql::failed)?;
        Ok(rows.into_iter().map(sql::customer).collect())
    }
}

vault_in_sql!(PostgresVault);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::scratch::Scratch;
    use crate::vault::{Vault, conformance, effects};
    use futures_util::future::join_all;

    #[tokio::test]
    async fn conforms_and_remembers() {
        let Some(scratch) = Scratch::new().await else { return };
        let log = LogId(Uuid::from_u128(7));
        let ann = Principal { issuer: "here".to_owned(), subject: "ann".to_owned(), roles: Vec::new() };
        let opened = join_all((0..5).map(|_| PostgresVault::open(&scratch.url, log))).await;
        conformance::run(opened[0].as_ref().unwrap()).await;
        effects::conformance::run(opened[1].as_ref().unwrap()).await;
        assert_eq!(opened[2].as_ref().unwrap().find(&ann).await.unwrap(), Some(Uuid::from_u128(1)));
        let other = PostgresVault::open(&scratch.url, LogId(Uuid::from_u128(8))).await;
        assert!(matches!(other, Err(OpenError::OfAnotherLog)));
    }
}
