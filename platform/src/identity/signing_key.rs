//! The key that signs an installation's tokens, kept as a PEM file that only its owner can read.

use crate::identity::Realm;
use crate::identity::verifier::Verifier;
use crate::seam::Timestamp;
use crate::secret_file;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// Why there is no signing key. No message shows any part of a key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the signing key {} cannot be read or written: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} holds no signing key: expected an Ed25519 or RSA (2048 bits or more) private key as unencrypted PEM", path.display())]
    NotAKey {
        /// Which file.
        path: PathBuf,
    },
}

/// Signs tokens with EdDSA (Ed25519) or RS256, as its kind of key has it.
pub struct SigningKey {
    algorithm: Algorithm,
    key: EncodingKey,
    key_id: String,
    public: DecodingKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SigningKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    roles: &'a [String],
    iat: i64,
    nbf: i64,
    exp: i64,
}

impl SigningKey {
    /// The key in `path`, or a new Ed25519 key, which is then there, whole and for its owner's eyes only.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
                Self::load(path)
            }
            loaded => loaded,
        }
    }

    /// The key in `path`.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let pem = std::fs::read(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
        Self::from_pem(&pem).ok_or_else(|| KeyError::NotAKey { path: path.to_owned() })
    }

    /// Reads a PEM; why it cannot be read is not told, as the reason could quote the key.
    fn from_pem(pem: &[u8]) -> Option<Self> {
        let (algorithm, key) = match EncodingKey::from_ed_pem(pem) {
            Ok(key) => (Algorithm::EdDSA, key),
            Err(_) => (Algorithm::RS256, EncodingKey::from_rsa_pem(pem).ok()?),
        };
        let jwk = Jwk::from_encoding_key(&key, algorithm).ok()?;
        let key_id = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
        let public = DecodingKey::from_jwk(&jwk).ok()?;
        // A key too weak to be trusted can be read, but its signatures are not accepted: better said now than at the first token.
        let signature = jsonwebtoken::crypto::sign(b"probe", &key, algorithm).ok()?;
        let usable = jsonwebtoken::crypto::verify(&signature, b"probe", &public, algorithm).ok()?;
        usable.then_some(Self { algorithm, key, key_id, public })
    }

    /// A token that says who its bearer is and what it may do, from now on and for so long.
    pub fn sign(&self, realm: &Realm, subject: &str, roles: &[String], lifetime: Duration, now: Timestamp) -> String {
        let now_s = now.0.div_euclid(1_000_000);
        let lifetime_s = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        let claims = Claims {
            iss: &realm.issuer,
            aud: &realm.audience,
            sub: subject,
            roles,
            iat: now_s,
            nbf: now_s,
            exp: now_s.saturating_add(lifetime_s),
        };
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, &claims, &self.key).expect("a key that was probed when it was read can sign")
    }

    /// What judges the tokens of this key.
    pub fn verifier(&self, realm: Realm) -> Verifier {
        Verifier::new(self.algorithm, self.public.clone(), self.key_id.clone(), realm)
    }
}

/// A new key comes from the cryptographic library's own generator and not from the seam: a key must never repeat.
fn create(path: &Path) -> io::Result<()> {
    let refused = |_| io::Error::other("the cryptographic library made no key");
    let key = Ed25519KeyPair::generate().map_err(refused)?;
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().map_err(refused)?;
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    secret_file::create(path, pem.as_bytes())
}
