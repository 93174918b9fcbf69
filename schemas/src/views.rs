//! Rows of views, with the tables that hold them.

pub mod bestseller;
pub mod book;
pub mod order;
pub mod purchase;
pub mod search;
pub mod stock;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A row of a view.
pub trait Row: Serialize + DeserializeOwned + Clone + PartialEq + std::fmt::Debug + Send + Sync + 'static {
    /// The view's name.
    const NAME: &'static str;
    /// The fields that tell rows apart; the first of them names the object that the row is about.
    const KEY: &'static [&'static str];
}

/// A row of a table: a flat struct whose fields are text, integers or null, named like its columns.
pub trait TableRow: Row {
    /// Name and SQL type of each column, the key's first. The types are those that SQLite and Postgres share.
    const COLUMNS: &'static [(&'static str, &'static str)];
    /// Columns by which rows are found besides the key.
    const INDEXES: &'static [&'static [&'static str]];
}
