//! Judges tokens: one algorithm, one key, every claim there, and the time taken from the seam.

use crate::identity::{Principal, Realm};
use crate::seam::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use std::collections::HashSet;
use thiserror::Error;

/// The longest token that is looked at.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How far the clocks of who signs and who verifies may be apart.
pub const LEEWAY_S: i64 = 30;

/// Why a token is not valid. No message quotes the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Longer than any token of ours.
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// Not a token, or a claim is missing or of another type than it should be.
    #[error("the token is malformed, or lacks one of the claims exp, nbf, iss, aud, sub, roles")]
    Malformed,
    /// Signed by another algorithm than the key's.
    #[error("the token is signed with an algorithm that is not accepted")]
    WrongAlgorithm,
    /// Names another key.
    #[error("the token names an unknown key")]
    UnknownKey,
    /// Demands an extension that is not supported (RFC 7515 section 4.1.11).
    #[error("the token demands an extension that is not supported")]
    UnknownExtension,
    /// Not signed by this installation's key, or changed since.
    #[error("the signature is not valid")]
    WrongSignature,
    /// From somebody else.
    #[error("the issuer is not accepted")]
    WrongIssuer,
    /// For somebody else.
    #[error("the token is meant for another audience")]
    WrongAudience,
    /// Too late.
    #[error("the token has expired")]
    Expired,
    /// Too early.
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// What judges the tokens of one key.
#[derive(Clone)]
pub struct Verifier {
    key: DecodingKey,
    key_id: String,
    realm: Realm,
    validation: Validation,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Verifier").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    sub: String,
    roles: Vec<String>,
    // Seconds since 1970, perhaps with a fraction (RFC 7519 section 2, NumericDate).
    nbf: f64,
    exp: f64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Verifier {
    pub(super) fn new(algorithm: Algorithm, key: DecodingKey, key_id: String, realm: Realm) -> Self {
        let mut validation = Validation::new(algorithm);
        // The library would ask the machine's clock, and accepts what lacks a claim: the claims are judged below.
        validation.required_spec_claims = HashSet::new();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self { key, key_id, realm, validation }
    }

    /// Who bears this token, if it is valid now.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Principal, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let token = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation).map_err(reason)?;
        // Keys that the token itself brings or points at (jwk, jku, x5u, x5c) are never looked at.
        if token.header.kid.is_some_and(|key_id| key_id != self.key_id) {
            return Err(TokenError::UnknownKey);
        }
        if token.header.crit.is_some() {
            return Err(TokenError::UnknownExtension);
        }
        let claims = token.claims;
        if claims.sub.is_empty() {
            return Err(TokenError::Malformed);
        }
        if claims.iss != self.realm.issuer {
            return Err(TokenError::WrongIssuer);
        }
        let meant_for_us = match &claims.aud {
            Audience::One(audience) => *audience == self.realm.audience,
            Audience::Several(audiences) => audiences.contains(&self.realm.audience),
        };
        if !meant_for_us {
            return Err(TokenError::WrongAudience);
        }
        let now_s = now.0 as f64 / 1e6;
        let leeway_s = LEEWAY_S as f64;
        if now_s >= claims.exp + leeway_s {
            return Err(TokenError::Expired);
        }
        if now_s < claims.nbf - leeway_s {
            return Err(TokenError::NotYetValid);
        }
        Ok(Principal { issuer: claims.iss, subject: claims.sub, roles: claims.roles })
    }
}

fn reason(error: jsonwebtoken::errors::Error) -> TokenError {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => TokenError::WrongAlgorithm,
        ErrorKind::InvalidSignature => TokenError::WrongSignature,
        _ => TokenError::Malformed,
    }
}
