//! What an import is asked to do, as the command line says it and the admin socket carries it.

use super::columns::Field;
use domain::money::Currency;
use serde::{Deserialize, Serialize};

/// One import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// What the file holds.
    pub content: Content,
    /// Of prices that do not say theirs.
    #[serde(with = "code")]
    pub currency: Currency,
    /// The file's encoding by a name of the WHATWG list; without it, it is told from the file.
    pub encoding: Option<String>,
    /// What comes of it.
    pub effect: Effect,
    /// What is told of refused rows.
    pub refused_rows: RefusedRows,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Books.
    Books {
        /// How they are written; without it, it is told from the file's beginning.
        format: Option<BookFormat>,
        /// Columns by their names in the file; others are known by their usual names.
        columns: Vec<(Field, String)>,
    },
    /// Copies and prices by ISBN.
    Stock,
}

/// How a file writes books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BookFormat {
    /// As the goodbooks-10k data set does.
    Goodbooks,
    /// As an ONIX for Books 3.0 message.
    Onix,
    /// As a table whose first line names the columns.
    Csv,
}

/// What comes of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Events.
    Real,
    /// A report of what would come of it: every row is judged, nothing is changed.
    DryRun,
}

/// What is told of a refused row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedRows {
    /// Line and reason.
    Named,
    /// The row itself, too.
    Kept,
}

/// A currency by its code.
mod code {
    use super::Currency;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(currency: &Currency, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(currency.code())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Currency, D::Error> {
        let code = String::deserialize(deserializer)?;
        Currency::parse(&code).map_err(de::Error::custom)
    }
}
