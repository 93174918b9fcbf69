//! A view: which rows an event touches, and what they are after it.

use domain::Event;
use platform::event_log::RecordedEvent;
use platform::read_store::Table;
use platform::view_store::{Key, Skipped};
use schemas::stream::Owner;
use schemas::views::{Row, TableRow};

/// An event of an aggregate, as a view takes it.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    /// Whose event it is.
    pub owner: &'a Owner,
    /// What happened.
    pub event: &'a Event,
    /// When and where it was recorded.
    pub recorded: &'a RecordedEvent,
    /// The partition that it came in: part of the key of rows that sum over several streams.
    pub partition: u16,
    /// Events of its stream that the view leaves out.
    pub skipped: &'a [Skipped],
}

/// Why a view cannot take an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Poison(pub String);

/// One row type, the keys that an event touches, and the fold.
pub trait View: Send + Sync + 'static {
    /// What it consists of.
    type Row: Row;

    /// Whether a stream is for this view at all.
    fn takes(owner: &Owner) -> bool;

    /// The keys of the rows that an event touches; none if it is not for this view.
    fn keys(fact: &Fact<'_>) -> Vec<Key>;

    /// A row after an event, or that there is none.
    fn evolve(row: Option<Self::Row>, key: &Key, fact: &Fact<'_>) -> Result<Option<Self::Row>, Poison>;
}

/// The table of a view.
pub fn table<V: View<Row: TableRow>>() -> Table {
    Table { name: V::Row::NAME, columns: V::Row::COLUMNS, key: V::Row::KEY.len(), indexes: V::Row::INDEXES }
}

/// Refuses an event that does not follow on the row as it is, but for events that are left out.
pub(crate) fn continues(revision: i64, fact: &Fact<'_>) -> Result<(), Poison> {
    let (expected, found) = (revision.cast_unsigned() + 1, fact.recorded.revision.0);
    let left_out = |revision| fact.skipped.iter().any(|skipped| skipped.revision == revision);
    if expected <= found && (expected..found).all(left_out) {
        return Ok(());
    }
    Err(Poison(format!("expected revision {expected} of the stream, found revision {found}")))
}
