//! Pages of listings.

use super::book::Book;
use super::stock::Movement;
use serde::Serialize;
use utoipa::ToSchema;

/// Books in the order of their registration.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BookPage {
    /// At most `limit` books.
    pub items: Vec<Book>,
    /// Hands on to the next page as `cursor`; null on the last one. `Link` with `rel="next"` says the same.
    pub next_cursor: Option<String>,
}

/// The movements of a stock, oldest first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Ledger {
    /// At most `limit` movements.
    pub items: Vec<Movement>,
    /// Hands on to the next page as `cursor`; null on the last one. `Link` with `rel="next"` says the same.
    pub next_cursor: Option<String>,
}
