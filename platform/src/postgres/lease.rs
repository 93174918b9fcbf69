//! Leases: time-limited rights that one node has at a time, such as to be the log's writer.
//!
//! A lease is a row. Its *epoch* counts its owners; whoever acts under a lease where that matters checks the epoch under
//! the log's lock, under which leases change hands. The time is the database's alone.

use super::transaction::Transaction;
use super::{connect, lock_log};
use futures_util::future::BoxFuture;
use sqlx::PgPool;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS leases (
        name text PRIMARY KEY, owner uuid NOT NULL, address text NOT NULL,
        epoch bigint NOT NULL, expires_at timestamptz NOT NULL)";

/// Takes a lease that is free, expired or the owner's own.
const ACQUIRE: &str = "
    INSERT INTO leases AS held (name, owner, address, epoch, expires_at)
    VALUES ($1, $2, $3, 1, clock_timestamp() + make_interval(secs => $4))
    ON CONFLICT (name) DO UPDATE
        SET owner = excluded.owner, address = excluded.address, epoch = held.epoch + 1, expires_at = excluded.expires_at
        WHERE held.expires_at < clock_timestamp() OR held.owner = excluded.owner
    RETURNING epoch";

const RENEW: &str = "
    UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => $4)
    WHERE name = $1 AND owner = $2 AND epoch = $3";

const RELEASE: &str = "
    UPDATE leases SET expires_at = '-infinity' WHERE name = $1 AND owner = $2 AND epoch = $3";

const HOLDER: &str =
    "SELECT address, epoch FROM leases WHERE name = $1 AND owner <> $2 AND expires_at >= clock_timestamp()";

/// Counts the owners of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// Who has a lease, as far as this node knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// This node, at least until then unless it hears otherwise.
    Ours {
        /// Under which epoch.
        epoch: Epoch,
        /// When it ends, if it is not renewed.
        until: Instant,
    },
    /// Another node, which is reached there.
    Theirs {
        /// Where, such as `127.0.0.1:9000`.
        address: String,
        /// Under which epoch.
        epoch: Epoch,
    },
    /// Nobody, or the database does not say.
    Unknown,
}

/// Why leases do not change.
#[derive(Debug, Error)]
#[error("the leases cannot be read or written: {0}")]
pub struct LeaseError(#[from] sqlx::Error);

/// What a lease is for, and who wants it.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The lease's name.
    pub name: &'static str,
    /// This process, and no other before or after it.
    pub owner: Uuid,
    /// Where other nodes reach it.
    pub address: String,
    /// How long the lease is good without being renewed.
    pub ttl: Duration,
}

/// A lease that this node wants, has, or has lost.
pub struct Lease {
    pool: PgPool,
    terms: Terms,
    standing: watch::Sender<Standing>,
}

impl Lease {
    /// Knows the lease's table; nothing is taken yet.
    pub async fn open(url: &str, terms: Terms) -> Result<Self, LeaseError> {
        // One to renew, and one that may wait for the log's lock.
        let pool = connect(url, 2).await?;
        let mut transaction = pool.begin().await?;
        lock_log(&mut transaction).await?;
        sqlx::query(CREATE).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Self { pool, terms, standing: watch::Sender::new(Standing::Unknown) })
    }

    /// Told whenever the standing changes, and when it is renewed.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Takes the lease whenever it is free, and renews it, until it is stopped; then it is given back.
    pub async fn keep(&self, stop: CancellationToken) {
        let mut beat = interval(self.terms.ttl / 5);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(beat.tick()).await.is_some() {
            let asked_at = Instant::now();
            let before = self.standing.borrow().clone();
            // A database that does not answer must not keep a lease alive in our eyes.
            let answered = tokio::time::timeout(self.terms.ttl, self.look(&before, asked_at)).await;
            let standing = match answered {
                Ok(Ok(standing)) => standing,
                Ok(Err(error)) => {
                    tracing::warn!(lease = self.terms.name, %error, "the lease could not be looked at");
                    still_ours(before)
                }
                Err(_) => still_ours(before),
            };
            self.announce(standing);
        }
        self.release().await;
    }

    /// Learns who has the lease, without wanting it, until it is stopped.
    pub async fn observe(&self, stop: CancellationToken) {
        let mut beat = interval(self.terms.ttl / 5);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(beat.tick()).await.is_some() {
            match tokio::time::timeout(self.terms.ttl, self.holder()).await {
                Ok(Ok(holder)) => self.announce(holder.unwrap_or(Standing::Unknown)),
                // Whoever had it may still have it.
                Ok(Err(error)) => tracing::warn!(lease = self.terms.name, %error, "the lease could not be looked at"),
                Err(_) => tracing::warn!(lease = self.terms.name, "the lease could not be looked at in time"),
            }
        }
    }

    async fn look(&self, before: &Standing, asked_at: Instant) -> Result<Standing, LeaseError> {
        let Terms { name, owner, ttl, .. } = &self.terms;
        let until = asked_at + *ttl;
        if let Standing::Ours { epoch, .. } = before {
            let renewed = sqlx::query(RENEW)
                .bind(name)
                .bind(owner)
                .bind(epoch.0.cast_signed())
                .bind(ttl.as_secs_f64())
                .execute(&self.pool)
                .await?;
            if renewed.rows_affected() == 1 {
                return Ok(Standing::Ours { epoch: *epoch, until });
            }
        }
        if let Some(holder) = self.holder().await? {
            return Ok(holder);
        }
        match self.acquire().await? {
            Some(epoch) => Ok(Standing::Ours { epoch, until }),
            None => Ok(self.holder().await?.unwrap_or(Standing::Unknown)),
        }
    }

    /// Takes the lease under the log's lock, if it is free.
    async fn acquire(&self) -> Result<Option<Epoch>, LeaseError> {
        let Terms { name, owner, address, ttl } = &self.terms;
        // This may be given up at any moment: see [`Transaction`].
        let mut transaction = Transaction::begin(&self.pool).await?;
        lock_log(&mut transaction).await?;
        let epoch: Option<i64> = sqlx::query_scalar(ACQUIRE)
            .bind(name)
            .bind(owner)
            .bind(address)
            .bind(ttl.as_secs_f64())
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(epoch.map(|epoch| Epoch(epoch.cast_unsigned())))
    }

    /// Which other node has it now.
    async fn holder(&self) -> Result<Option<Standing>, LeaseError> {
        let row: Option<(String, i64)> =
            sqlx::query_as(HOLDER).bind(self.terms.name).bind(self.terms.owner).fetch_optional(&self.pool).await?;
        Ok(row.map(|(address, epoch)| Standing::Theirs { address, epoch: Epoch(epoch.cast_unsigned()) }))
    }

    /// Gives the lease back, so that the next owner need not wait for its end.
    async fn release(&self) {
        let standing = self.standing.send_replace(Standing::Unknown);
        let Standing::Ours { epoch, .. } = standing else { return };
        let Terms { name, owner, ttl, .. } = &self.terms;
        let given_back = sqlx::query(RELEASE).bind(name).bind(owner).bind(epoch.0.cast_signed()).execute(&self.pool);
        if !matches!(tokio::time::timeout(*ttl, given_back).await, Ok(Ok(_))) {
            tracing::warn!(lease = name, "the lease could not be given back; it ends by itself");
        }
    }

    fn announce(&self, standing: Standing) {
        let before = self.standing.send_replace(standing.clone());
        if before != standing && !matches!((&before, &standing), (Standing::Ours { .. }, Standing::Ours { .. })) {
            tracing::info!(lease = self.terms.name, ?standing, "the lease has another owner");
        }
    }
}

/// What is known when the database does not answer: a lease that has not ended is still ours.
fn still_ours(before: Standing) -> Standing {
    match before {
        Standing::Ours { until, .. } if until > Instant::now() => before,
        _ => Standing::Unknown,
    }
}

/// Does `work` whenever the lease is this node's, until it is stopped. The token that the work is given is cancelled when
/// the lease is lost, or may be: the database has not renewed it in time.
pub async fn while_ours(
    mut standing: watch::Receiver<Standing>,
    stop: CancellationToken,
    work: impl Fn(CancellationToken) -> BoxFuture<'static, ()>,
) {
    while !stop.is_cancelled() {
        // One that has ended without being renewed may be another's already.
        let is_ours = |standing: &Standing| matches!(standing, Standing::Ours { until, .. } if *until > Instant::now());
        let ours = standing.wait_for(is_ours);
        let Some(Ok(epoch)) = stop.run_until_cancelled(async { ours.await.map(|ours| epoch_of(&ours)) }).await else {
            return;
        };
        let tenure = stop.child_token();
        let over = async {
            lost(&mut standing, epoch).await;
            tenure.cancel();
        };
        tokio::join!(work(tenure.clone()), tenure.run_until_cancelled(over));
    }
}

/// Waits until a lease that was ours under an epoch is not, or has ended without anybody saying so.
async fn lost(standing: &mut watch::Receiver<Standing>, ours: Option<Epoch>) {
    loop {
        let now = standing.borrow_and_update().clone();
        let Standing::Ours { epoch, until } = now else { return };
        // Without the sender nobody renews it.
        if Some(epoch) != ours || !matches!(timeout_at(until, standing.changed()).await, Ok(Ok(()))) {
            return;
        }
    }
}

fn epoch_of(standing: &Standing) -> Option<Epoch> {
    match standing {
        Standing::Ours { epoch, .. } => Some(*epoch),
        Standing::Theirs { .. } | Standing::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::scratch::Scratch;
    use futures_util::future::FutureExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::timeout;

    const TTL: Duration = Duration::from_millis(500);
    const DEADLINE: Duration = Duration::from_secs(20);

    async fn lease(scratch: &Scratch, owner: u128) -> Lease {
        let terms = Terms { name: "writer", owner: Uuid::from_u128(owner), address: format!("node-{owner}"), ttl: TTL };
        Lease::open(&scratch.url, terms).await.unwrap()
    }

    async fn ours(lease: &Lease) -> Epoch {
        let mut standing = lease.standing();
        let ours = standing.wait_for(|standing| matches!(standing, Standing::Ours { .. }));
        epoch_of(&timeout(DEADLINE, ours).await.unwrap().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn one_has_it_until_it_ends_or_is_given_back() {
        let Some(scratch) = Scratch::new().await else { return };
        let (one, other) = (lease(&scratch, 1).await, lease(&scratch, 2).await);
        let (stop_one, stop_other) = (CancellationToken::new(), CancellationToken::new());
        let story = async {
            assert_eq!(ours(&one).await, Epoch(1));
            // The other one learns whose it is.
            let (mut theirs, keeping) = (other.standing(), other.keep(stop_other.clone()));
            let taken_over = async {
                let is_theirs =
                    |standing: &Standing| matches!(standing, Standing::Theirs { address, .. } if address == "node-1");
                timeout(DEADLINE, theirs.wait_for(is_theirs)).await.unwrap().unwrap();
                stop_one.cancel();
                assert_eq!(ours(&other).await, Epoch(2), "given back, it has another owner");
                stop_other.cancel();
            };
            tokio::join!(keeping, taken_over);
        };
        tokio::join!(one.keep(stop_one.clone()), story);
    }

    #[tokio::test]
    async fn who_does_not_renew_loses_it_and_notices() {
        let Some(scratch) = Scratch::new().await else { return };
        let (one, other) = (lease(&scratch, 1).await, lease(&scratch, 2).await);
        let stop = CancellationToken::new();
        // As a process that is stopped and does not know: it took the lease, and then nothing.
        let keeping = async {
            let first = stop.child_token();
            tokio::select! {
                () = one.keep(first.clone()) => {}
                epoch = ours(&one) => assert_eq!(epoch, Epoch(1)),
            }
        };
        keeping.await;
        let story = async {
            assert_eq!(ours(&other).await, Epoch(2));
            assert!(matches!(*one.standing().borrow(), Standing::Ours { .. }), "it has not heard of it");
            let again = stop.child_token();
            let mut standing = one.standing();
            let noticed = async {
                let is_theirs = |standing: &Standing| matches!(standing, Standing::Theirs { .. });
                timeout(DEADLINE, standing.wait_for(is_theirs)).await.unwrap().unwrap();
                again.cancel();
            };
            tokio::join!(one.keep(again.clone()), noticed);
            stop.cancel();
        };
        tokio::join!(other.keep(stop.clone()), story);
    }

    #[tokio::test]
    async fn work_is_done_only_while_it_is_ours() {
        let (standing, stop) = (watch::Sender::new(Standing::Unknown), CancellationToken::new());
        let at_work = Arc::new(AtomicUsize::new(0));
        let working = while_ours(standing.subscribe(), stop.clone(), |tenure| {
            let at_work = Arc::clone(&at_work);
            async move {
                at_work.fetch_add(1, Ordering::SeqCst);
                tenure.cancelled().await;
                at_work.fetch_sub(1, Ordering::SeqCst);
            }
            .boxed()
        });
        let becomes = async |count: usize| {
            while at_work.load(Ordering::SeqCst) != count {
                tokio::task::yield_now().await;
            }
        };
        let ours = |epoch| Standing::Ours { epoch: Epoch(epoch), until: Instant::now() + DEADLINE };
        let story = async {
            tokio::task::yield_now().await;
            assert_eq!(at_work.load(Ordering::SeqCst), 0);
            standing.send_replace(ours(1));
            becomes(1).await;
            standing.send_replace(ours(1));
            tokio::task::yield_now().await;
            assert_eq!(at_work.load(Ordering::SeqCst), 1, "renewed");
            standing.send_replace(Standing::Unknown);
            becomes(0).await;
            standing.send_replace(ours(3));
            becomes(1).await;
            stop.cancel();
        };
        timeout(DEADLINE, async { tokio::join!(working, story) }).await.unwrap();
        assert_eq!(at_work.load(Ordering::SeqCst), 0);
    }
}
