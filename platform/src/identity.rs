//! Who sends a request, as its token says.

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
