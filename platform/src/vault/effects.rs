//! The effect ledger: what was done to the outside world because of an event, so that nothing is done twice.

use super::VaultError;
use crate::event_log::{EventId, Position};
use crate::seam::Timestamp;
use futures_util::future::BoxFuture;

/// What is to be done because of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect<'a> {
    /// Because of which event.
    pub event: EventId,
    /// Where that event is.
    pub position: Position,
    /// What is done, such as `refund`: an event may have several effects. Together with the event's id it is the key of
    /// the ledger, and the provider's idempotency key.
    pub name: &'a str,
}

/// What the ledger says to whoever is about to do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nobody has done it, as far as is known: it may be tried, and its outcome has to be told.
    Granted,
    /// It was done.
    Done,
    /// Somebody was about to do it and has not told the outcome: it is under way, or whoever it was is no more. A provider
    /// that is asked again with the same key tells.
    Claimed {
        /// When it was claimed.
        since: Timestamp,
    },
    /// It belongs to a log that came without its ledger: nobody knows, and it is not to be tried.
    NotToBeTried,
}

/// An effect whose outcome is not known, or that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// Because of which event.
    pub event: EventId,
    /// What was to be done.
    pub name: String,
    /// When it was claimed last.
    pub since: Timestamp,
    /// Why it failed, if it is known to have.
    pub failure: Option<String>,
}

/// Remembers effects: claimed before they are tried, then done or failed. What it answered is durable.
pub trait EffectLedger: Send + Sync {
    /// Claims an effect at a time. Of several at once one is granted; one that failed is granted again.
    fn claim<'a>(&'a self, effect: Effect<'a>, now: Timestamp) -> BoxFuture<'a, Result<Claim, VaultError>>;

    /// Notes that it was done, for good.
    fn done<'a>(&'a self, effect: Effect<'a>) -> BoxFuture<'a, Result<(), VaultError>>;

    /// Notes that what was claimed was not done, and why.
    fn failed<'a>(&'a self, effect: Effect<'a>, reason: &'a str) -> BoxFuture<'a, Result<(), VaultError>>;

    /// Marks every effect of events up to a position as not to be tried: of a log that was imported without its ledger.
    fn mark_untried(&self, up_to: Position) -> BoxFuture<'_, Result<(), VaultError>>;

    /// Those that are claimed or failed, those that were claimed first before others, at most `limit` of them.
    fn unresolved(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Unresolved>, VaultError>>;
}

/// How far an effect has come, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Claimed,
    Done,
    Failed,
}

impl Stage {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
pub(super) mod conformance {
    use super::*;
    use futures_util::future::join_all;
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp(1_000);

    fn effect(position: u64, name: &str) -> Effect<'_> {
        Effect { event: EventId(Uuid::from_u128(u128::from(position))), position: Position(position), name }
    }

    /// What every ledger has to do.
    pub(in crate::vault) async fn run(ledger: &dyn EffectLedger) {
        an_effect_is_done_once(ledger).await;
        what_failed_may_be_tried_again(ledger).await;
        one_of_many_is_granted_it(ledger).await;
        what_came_without_its_ledger_is_not_tried(ledger).await;
    }

    async fn an_effect_is_done_once(ledger: &dyn EffectLedger) {
        let (refund, mail) = (effect(1, "refund"), effect(1, "mail"));
        assert_eq!(ledger.claim(refund, NOW).await.unwrap(), Claim::Granted);
        assert_eq!(ledger.claim(refund, Timestamp(2_000)).await.unwrap(), Claim::Claimed { since: NOW });
        assert_eq!(ledger.claim(mail, NOW).await.unwrap(), Claim::Granted, "another effect of the same event");
        assert_eq!(ledger.claim(effect(2, "refund"), NOW).await.unwrap(), Claim::Granted, "the same of another event");
        ledger.done(refund).await.unwrap();
        ledger.done(refund).await.unwrap();
        assert_eq!(ledger.claim(refund, NOW).await.unwrap(), Claim::Done);
        ledger.failed(refund, "too late").await.unwrap();
        assert_eq!(ledger.claim(refund, NOW).await.unwrap(), Claim::Done, "what was done stays done");
        for effect in [mail, effect(2, "refund")] {
            ledger.done(effect).await.unwrap();
        }
        assert_eq!(ledger.unresolved(10).await.unwrap(), []);
        ledger.done(effect(3, "unclaimed")).await.unwrap();
        assert_eq!(ledger.claim(effect(3, "unclaimed"), NOW).await.unwrap(), Claim::Done);
    }

    async fn what_failed_may_be_tried_again(ledger: &dyn EffectLedger) {
        let (first, second) = (effect(5, "refund"), effect(4, "refund"));
        assert_eq!(ledger.claim(first, Timestamp(10)).await.unwrap(), Claim::Granted);
        assert_eq!(ledger.claim(second, Timestamp(20)).await.unwrap(), Claim::Granted);
        ledger.failed(second, "the provider refused it").await.unwrap();
        let unresolved = |effect: Effect<'_>, since, failure: Option<&str>| Unresolved {
            event: effect.event,
            name: effect.name.to_owned(),
            since: Timestamp(since),
            failure: failure.map(str::to_owned),
        };
        let both = [unresolved(first, 10, None), unresolved(second, 20, Some("the provider refused it"))];
        assert_eq!(ledger.unresolved(10).await.unwrap(), both);
        assert_eq!(ledger.unresolved(1).await.unwrap(), both[..1]);
        assert_eq!(ledger.claim(second, Timestamp(30)).await.unwrap(), Claim::Granted);
        assert_eq!(ledger.claim(second, Timestamp(40)).await.unwrap(), Claim::Claimed { since: Timestamp(30) });
        assert_eq!(ledger.unresolved(10).await.unwrap()[1], unresolved(second, 30, None));
        ledger.failed(effect(6, "unclaimed"), "never begun").await.unwrap();
        assert_eq!(ledger.unresolved(10).await.unwrap().len(), 2, "what was not claimed cannot fail");
        for effect in [first, second] {
            ledger.done(effect).await.unwrap();
        }
    }

    async fn one_of_many_is_granted_it(ledger: &dyn EffectLedger) {
        let claims = join_all((0..20).map(|_| ledger.claim(effect(7, "refund"), NOW))).await;
        let claims: Vec<_> = claims.into_iter().map(Result::unwrap).collect();
        assert_eq!(claims.iter().filter(|claim| **claim == Claim::Granted).count(), 1, "{claims:?}");
        assert_eq!(claims.iter().filter(|claim| **claim == Claim::Claimed { since: NOW }).count(), 19, "{claims:?}");
    }

    async fn what_came_without_its_ledger_is_not_tried(ledger: &dyn EffectLedger) {
        ledger.mark_untried(Position(100)).await.unwrap();
        ledger.mark_untried(Position(50)).await.unwrap();
        assert_eq!(ledger.claim(effect(100, "refund"), NOW).await.unwrap(), Claim::NotToBeTried);
        assert_eq!(ledger.claim(effect(101, "refund"), NOW).await.unwrap(), Claim::Granted);
    }
}
