//! The vault: who customers are. Events name a customer by a random id, and only the vault knows whose it is.

pub mod effects;
pub mod memory;
pub mod postgres;
mod sql;
pub mod sqlite;

use crate::identity::Principal;
use futures_util::future::BoxFuture;
use thiserror::Error;
use uuid::Uuid;

/// Why the vault does not answer.
#[derive(Debug, Clone, Error)]
#[error("the vault does not answer: {0}")]
pub struct VaultError(pub String);

/// Keeps the ids of customers, each of a subject that an issuer vouches for.
pub trait Vault: Send + Sync {
    /// The customer's id, if there is one yet.
    fn find<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Option<Uuid>, VaultError>>;

    /// The customer's id: `new` if there was none, which is durable then. Of several at once, all get the same.
    fn find_or_add<'a>(&'a self, principal: &'a Principal, new: Uuid) -> BoxFuture<'a, Result<Uuid, VaultError>>;
}

#[cfg(test)]
mod conformance {
    use super::*;

    /// What every vault has to do.
    pub(super) async fn run(vault: &dyn Vault) {
        let who = |issuer: &str, subject: &str| Principal {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            roles: Vec::new(),
        };
        let (ann, other_ann) = (who("here", "ann"), who("there", "ann"));
        assert_eq!(vault.find(&ann).await.unwrap(), None);
        let first = vault.find_or_add(&ann, Uuid::from_u128(1)).await.unwrap();
        assert_eq!(first, Uuid::from_u128(1));
        assert_eq!(vault.find_or_add(&ann, Uuid::from_u128(2)).await.unwrap(), first);
        assert_eq!(vault.find(&ann).await.unwrap(), Some(first));
        assert_eq!(vault.find(&other_ann).await.unwrap(), None);
        let second = vault.find_or_add(&other_ann, Uuid::from_u128(3)).await.unwrap();
        assert_eq!(second, Uuid::from_u128(3));
        let bob = who("here", "bob");
        let many = (10..30).map(|n| vault.find_or_add(&bob, Uuid::from_u128(n)));
        let many: Vec<_> = futures_util::future::join_all(many).await.into_iter().map(Result::unwrap).collect();
        assert!(many.iter().all(|id| *id == many[0]), "one subject is one customer");
    }
}
