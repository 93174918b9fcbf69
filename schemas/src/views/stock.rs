//! The rows of stock and of its ledger.

use super::{Row, TableRow};
use crate::api::stock::{Movement, Stock};
use crate::timestamp;
use domain::stock::Figures;
use domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

/// The stock of a book at a location.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StockRow {
    /// Of which book.
    pub book_id: String,
    /// Where.
    pub location: String,
    /// Copies that lie there.
    pub on_hand: i64,
    /// Copies of them that orders hold.
    pub reserved: i64,
    /// How many movements there were.
    pub revision: i64,
}

impl Row for StockRow {
    const NAME: &'static str = "stock";
    const KEY: &'static [&'static str] = &["book_id", "location"];
}

impl TableRow for StockRow {
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("book_id", "TEXT"),
        ("location", "TEXT"),
        ("on_hand", "BIGINT"),
        ("reserved", "BIGINT"),
        ("revision", "BIGINT"),
    ];
    const INDEXES: &'static [&'static [&'static str]] = &[];
}

impl StockRow {
    /// The body that shows the row.
    pub fn body(&self) -> Stock {
        let figures = Figures { on_hand: self.on_hand.cast_unsigned(), reserved: self.reserved.cast_unsigned() };
        Stock::new(figures, self.revision.cast_unsigned())
    }
}

/// One movement of a stock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MovementRow {
    /// Of which book.
    pub book_id: String,
    /// Where.
    pub location: String,
    /// The movement's number in its stream, from 1 on.
    pub revision: i64,
    /// The event's type.
    pub event_type: String,
    /// Copies that lay there after it.
    pub on_hand: i64,
    /// Copies of them that orders held after it.
    pub reserved: i64,
    /// When it was decided, in microseconds since 1970.
    pub recorded_at: i64,
}

impl Row for MovementRow {
    const NAME: &'static str = "stock_ledger";
    const KEY: &'static [&'static str] = &["book_id", "location", "revision"];
}

impl TableRow for MovementRow {
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("book_id", "TEXT"),
        ("location", "TEXT"),
        ("revision", "BIGINT"),
        ("event_type", "TEXT"),
        ("on_hand", "BIGINT"),
        ("reserved", "BIGINT"),
        ("recorded_at", "BIGINT"),
    ];
    const INDEXES: &'static [&'static [&'static str]] = &[];
}

impl MovementRow {
    /// The body that shows the row.
    pub fn body(self) -> Movement {
        Movement {
            revision: self.revision.cast_unsigned(),
            event_type: self.event_type,
            on_hand: self.on_hand.cast_unsigned(),
            reserved: self.reserved.cast_unsigned(),
            at: timestamp::text(Timestamp(self.recorded_at)),
        }
    }
}
