//! Who may do what: path × method × role, as data. What is not listed is allowed to nobody.

use axum::http::Method;

/// What a token can make its bearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs the shop and its system.
    Admin,
    /// Runs the shop.
    Manager,
    /// Buys.
    User,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Manager, Self::User];

    /// Its name in a token's `roles`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Manager => "manager",
            Self::User => "user",
        }
    }
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody, and tokens are not looked at: monitoring has to work when nothing else does.
    Operational,
    /// Anybody, or, where reads are not public, whoever has a valid token.
    Read,
    /// Whoever has one of these roles.
    Roles(&'static [Role]),
    /// Whoever has a valid token, for what is his own; managers and admins for what is anybody's.
    Own,
    /// Whoever signs the message: the route itself judges that.
    Signed,
}

/// One line of the policy.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The route, as the router names it.
    pub path: &'static str,
    /// Its method; `GET` stands for `HEAD` too.
    pub method: Method,
    /// Who may call it.
    pub access: Access,
}

/// Who may touch what is anybody's.
pub const STAFF_ROLES: &[Role] = &[Role::Manager, Role::Admin];

const STAFF: Access = Access::Roles(STAFF_ROLES);

/// The policy.
pub const POLICY: &[Entry] = &[
    entry(Method::GET, "/livez", Access::Operational),
    entry(Method::GET, "/readyz", Access::Operational),
    entry(Method::GET, "/metrics", Access::Operational),
    entry(Method::GET, "/openapi.json", Access::Operational),
    entry(Method::GET, "/problems", Access::Operational),
    entry(Method::GET, "/v1/books", Access::Read),
    entry(Method::POST, "/v1/books", STAFF),
    entry(Method::GET, "/v1/books/{id}", Access::Read),
    entry(Method::PATCH, "/v1/books/{id}", STAFF),
    entry(Method::POST, "/v1/books/{id}/retirement", STAFF),
    entry(Method::GET, "/v1/books/isbn/{isbn}", Access::Read),
    entry(Method::GET, "/v1/stock/{book_id}", Access::Read),
    entry(Method::PUT, "/v1/stock/{book_id}", STAFF),
    entry(Method::POST, "/v1/stock/{book_id}/adjustments", STAFF),
    entry(Method::GET, "/v1/stock/{book_id}/ledger", Access::Read),
    entry(Method::GET, "/v1/orders", Access::Own),
    entry(Method::POST, "/v1/orders", Access::Own),
    entry(Method::GET, "/v1/orders/{id}", Access::Own),
    entry(Method::GET, "/v1/orders/{id}/history", Access::Own),
    entry(Method::POST, "/v1/orders/{id}/cancellation", Access::Own),
    entry(Method::POST, "/v1/orders/{id}/shipment", STAFF),
    entry(Method::POST, "/v1/orders/{id}/refunds", STAFF),
    entry(Method::POST, "/v1/orders/{id}/returns", STAFF),
    entry(Method::POST, "/v1/payments/callback", Access::Signed),
    entry(Method::GET, "/v1/bestsellers", Access::Read),
    entry(Method::GET, "/v1/search", Access::Read),
    entry(Method::GET, "/v1/suggestions", Access::Read),
];

const fn entry(method: Method, path: &'static str, access: Access) -> Entry {
    Entry { path, method, access }
}

/// What the policy says of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// These may call it.
    Listed(Access),
    /// The route is listed with other methods only: the router says which.
    OtherMethod,
    /// The route is not listed: nobody may call it.
    Unlisted,
}

/// Looks a route up.
pub fn look_up(path: &str, method: &Method) -> Verdict {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let mut of_path = POLICY.iter().filter(|entry| entry.path == path).peekable();
    if of_path.peek().is_none() {
        return Verdict::Unlisted;
    }
    of_path.find(|entry| entry.method == *method).map_or(Verdict::OtherMethod, |entry| Verdict::Listed(entry.access))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_allowed_to_nobody() {
        assert_eq!(look_up("/v1/books", &Method::POST), Verdict::Listed(STAFF));
        assert_eq!(look_up("/v1/books", &Method::HEAD), Verdict::Listed(Access::Read));
        assert_eq!(look_up("/v1/books", &Method::DELETE), Verdict::OtherMethod);
        assert_eq!(look_up("/v1/secrets", &Method::GET), Verdict::Unlisted);
        assert_eq!(look_up("/v1/books/", &Method::GET), Verdict::Unlisted);
    }

    #[test]
    fn a_route_is_listed_once() {
        for (place, entry) in POLICY.iter().enumerate() {
            let again =
                POLICY[place + 1..].iter().any(|other| (other.path, &other.method) == (entry.path, &entry.method));
            assert!(!again, "{} {}", entry.method, entry.path);
        }
    }

    #[test]
    fn every_write_takes_a_role_an_owner_or_a_signature() {
        for entry in POLICY.iter().filter(|entry| entry.method != Method::GET) {
            let guarded = matches!(entry.access, Access::Roles(_) | Access::Own | Access::Signed);
            assert!(guarded, "{} {}", entry.method, entry.path);
        }
    }
}
