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

/// The last position, events, bytes of their data, when the first and the last were decided, and bytes of it all.
pub(super) type Whole = (i64, i64, i64, Option<i64>, Option<i64>, i64);

/// Name and version, events, and bytes of their data.
pub(super) type Type = (String, i32, i64, i64);

/// Name, streams, their events, how many the longest has, and which one that is.
pub(super) type Category = (String, i64, i64, i64, String);

impl Stats {
    /// What an engine has counted.
    pub(super) fn of(whole: Whole, types: Vec<Type>, categories: Vec<Category>) -> Self {
        let (position, events, data_bytes, first, last, file_bytes) = whole;
        let of_type = |(event_type, version, events, data_bytes): Type| TypeStats {
            event_type,
            version: u16::try_from(version).unwrap_or(u16::MAX),
            events: events.cast_unsigned(),
            data_bytes: data_bytes.cast_unsigned(),
        };
        let of_category = |(category, streams, events, longest_events, longest): Category| CategoryStats {
            category,
            streams: streams.cast_unsigned(),
            events: events.cast_unsigned(),
            longest_events: longest_events.cast_unsigned(),
            longest,
        };
        Self {
            position: Position(position.cast_unsigned()),
            events: events.cast_unsigned(),
            data_bytes: data_bytes.cast_unsigned(),
            first: first.map(Timestamp),
            last: last.map(Timestamp),
            file_bytes: file_bytes.cast_unsigned(),
            types: types.into_iter().map(of_type).collect(),
            categories: categories.into_iter().map(of_category).collect(),
        }
    }
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
