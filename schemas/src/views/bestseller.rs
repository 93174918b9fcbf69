//! The row of a book that was sold.

use super::{Row, TableRow};
use serde::{Deserialize, Serialize};

/// Copies of a book that were paid, as far as one partition tells: readers add up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BestsellerRow {
    /// Which book.
    pub book_id: String,
    /// Whose share it is.
    pub partition: i64,
    /// Copies.
    pub sold: i64,
}

impl Row for BestsellerRow {
    const NAME: &'static str = "bestsellers";
    const KEY: &'static [&'static str] = &["book_id", "partition"];
}

impl TableRow for BestsellerRow {
    const COLUMNS: &'static [(&'static str, &'static str)] =
        &[("book_id", "TEXT"), ("partition", "BIGINT"), ("sold", "BIGINT")];
    const INDEXES: &'static [&'static [&'static str]] = &[];
}
