//! Who sends a request, as its token says.

pub mod signing_key;
pub mod verifier;

#[cfg(test)]
mod tests;

/// The bearer of a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who vouches for the subject (`iss`).
    pub issuer: String,
    /// Who it is, unique with the issuer (`sub`).
    pub subject: String,
    /// What it may do (`roles`).
    pub roles: Vec<String>,
}

/// Whose objects somebody may read and change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// One's own.
    Own,
    /// Everybody's.
    All,
}

/// Who gives tokens, and for whom: what a token has to say besides its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm {
    /// Who vouches for the subjects (`iss`).
    pub issuer: String,
    /// Whom the tokens are meant for (`aud`).
    pub audience: String,
}
