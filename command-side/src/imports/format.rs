//! What a kind of file has to say of its rows.

use super::Import;
use super::table::Fields;
use crate::commands::Unavailable;
use domain::book::BookId;
use futures_util::future::BoxFuture;

/// What became of a row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    ThereAlready,
    Refused(String),
}

/// A kind of file.
pub(crate) trait Format: Send + Sync + 'static {
    /// A row that can be read.
    type Row: Send + 'static;

    /// The columns that it takes, by name, and whether a file must have them.
    const COLUMNS: &'static [(&'static str, Need)];

    /// Reads a row, or says why it cannot be.
    fn parse(&self, fields: &Fields<'_>) -> Result<Self::Row, String>;

    /// Which book the row is about.
    fn key(row: &Self::Row) -> BookId;

    /// Sends the row's commands.
    fn take<'a>(&'a self, row: Self::Row, import: &'a Import) -> BoxFuture<'a, Result<Outcome, Unavailable>>;
}

/// Whether a file must have a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
}
