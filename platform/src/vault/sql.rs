//! What vaults in SQL do alike: the statements are the same for Postgres and for SQLite, the types that sqlx has for the
//! connections are not.

use super::VaultError;
use super::effects::{Claim, Stage, Unresolved};
use crate::event_log::EventId;
use crate::identity::Principal;
use crate::seam::Timestamp;
use uuid::Uuid;

pub(super) const FIND: &str = "SELECT id FROM customers WHERE issuer = $1 AND subject = $2";

pub(super) const ADD: &str = "INSERT INTO customers (issuer, subject, id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

pub(super) const CUSTOMERS: &str = "SELECT issuer, subject, id FROM customers ORDER BY issuer, subject";

pub(super) const UNTRIED: &str = "SELECT coalesce(max(up_to), 0) FROM effects_untried";

pub(super) const MARK_UNTRIED: &str = "INSERT INTO effects_untried (up_to) VALUES ($1)";

/// Claims what nobody has claimed, or what failed.
pub(super) const CLAIM: &str = "
    INSERT INTO effects AS noted (event, effect, stage, since) VALUES ($1, $2, 'claimed', $3)
    ON CONFLICT (event, effect) DO UPDATE SET stage = 'claimed', since = $3, failure = NULL WHERE noted.stage = 'failed'";

pub(super) const STAGE: &str = "SELECT stage, since FROM effects WHERE event = $1 AND effect = $2";

pub(super) const DONE: &str = "
    INSERT INTO effects AS noted (event, effect, stage, since) VALUES ($1, $2, 'done', 0)
    ON CONFLICT (event, effect) DO UPDATE SET stage = 'done', failure = NULL";

pub(super) const FAILED: &str = "
    UPDATE effects SET stage = 'failed', failure = $3 WHERE event = $1 AND effect = $2 AND stage = 'claimed'";

pub(super) const UNRESOLVED: &str = "
    SELECT event, effect, since, failure FROM effects WHERE stage <> 'done' ORDER BY since, event, effect LIMIT $1";

/// What is answered to whoever did not get a claim, as it is stored; none if it has failed meanwhile, and can be claimed.
pub(super) fn refused((stage, since): (String, i64)) -> Option<Claim> {
    if stage == Stage::Done.as_str() {
        return Some(Claim::Done);
    }
    (stage == Stage::Claimed.as_str()).then_some(Claim::Claimed { since: Timestamp(since) })
}

pub(super) fn customer((issuer, subject, id): (String, String, Uuid)) -> (Principal, Uuid) {
    (Principal { issuer, subject, roles: Vec::new() }, id)
}

pub(super) fn unresolved((event, name, since, failure): (Uuid, String, i64, Option<String>)) -> Unresolved {
    Unresolved { event: EventId(event), name, since: Timestamp(since), failure }
}

pub(super) fn failed(error: sqlx::Error) -> VaultError {
    VaultError(error.to_string())
}

/// Makes what wraps a pool of connections a vault and an effect ledger.
macro_rules! vault_in_sql {
    ($vault:ident) => {
        const _: () = {
            use futures_util::future::{BoxFuture, FutureExt};
            use uuid::Uuid;
            use $crate::event_log::Position;
            use $crate::identity::Principal;
            use $crate::seam::Timestamp;
            use $crate::vault::effects::{Claim, Effect, EffectLedger, Unresolved};
            use $crate::vault::{Vault, VaultError, sql};

            impl $vault {
                async fn look_up(&self, principal: &Principal) -> Result<Option<Uuid>, sqlx::Error> {
                    sqlx::query_scalar(sql::FIND)
                        .bind(&principal.issuer)
                        .bind(&principal.subject)
                        .fetch_optional(&self.0)
                        .await
                }

                async fn look_up_or_add(&self, principal: &Principal, new: Uuid) -> Result<Uuid, sqlx::Error> {
                    loop {
                        if let Some(id) = self.look_up(principal).await? {
                            return Ok(id);
                        }
                        let (issuer, subject) = (&principal.issuer, &principal.subject);
                        sqlx::query(sql::ADD).bind(issuer).bind(subject).bind(new).execute(&self.0).await?;
                    }
                }

                async fn claim_effect(&self, effect: Effect<'_>, now: Timestamp) -> Result<Claim, sqlx::Error> {
                    let untried: i64 = sqlx::query_scalar(sql::UNTRIED).fetch_one(&self.0).await?;
                    if effect.position.0 <= untried.cast_unsigned() {
                        return Ok(Claim::NotToBeTried);
                    }
                    let (event, name) = (effect.event.0, effect.name);
                    loop {
                        let claimed =
                            sqlx::query(sql::CLAIM).bind(event).bind(name).bind(now.0).execute(&self.0).await?;
                        if claimed.rows_affected() == 1 {
                            return Ok(Claim::Granted);
                        }
                        let stored = sqlx::query_as(sql::STAGE).bind(event).bind(name).fetch_one(&self.0).await?;
                        if let Some(refused) = sql::refused(stored) {
                            return Ok(refused);
                        }
                    }
                }
            }

            impl Vault for $vault {
                fn find<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Option<Uuid>, VaultError>> {
                    async move { self.look_up(principal).await.map_err(sql::failed) }.boxed()
                }

                fn find_or_add<'a>(
                    &'a self,
                    principal: &'a Principal,
                    new: Uuid,
                ) -> BoxFuture<'a, Result<Uuid, VaultError>> {
                    async move { self.look_up_or_add(principal, new).await.map_err(sql::failed) }.boxed()
                }
            }

            impl EffectLedger for $vault {
                fn claim<'a>(&'a self, effect: Effect<'a>, now: Timestamp) -> BoxFuture<'a, Result<Claim, VaultError>> {
                    async move { self.claim_effect(effect, now).await.map_err(sql::failed) }.boxed()
                }

                fn done<'a>(&'a self, effect: Effect<'a>) -> BoxFuture<'a, Result<(), VaultError>> {
                    let done = sqlx::query(sql::DONE).bind(effect.event.0).bind(effect.name).execute(&self.0);
                    async move { done.await.map(drop).map_err(sql::failed) }.boxed()
                }

                fn failed<'a>(&'a self, effect: Effect<'a>, reason: &'a str) -> BoxFuture<'a, Result<(), VaultError>> {
                    let noted = sqlx::query(sql::FAILED).bind(effect.event.0).bind(effect.name).bind(reason);
                    async move { noted.execute(&self.0).await.map(drop).map_err(sql::failed) }.boxed()
                }

                fn mark_untried(&self, up_to: Position) -> BoxFuture<'_, Result<(), VaultError>> {
                    let marked = sqlx::query(sql::MARK_UNTRIED).bind(i64::try_from(up_to.0).unwrap_or(i64::MAX));
                    async move { marked.execute(&self.0).await.map(drop).map_err(sql::failed) }.boxed()
                }

                fn unresolved(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Unresolved>, VaultError>> {
                    let rows = sqlx::query_as(sql::UNRESOLVED).bind(i64::try_from(limit).unwrap_or(i64::MAX));
                    async move {
                        let rows = rows.fetch_all(&self.0).await.map_err(sql::failed)?;
                        Ok(rows.into_iter().map(sql::unresolved).collect())
                    }
                    .boxed()
                }
            }
        };
    };
}
pub(super) use vault_in_sql;
