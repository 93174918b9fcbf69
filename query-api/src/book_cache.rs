//! Bodies of books, kept as they are sent. A body is served only while nothing that could change it has been applied.

use axum::body::Bytes;
use platform::event_log::Position;
use platform::read_store::ReadStore;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use schemas::views::Row;
use schemas::views::book::BookRow;

/// What one body costs besides its bytes: key, bookkeeping, allocation.
const OVERHEAD_BYTES: u64 = 200;

/// A body, and the position at which it was read.
#[derive(Clone)]
pub(crate) struct CachedBook {
    pub(crate) body: Bytes,
    pub(crate) revision: u64,
    pub(crate) position: Position,
    /// The generation of the view that it was read from.
    pub(crate) generation: u32,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<String, CachedBook> for ByBytes {
    fn weight(&self, _: &String, book: &CachedBook) -> u64 {
        book.body.len() as u64 + OVERHEAD_BYTES
    }
}

/// The cache, by book id.
pub(crate) struct BookCache(Cache<String, CachedBook, ByBytes>);

impl BookCache {
    pub(crate) fn new(capacity_bytes: u64) -> Self {
        let estimated_books = usize::try_from(capacity_bytes / (4 * OVERHEAD_BYTES)).unwrap_or(usize::MAX);
        Self(Cache::with_weighter(estimated_books, capacity_bytes, ByBytes))
    }

    /// The book as of the view's position, which is part of the answer; none if it is not here, or has changed since.
    pub(crate) fn get(&self, id: &str, store: &ReadStore) -> Option<CachedBook> {
        metrics::counter!("book_cache_requests_total", "cache_type" => "book_body").increment(1);
        // The position first: a change up to it has been noted before it was announced.
        let position = store.position(BookRow::NAME);
        let book = self.0.get(id)?;
        let outdated = book.generation != store.generation(BookRow::NAME);
        if outdated || store.last_change(BookRow::NAME, id) > book.position {
            return None;
        }
        metrics::counter!("book_cache_hits_total", "cache_type" => "book_body").increment(1);
        Some(CachedBook { position: position.max(book.position), ..book })
    }

    pub(crate) fn put(&self, id: &str, book: CachedBook) {
        self.0.insert(id.to_owned(), book);
    }
}
