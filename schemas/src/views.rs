//! Rows of views, with the tables that hold them.

pub mod bestseller;
pub mod book;
pub mod order;
pub mod purchase;
pub mod stock;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A row: a flat struct whose fields are text, integers or null, named like its columns.
pub trait Row: Serialize + DeserializeOwned + Clone + PartialEq + std::fmt::Debug + Send + Sync + 'static {
    /// The view's name.
    const NAME: &'static str;
    /// Name and SQL type of each column, the key's first. The types are those that SQLite and Postgres share.
    const COLUMNS: &'static [(&'static str, &'static str)];
    /// How many of the first columns form the primary key.
    const KEY: usize;
    /// Columns by which rows are found besides the key.
    const INDEXES: &'static [&'static [&'static str]];
}
