//! Signed webhooks, as the Standard Webhooks specification has them: HMAC-SHA256 over id, time and body.

use crate::seam::Timestamp;
use crate::secret_file;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// How far the sender's clock may be off, either way, in seconds.
const TOLERANCE_S: i64 = 300;

/// What a secret's text begins with.
const PREFIX: &str = "whsec_";

/// Bytes of a secret that is made here.
const SECRET_BYTES: usize = 32;

/// Why there is no secret. No message shows any part of one.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file cannot be read or written.
    #[error("the webhook secret {} cannot be read or written: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} holds no webhook secret: expected `whsec_` and 16 to 512 bytes in base64", path.display())]
    NoneIn {
        /// Which file.
        path: PathBuf,
    },
    /// The text is something else.
    #[error("a webhook secret is `whsec_` and 16 to 512 bytes in base64")]
    NotASecret,
}

/// Why a message is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unbelievable {
    /// A header is missing or not in its form.
    #[error("`webhook-id`, `webhook-timestamp` (seconds since 1970) and `webhook-signature` are needed, once each")]
    Headers,
    /// It was signed too long ago, or will be.
    #[error("`webhook-timestamp` is more than five minutes off")]
    Time,
    /// No signature fits.
    #[error("no signature in `webhook-signature` fits id, time and body")]
    Signature,
}

/// What sender and receiver share.
pub struct Secret(hmac::Key);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Secret {
    /// Reads `whsec_` and base64.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(SecretError::NotASecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| SecretError::NotASecret)?;
        if !(16..=512).contains(&bytes.len()) {
            return Err(SecretError::NotASecret);
        }
        Ok(Self(hmac::Key::new(HMAC_SHA256, &bytes)))
    }

    /// The secret in `path`, or a new one, which is then there.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretError> {
        let file = |source| SecretError::File { path: path.to_owned(), source };
        if !path.exists() {
            let mut bytes = [0; SECRET_BYTES];
            // Not from the seam: a secret must never repeat.
            getrandom::fill(&mut bytes).map_err(|_| file(io::Error::other("no random numbers")))?;
            secret_file::create(path, format!("{PREFIX}{}\n", STANDARD.encode(bytes)).as_bytes()).map_err(file)?;
        }
        Self::load(path)
    }

    /// The secret in `path`.
    pub fn load(path: &Path) -> Result<Self, SecretError> {
        let file = |source| SecretError::File { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(file)?;
        Self::parse(&text).map_err(|_| SecretError::NoneIn { path: path.to_owned() })
    }

    /// The value of `webhook-signature` for a message.
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        let tag = hmac::sign(&self.0, &signed(id, seconds(at), body));
        format!("v1,{}", STANDARD.encode(tag))
    }

    /// Whether a message may be believed: one of its signatures fits, and it was signed just now. The comparison takes
    /// as long for a wrong signature as for a right one.
    pub fn verify(
        &self,
        id: &str,
        timestamp: &str,
        signatures: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Unbelievable> {
        let digits = (1..=12).contains(&timestamp.len()) && timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let at: i64 = timestamp.parse().ok().filter(|_| digits && !id.is_empty()).ok_or(Unbelievable::Headers)?;
        if (seconds(now) - at).abs() > TOLERANCE_S {
            return Err(Unbelievable::Time);
        }
        let signed = signed(id, at, body);
        let fits = |signature: &str| {
            let tag = signature.strip_prefix("v1,").and_then(|encoded| STANDARD.decode(encoded).ok());
            tag.is_some_and(|tag| hmac::verify(&self.0, &signed, &tag).is_ok())
        };
        if signatures.split(' ').any(fits) { Ok(()) } else { Err(Unbelievable::Signature) }
    }
}

/// The whole second of a moment.
pub fn seconds(at: Timestamp) -> i64 {
    at.0.div_euclid(1_000_000)
}

fn signed(id: &str, at_s: i64, body: &[u8]) -> Vec<u8> {
    [format!("{id}.{at_s}.").as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const NOW: Timestamp = Timestamp(1_614_265_330_000_000);

    #[test]
    fn the_specification_s_example_is_signed_and_believed() {
        let secret = Secret::parse(SECRET).unwrap();
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
        let signature = secret.sign(id, NOW, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(secret.verify(id, "1614265330", &signature, body, NOW), Ok(()));
        let several = format!("v1a,xyz v1,AAAA {signature}");
        assert_eq!(secret.verify(id, "1614265330", &several, body, NOW), Ok(()));
    }

    #[test]
    fn what_is_changed_old_or_early_is_not_believed() {
        let secret = Secret::parse(SECRET).unwrap();
        let signature = secret.sign("m", NOW, b"body");
        let verify = |id: &str, at: &str, signature: &str, body: &[u8], later_s: i64| {
            secret.verify(id, at, signature, body, Timestamp(NOW.0 + later_s * 1_000_000))
        };
        let at = "1614265330";
        assert_eq!(verify("m", at, &signature, b"body", 300), Ok(()));
        assert_eq!(verify("m", at, &signature, b"body", -300), Ok(()));
        assert_eq!(verify("m", at, &signature, b"body", 301), Err(Unbelievable::Time));
        assert_eq!(verify("m", at, &signature, b"body", -301), Err(Unbelievable::Time));
        assert_eq!(verify("m", at, &signature, b"bodies", 0), Err(Unbelievable::Signature));
        assert_eq!(verify("n", at, &signature, b"body", 0), Err(Unbelievable::Signature));
        assert_eq!(verify("m", "1614265331", &signature, b"body", 0), Err(Unbelievable::Signature));
        for wrong in ["", "v1,", "v2,AAAA", &signature[3..], &signature[..20]] {
            assert_eq!(verify("m", at, wrong, b"body", 0), Err(Unbelievable::Signature), "{wrong}");
        }
        for wrong in ["", "-1", "1e9", "now", "9999999999999"] {
            assert_eq!(verify("m", wrong, &signature, b"body", 0), Err(Unbelievable::Headers), "{wrong}");
        }
        assert_eq!(verify("", at, &signature, b"body", 0), Err(Unbelievable::Headers));
    }

    #[test]
    fn a_secret_is_made_once_and_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys").join("webhook.secret");
        let first = Secret::load_or_create(&path).unwrap().sign("m", NOW, b"body");
        assert_eq!(Secret::load_or_create(&path).unwrap().sign("m", NOW, b"body"), first);
        assert_eq!(format!("{:?}", Secret::parse(SECRET).unwrap()), "Secret");
        for text in ["", "whsec_", "whsec_AAAA", "secret", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(Secret::parse(text).is_err(), "{text}");
        }
    }
}
