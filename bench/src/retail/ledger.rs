//! What the client asked for and was told: the figures that the server's own have to match.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A book of the catalogue that stands for a product of the file.
pub(crate) struct Book {
    /// Its id at the server.
    pub(crate) id: String,
    /// The product's code in the file.
    pub(crate) code: String,
    /// Minor units per copy, as imported.
    pub(crate) price: u64,
    /// Copies on hand, as imported.
    pub(crate) initial: i64,
}

/// An order as its customer knows it.
pub(crate) struct Purchase {
    /// The invoice's number, with the part's number if it has several.
    pub(crate) key: String,
    /// Its id at the server.
    pub(crate) id: String,
    /// The last status that an answer told before any copies came back.
    pub(crate) status: String,
    /// Copies ordered, by the book's place.
    pub(crate) copies: BTreeMap<usize, u64>,
    /// Minor units whose charging was acknowledged.
    pub(crate) charged: u64,
    /// Copies that came back, by the book's place.
    pub(crate) returned: BTreeMap<usize, u64>,
    /// Minor units whose refund was acknowledged.
    pub(crate) refunded: u64,
}

impl Purchase {
    /// Copies of a book that are still with the customer.
    pub(crate) fn left(&self, book: usize) -> u64 {
        let of = |copies: &BTreeMap<usize, u64>| copies.get(&book).copied().unwrap_or_default();
        if self.status == "shipped" { of(&self.copies) - of(&self.returned) } else { 0 }
    }
}

/// All of it.
#[derive(Default)]
pub(crate) struct Ledger {
    /// By the place that purchases name.
    pub(crate) books: Arc<Vec<Book>>,
    /// Copies by which accepted adjustments changed the stock of each book.
    pub(crate) adjusted: Vec<i64>,
    /// Every order that was answered with an id.
    pub(crate) purchases: Vec<Purchase>,
    /// The keys of all orders that the file asks for.
    pub(crate) planned: Vec<String>,
    /// Answers that nobody expects.
    pub(crate) complaints: Vec<String>,
    /// Lines that come back without a sale that they could come back from.
    pub(crate) unmatched: u64,
    /// Adjustments of products that are never sold: they have no book.
    pub(crate) unmapped: u64,
    /// Adjustments that were refused, as there were too few copies.
    pub(crate) refused: u64,
    /// The largest position that a write was answered with.
    pub(crate) position: u64,
}
