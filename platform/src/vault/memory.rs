//! A vault in memory: for tests, and gone with the process.

use super::effects::{Claim, Effect, EffectLedger, Stage, Unresolved};
use super::{Vault, VaultError};
use crate::event_log::{EventId, Position};
use crate::identity::Principal;
use crate::seam::Timestamp;
use futures_util::future::{BoxFuture, FutureExt, ready};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// The vault.
#[derive(Default)]
pub struct MemoryVault {
    customers: Mutex<HashMap<(String, String), Uuid>>,
    ledger: Mutex<Ledger>,
}

/// The effects, each with when it was claimed last and why it failed.
#[derive(Default)]
struct Ledger {
    untried: Position,
    effects: HashMap<(EventId, String), (Stage, Timestamp, String)>,
}

impl MemoryVault {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nothing panics while it holds the ledger")
    }
}

impl Vault for MemoryVault {
    fn find<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Option<Uuid>, VaultError>> {
        let customers = self.customers.lock().expect("nothing panics while it holds the customers");
        let id = customers.get(&(principal.issuer.clone(), principal.subject.clone())).copied();
        ready(Ok(id)).boxed()
    }

    fn find_or_add<'a>(&'a self, principal: &'a Principal, new: Uuid) -> BoxFuture<'a, Result<Uuid, VaultError>> {
        let mut customers = self.customers.lock().expect("nothing panics while it holds the customers");
        let id = *customers.entry((principal.issuer.clone(), principal.subject.clone())).or_insert(new);
        ready(Ok(id)).boxed()
    }
}

impl EffectLedger for MemoryVault {
    fn claim<'a>(&'a self, effect: Effect<'a>, now: Timestamp) -> BoxFuture<'a, Result<Claim, VaultError>> {
        let mut ledger = self.ledger();
        if effect.position <= ledger.untried {
            return ready(Ok(Claim::NotToBeTried)).boxed();
        }
        let key = (effect.event, effect.name.to_owned());
        let claim = match ledger.effects.get(&key) {
            Some((Stage::Done, ..)) => Claim::Done,
            Some((Stage::Claimed, since, _)) => Claim::Claimed { since: *since },
            Some((Stage::Failed, ..)) | None => {
                ledger.effects.insert(key, (Stage::Claimed, now, String::new()));
                Claim::Granted
            }
        };
        ready(Ok(claim)).boxed()
    }

    fn done<'a>(&'a self, effect: Effect<'a>) -> BoxFuture<'a, Result<(), VaultError>> {
        let done = (Stage::Done, Timestamp(0), String::new());
        self.ledger().effects.insert((effect.event, effect.name.to_owned()), done);
        ready(Ok(())).boxed()
    }

    fn failed<'a>(&'a self, effect: Effect<'a>, reason: &'a str) -> BoxFuture<'a, Result<(), VaultError>> {
        if let Some((stage @ Stage::Claimed, _, failure)) =
            self.ledger().effects.get_mut(&(effect.event, effect.name.to_owned()))
        {
            (*stage, *failure) = (Stage::Failed, reason.to_owned());
        }
        ready(Ok(())).boxed()
    }

    fn mark_untried(&self, up_to: Position) -> BoxFuture<'_, Result<(), VaultError>> {
        let mut ledger = self.ledger();
        ledger.untried = ledger.untried.max(up_to);
        ready(Ok(())).boxed()
    }

    fn unresolved(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Unresolved>, VaultError>> {
        let ledger = self.ledger();
        let mut unresolved: Vec<_> = ledger
            .effects
            .iter()
            .filter(|(_, (stage, ..))| *stage != Stage::Done)
            .map(|((event, name), (stage, since, failure))| Unresolved {
                event: *event,
                name: name.clone(),
                since: *since,
                failure: (*stage == Stage::Failed).then(|| failure.clone()),
            })
            .collect();
        unresolved
            .sort_by(|one, other| (one.since, one.event.0, &one.name).cmp(&(other.since, other.event.0, &other.name)));
        unresolved.truncate(limit);
        ready(Ok(unresolved)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{conformance, effects};

    #[tokio::test]
    async fn conforms() {
        conformance::run(&MemoryVault::default()).await;
        effects::conformance::run(&MemoryVault::default()).await;
    }
}
