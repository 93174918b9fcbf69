//! The secret by which the nodes of a deployment know each other.

use sha2::{Digest, Sha256};
use thiserror::Error;
use tonic::Status;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

/// The shortest secret, in characters.
const SHORTEST: usize = 32;

/// The longest secret, in characters.
const LONGEST: usize = 1_024;

/// Why a text is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the nodes' secret has {SHORTEST} to {LONGEST} visible ASCII characters")]
pub struct SecretError;

/// The secret, as it is sent: `Bearer <secret>`.
#[derive(Clone)]
pub struct Secret(MetadataValue<Ascii>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl Secret {
    /// Fails on a short or unprintable text.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if !(SHORTEST..=LONGEST).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretError);
        }
        let mut value: MetadataValue<Ascii> = format!("Bearer {text}").parse().map_err(|_| SecretError)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// Says who calls.
    pub(crate) fn sign(&self, metadata: &mut MetadataMap) {
        metadata.insert("authorization", self.0.clone());
    }

    /// Fails unless the caller knows the secret. How long that takes says nothing of it.
    pub(crate) fn verify(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let sent = metadata.get("authorization").map(MetadataValue::as_bytes).unwrap_or_default();
        let [sent, own] = [sent, self.0.as_bytes()].map(Sha256::digest);
        let different = sent.iter().zip(own.iter()).fold(0, |different, (one, other)| different | (one ^ other));
        if std::hint::black_box(different) == 0 { Ok(()) } else { Err(Status::unauthenticated("nodes only")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_is_believed_and_it_is_never_shown() {
        let text = "0123456789abcdef0123456789abcdef";
        let secret = Secret::parse(text).unwrap();
        assert!(!format!("{secret:?}").contains("0123"));
        let verified = |value: Option<&str>| {
            let mut metadata = MetadataMap::new();
            if let Some(value) = value {
                metadata.insert("authorization", value.parse().unwrap());
            }
            secret.verify(&metadata).is_ok()
        };
        assert!(verified(Some(&format!("Bearer {text}"))));
        for wrong in [text.to_owned(), format!("Bearer {}", &text[1..]), format!("Bearer {text}0"), String::new()] {
            assert!(!verified(Some(&wrong)), "{wrong}");
        }
        assert!(!verified(None));
    }

    #[test]
    fn a_secret_is_long_and_printable() {
        for text in ["", "short", &"a b".repeat(20), &"é".repeat(32), &"x".repeat(LONGEST + 1)] {
            assert_eq!(Secret::parse(text).map(|_| ()), Err(SecretError), "{text}");
        }
    }
}
