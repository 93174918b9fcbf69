//! The effect ledger: what was done outside because of an event, noted before it is tried, so that nothing is done twice.

use super::VaultError;
use crate::event_log::{EventId, Position};
use futures_util::future::BoxFuture;

/// An act outside that an event causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The event.
    pub event: EventId,
    /// Where it lies in the log.
    pub position: Position,
    /// What it causes: one event may cause several.
    pub name: &'static str,
}

/// Whether an effect may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Now, by whoever asked; it is noted.
    Granted,
    /// Somebody has begun it and not said how it ended: it may be repeated where the provider tells repeats by the effect's
    /// key, and by nobody else.
    Begun,
    /// It is done, or has failed for good.
    Settled,
    /// The event came with a log from elsewhere, and what it caused was done there, or not: nobody knows.
    NotToBeTried,
}

impl Claim {
    /// Out of whether the claim is new, and the state that is noted.
    pub(super) fn of(is_new: bool, state: &str) -> Self {
        match state {
            _ if is_new => Self::Granted,
            "claimed" => Self::Begun,
            _ => Self::Settled,
        }
    }
}

/// Notes effects. It lies in the vault: it is neither appended to only, nor rebuilt.
pub trait EffectLedger: Send + Sync {
    /// Claims an effect, durably, before it is tried.
    fn claim<'a>(&'a self, effect: &'a Effect) -> BoxFuture<'a, Result<Claim, VaultError>>;

    /// Notes how a claimed effect ended: well, or with this failure, for good.
    fn settle<'a>(&'a self, effect: &'a Effect, failure: Option<&'a str>) -> BoxFuture<'a, Result<(), VaultError>>;

    /// Effects of events up to a position are never tried: a log came without its ledger.
    fn begin_after(&self, position: Position) -> BoxFuture<'_, Result<(), VaultError>>;
}

#[cfg(test)]
pub(super) mod conformance {
    use super::*;
    use uuid::Uuid;

    /// What every ledger has to do.
    pub(in crate::vault) async fn run(ledger: &dyn EffectLedger) {
        let effect = |event, position, name| Effect {
            event: EventId(Uuid::from_u128(event)),
            position: Position(position),
            name,
        };
        let (paid, mailed) = (effect(1, 5, "pay"), effect(1, 5, "mail"));
        assert_eq!(ledger.claim(&paid).await.unwrap(), Claim::Granted);
        assert_eq!(ledger.claim(&paid).await.unwrap(), Claim::Begun, "somebody has it");
        assert_eq!(ledger.claim(&mailed).await.unwrap(), Claim::Granted, "another effect of the same event");
        ledger.settle(&paid, None).await.unwrap();
        ledger.settle(&mailed, Some("no such address")).await.unwrap();
        assert_eq!(ledger.claim(&paid).await.unwrap(), Claim::Settled);
        assert_eq!(ledger.claim(&mailed).await.unwrap(), Claim::Settled);
        ledger.begin_after(Position(7)).await.unwrap();
        ledger.begin_after(Position(6)).await.unwrap();
        assert_eq!(ledger.claim(&effect(2, 7, "pay")).await.unwrap(), Claim::NotToBeTried);
        assert_eq!(ledger.claim(&effect(3, 8, "pay")).await.unwrap(), Claim::Granted);
        let claims = (0..8).map(async |_| ledger.claim(&effect(4, 9, "pay")).await.unwrap());
        let claims = futures_util::future::join_all(claims).await;
        assert_eq!(
            claims.iter().filter(|claim| **claim == Claim::Granted).count(),
            1,
            "one of many has it: {claims:?}"
        );
    }
}
