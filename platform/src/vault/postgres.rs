//! The vault in Postgres, for all nodes together; its commits are on the disk before they are answered.

use super::effects::{Claim, Effect, EffectLedger};
use super::{Vault, VaultError};
use crate::event_log::{LogId, Position};
use crate::identity::Principal;
use crate::postgres::{connect, lock_log};
use futures_util::future::{BoxFuture, FutureExt};
use sqlx::PgPool;
use uuid::Uuid;

/// Connections at once.
const CONNECTIONS: u32 = 4;

const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS vault (log uuid NOT NULL, effects_from bigint NOT NULL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS customers (
        issuer text NOT NULL, subject text NOT NULL, id uuid NOT NULL UNIQUE, PRIMARY KEY (issuer, subject));
    CREATE TABLE IF NOT EXISTS effects (
        event uuid NOT NULL, effect text NOT NULL, state text NOT NULL, reason text, PRIMARY KEY (event, effect))";

/// The vault.
#[derive(Clone)]
pub struct PostgresVault(PgPool);

impl PostgresVault {
    /// Opens the vault of a log in a database, or makes a new one there.
    pub async fn open(url: &str, log: LogId) -> Result<Self, VaultError> {
        let pool = connect(url, CONNECTIONS).await?;
        let mut transaction = pool.begin().await?;
        lock_log(&mut transaction).await?;
        sqlx::raw_sql(CREATE).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO vault (log) SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM vault)")
            .bind(log.0)
            .execute(&mut *transaction)
            .await?;
        let of: Uuid = sqlx::query_scalar("SELECT log FROM vault").fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        if of != log.0 {
            return Err(VaultError(
                "it belongs to another event log: put back the one that belongs to this log".to_owned(),
            ));
        }
        Ok(Self(pool))
    }

    async fn look_up(&self, principal: &Principal) -> Result<Option<Uuid>, VaultError> {
        let found = sqlx::query_scalar("SELECT id FROM customers WHERE issuer = $1 AND subject = $2")
            .bind(&principal.issuer)
            .bind(&principal.subject)
            .fetch_optional(&self.0);
        Ok(found.await?)
    }

    async fn look_up_or_add(&self, principal: &Principal, new: Uuid) -> Result<Uuid, VaultError> {
        loop {
            if let Some(id) = self.look_up(principal).await? {
                return Ok(id);
            }
            sqlx::query("INSERT INTO customers (issuer, subject, id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                .bind(&principal.issuer)
                .bind(&principal.subject)
                .bind(new)
                .execute(&self.0)
                .await?;
        }
    }
}

impl Vault for PostgresVault {
    fn find<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Option<Uuid>, VaultError>> {
        self.look_up(principal).boxed()
    }

    fn find_or_add<'a>(&'a self, principal: &'a Principal, new: Uuid) -> BoxFuture<'a, Result<Uuid, VaultError>> {
        self.look_up_or_add(principal, new).boxed()
    }
}

impl EffectLedger for PostgresVault {
    fn claim<'a>(&'a self, effect: &'a Effect) -> BoxFuture<'a, Result<Claim, VaultError>> {
        async move {
            let mut transaction = self.0.begin().await?;
            let from: i64 = sqlx::query_scalar("SELECT effects_from FROM vault").fetch_one(&mut *transaction).await?;
            if effect.position.0 <= from.cast_unsigned() {
                return Ok(Claim::NotToBeTried);
            }
            let claimed = sqlx::query(
                "INSERT INTO effects (event, effect, state) VALUES ($1, $2, 'claimed') ON CONFLICT DO NOTHING",
            )
            .bind(effect.event.0)
            .bind(effect.name)
            .execute(&mut *transaction)
            .await?;
            let state: String = sqlx::query_scalar("SELECT state FROM effects WHERE event = $1 AND effect = $2")
                .bind(effect.event.0)
                .bind(effect.name)
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(Claim::of(claimed.rows_affected() == 1, &state))
        }
        .boxed()
    }

    fn settle<'a>(&'a self, effect: &'a Effect, failure: Option<&'a str>) -> BoxFuture<'a, Result<(), VaultError>> {
        async move {
            sqlx::query("UPDATE effects SET state = $3, reason = $4 WHERE event = $1 AND effect = $2")
                .bind(effect.event.0)
                .bind(effect.name)
                .bind(if failure.is_some() { "failed" } else { "done" })
                .bind(failure)
                .execute(&self.0)
                .await?;
            Ok(())
        }
        .boxed()
    }

    fn begin_after(&self, position: Position) -> BoxFuture<'_, Result<(), VaultError>> {
        async move {
            sqlx::query("UPDATE vault SET effects_from = greatest(effects_from, $1)")
                .bind(position.0.cast_signed())
                .execute(&self.0)
                .await?;
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::scratch::Scratch;
    use crate::vault::{conformance, effects};

    #[tokio::test]
    async fn conforms_and_remembers() {
        let Some(scratch) = Scratch::new().await else { return };
        let log = LogId(Uuid::from_u128(7));
        let vault = PostgresVault::open(&scratch.url, log).await.unwrap();
        conformance::run(&vault).await;
        effects::conformance::run(&vault).await;
        let again = PostgresVault::open(&scratch.url, log).await.unwrap();
        let ann = Principal { issuer: "here".to_owned(), subject: "ann".to_owned(), roles: Vec::new() };
        assert_eq!(again.find(&ann).await.unwrap(), Some(Uuid::from_u128(1)));
        assert!(PostgresVault::open(&scratch.url, LogId(Uuid::from_u128(8))).await.is_err());
    }
}
