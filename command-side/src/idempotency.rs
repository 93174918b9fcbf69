//! Idempotency keys (draft-ietf-httpapi-idempotency-key-header-07): the same key of the same principal for the same
//! operation is the same command, and the events it left are its record.

use platform::event_log::{BodyHash, CommandId};
use platform::identity::Principal;
use platform::seam::Seam;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Builder;

/// The id of the command that `principal` sends with `key` to `operation` (method and path); a random one without a key.
pub(crate) fn command_id(principal: &Principal, operation: &str, key: Option<&str>, seam: &Seam) -> CommandId {
    let Some(key) = key else { return CommandId(seam.uuid()) };
    of_parts(&[&principal.issuer, &principal.subject, operation, key])
}

/// The id of the command that a webhook brings: the sender's name of the message tells its repeats.
pub(crate) fn of_webhook(id: &str) -> CommandId {
    of_parts(&["webhook", id])
}

fn of_parts(parts: &[&str]) -> CommandId {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    CommandId(Builder::from_custom_bytes(bytes).into_uuid())
}

/// A digest of the body as it was understood: white space and the order of fields do not count.
pub(crate) fn body_hash(body: &impl Serialize) -> BodyHash {
    let canonical = serde_json::to_vec(body).expect("a body that came as JSON can be written as JSON");
    BodyHash(Sha256::digest(canonical).into())
}
