//! A vault in memory: for tests, and gone with the process.

use super::{Vault, VaultError};
use crate::identity::Principal;
use futures_util::future::{BoxFuture, FutureExt};
use std::collections::HashMap;
use std::sync::Mutex;
use uuid::Uuid;

/// The vault.
#[derive(Default)]
pub struct MemoryVault(Mutex<HashMap<(String, String), Uuid>>);

impl Vault for MemoryVault {
    fn find<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Option<Uuid>, VaultError>> {
        let customers = self.0.lock().expect("nothing panics while it holds the customers");
        let id = customers.get(&(principal.issuer.clone(), principal.subject.clone())).copied();
        std::future::ready(Ok(id)).boxed()
    }

    fn find_or_add<'a>(&'a self, principal: &'a Principal, new: Uuid) -> BoxFuture<'a, Result<Uuid, VaultError>> {
        let mut customers = self.0.lock().expect("nothing panics while it holds the customers");
        let id = *customers.entry((principal.issuer.clone(), principal.subject.clone())).or_insert(new);
        std::future::ready(Ok(id)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::conformance;

    #[tokio::test]
    async fn conforms() {
        conformance::run(&MemoryVault::default()).await;
    }
}
