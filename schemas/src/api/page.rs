//! Pages of listings.

use super::book::Book;
use super::order::{HistoryItem, Order};
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

/// Orders, the newest first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OrderPage {
    /// At most `limit` orders.
    pub items: Vec<Order>,
    /// Hands on to the next page as `cursor`; null on the last one. `Link` with `rel="next"` says the same.
    pub next_cursor: Option<String>,
}

/// The events of an order, oldest first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct History {
    /// All of them, up to 1,000; or at most `limit`, if that is asked for.
    pub items: Vec<HistoryItem>,
    /// Hands on to the next page as `cursor`; null on the last one. `Link` with `rel="next"` says the same.
    pub next_cursor: Option<String>,
}

/// Books by copies that were paid, the most first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Bestsellers {
    /// At most `limit` books.
    pub items: Vec<Bestseller>,
}

/// A book, and how many copies of it were paid, whatever became of them then.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Bestseller {
    /// The book.
    pub book: Book,
    /// Copies.
    #[schema(example = 120)]
    pub sold: u64,
}
