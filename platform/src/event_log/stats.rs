//! What a log holds, in numbers, whatever it is kept in.

use super::Position;
use crate::seam::Timestamp;

/// What a log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// The last position.
    pub position: Position,
    /// How many events there are.
    pub events: u64,
    /// Bytes of their data.
    pub data_bytes: u64,
    /// When the first one was decided.
    pub first: Option<Timestamp>,
    /// When the last one was decided.
    pub last: Option<Timestamp>,
    /// Bytes of what it is kept in: the file, what waits in its write-ahead log excepted, or the table with its indexes.
    pub file_bytes: u64,
    /// By name and version.
    pub types: Vec<TypeStats>,
    /// By name.
    pub categories: Vec<CategoryStats>,
}

/// The events of one type and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeStats {
    /// Such as `BookRegistered`.
    pub event_type: String,
    /// The version of its schema.
    pub version: u16,
    /// How many there are.
    pub events: u64,
    /// Bytes of their data.
    pub data_bytes: u64,
}

/// The streams whose names begin alike, up to the first hyphen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryStats {
    /// What they begin with.
    pub category: String,
    /// How many streams there are.
    pub streams: u64,
    /// How many events they have together.
    pub events: u64,
    /// How many the longest has.
    pub longest_events: u64,
    /// Which one that is; of several, the first by name.
    pub longest: String,
}
