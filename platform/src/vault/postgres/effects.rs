//! The effect ledger beside the vault in Postgres.

use super::PostgresVault;
use crate::event_log::{EventId, Position};
use crate::seam::Timestamp;
use crate::vault::VaultError;
use crate::vault::effects::{Claim, Effect, EffectLedger, Stage, Unresolved};
use futures_util::future::{BoxFuture, FutureExt};
use uuid::Uuid;

/// Claims what nobody has claimed, or what failed.
const CLAIM: &str = "
    INSERT INTO effects AS noted (event, effect, stage, since) VALUES ($1, $2, 'claimed', $3)
    ON CONFLICT (event, effect) DO UPDATE SET stage = 'claimed', since = $3, failure = NULL WHERE noted.stage = 'failed'";

const DONE: &str = "
    INSERT INTO effects AS noted (event, effect, stage, since) VALUES ($1, $2, 'done', 0)
    ON CONFLICT (event, effect) DO UPDATE SET stage = 'done', failure = NULL";

const FAILED: &str = "
    UPDATE effects SET stage = 'failed', failure = $3 WHERE event = $1 AND effect = $2 AND stage = 'claimed'";

const UNRESOLVED: &str = "
    SELECT event, effect, since, failure FROM effects WHERE stage <> 'done' ORDER BY since, event, effect LIMIT $1";

impl PostgresVault {
    async fn claim_effect(&self, effect: Effect<'_>, now: Timestamp) -> Result<Claim, sqlx::Error> {
        let untried: i64 =
            sqlx::query_scalar("SELECT coalesce(max(up_to), 0) FROM effects_untried").fetch_one(&self.0).await?;
        if effect.position.0 <= untried.cast_unsigned() {
            return Ok(Claim::NotToBeTried);
        }
        loop {
            let claimed =
                sqlx::query(CLAIM).bind(effect.event.0).bind(effect.name).bind(now.0).execute(&self.0).await?;
            if claimed.rows_affected() == 1 {
                return Ok(Claim::Granted);
            }
            let (stage, since): (String, i64) =
                sqlx::query_as("SELECT stage, since FROM effects WHERE event = $1 AND effect = $2")
                    .bind(effect.event.0)
                    .bind(effect.name)
                    .fetch_one(&self.0)
                    .await?;
            if stage == Stage::Done.as_str() {
                return Ok(Claim::Done);
            }
            // What has failed meanwhile can be claimed.
            if stage == Stage::Claimed.as_str() {
                return Ok(Claim::Claimed { since: Timestamp(since) });
            }
        }
    }

    async fn unresolved_effects(&self, limit: usize) -> Result<Vec<Unresolved>, sqlx::Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<(Uuid, String, i64, Option<String>)> =
            sqlx::query_as(UNRESOLVED).bind(limit).fetch_all(&self.0).await?;
        let unresolved = |(event, name, since, failure)| Unresolved {
            event: EventId(event),
            name,
            since: Timestamp(since),
            failure,
        };
        Ok(rows.into_iter().map(unresolved).collect())
    }
}

fn failed(error: sqlx::Error) -> VaultError {
    VaultError(error.to_string())
}

impl EffectLedger for PostgresVault {
    fn claim<'a>(&'a self, effect: Effect<'a>, now: Timestamp) -> BoxFuture<'a, Result<Claim, VaultError>> {
        async move { self.claim_effect(effect, now).await.map_err(failed) }.boxed()
    }

    fn done<'a>(&'a self, effect: Effect<'a>) -> BoxFuture<'a, Result<(), VaultError>> {
        let done = sqlx::query(DONE).bind(effect.event.0).bind(effect.name).execute(&self.0);
        async move { done.await.map(drop).map_err(failed) }.boxed()
    }

    fn failed<'a>(&'a self, effect: Effect<'a>, reason: &'a str) -> BoxFuture<'a, Result<(), VaultError>> {
        let noted = sqlx::query(FAILED).bind(effect.event.0).bind(effect.name).bind(reason).execute(&self.0);
        async move { noted.await.map(drop).map_err(failed) }.boxed()
    }

    fn mark_untried(&self, up_to: Position) -> BoxFuture<'_, Result<(), VaultError>> {
        let up_to = i64::try_from(up_to.0).unwrap_or(i64::MAX);
        let marked = sqlx::query("INSERT INTO effects_untried (up_to) VALUES ($1)").bind(up_to).execute(&self.0);
        async move { marked.await.map(drop).map_err(failed) }.boxed()
    }

    fn unresolved(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Unresolved>, VaultError>> {
        async move { self.unresolved_effects(limit).await.map_err(failed) }.boxed()
    }
}
