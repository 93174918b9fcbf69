//! What an import tells of itself.

use super::notes::Note;
use serde::{Deserialize, Serialize};

/// What an import tells while it runs, and at last [`Progress::Finished`] or [`Progress::Stopped`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// How the file is read; comes once, before anything about its rows.
    ReadAs(ReadAs),
    /// A row came to events.
    Accepted {
        /// What was repaired or left out of it.
        notes: Vec<Note>,
    },
    /// What a row says was so already.
    ThereAlready {
        /// What was repaired or left out of it.
        notes: Vec<Note>,
    },
    /// A row was refused.
    Refused {
        /// Where it begins in the file, from 1.
        line: u64,
        /// Which field broke which rule.
        reason: String,
        /// The row, if it was asked for and is not too large to be kept.
        row: Option<String>,
    },
    /// The file is read to its end.
    Finished,
    /// The file could not be read further, or the log did not answer.
    Stopped {
        /// Why, and what to do.
        reason: String,
    },
}

/// How a file is read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReadAs {
    /// Such as `goodbooks`.
    pub format: String,
    /// Such as `UTF-8`.
    pub encoding: String,
    /// Between the fields of a table.
    pub separator: Option<char>,
    /// Our field and the file's column that it is read from.
    pub columns: Vec<(String, String)>,
    /// Columns that nothing is read from.
    pub unused: Vec<String>,
    /// What surrounds refused rows in a file of their own.
    pub frame: Frame,
}

/// What surrounds rows in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Frame {
    /// The header of a table; the beginning of a message.
    pub opening: String,
    /// The end of a message.
    pub closing: String,
}
