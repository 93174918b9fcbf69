//! What all generations of a view share: which of them is live, how far it is, and where its objects changed last.

use super::Table;
use crate::event_log::Position;
use crate::view_store::Change;
use crc::{CRC_64_NVME, Crc};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use tokio::sync::watch;

/// Places in which the last changes of a view's objects are remembered; objects that share one share its news.
const CHANGE_SLOTS: u16 = 4_096;

/// Processes tell each other of slots by number, so the digest is the same in all of them and in all their versions.
static CRC: Crc<u64> = Crc::<u64>::new(&CRC_64_NVME);

/// The view, as this process knows it.
pub(super) struct Shared {
    pub(super) table: Table,
    /// A row as JSON, for every read.
    pub(super) json: String,
    /// The number of the live generation.
    pub(super) live: AtomicU32,
    /// How far the live generation is.
    pub(super) position: watch::Sender<Position>,
    changes: Box<[AtomicU64]>,
}

impl Shared {
    pub(super) fn new(table: Table, json: String, head: Position) -> Self {
        let changes = (0..CHANGE_SLOTS).map(|_| AtomicU64::new(head.0)).collect();
        Self { table, json, live: AtomicU32::new(0), position: watch::Sender::default(), changes }
    }

    /// Where an object changed last, or another one of its slot.
    pub(super) fn last_change(&self, object: &str) -> Position {
        Position(self.changes[usize::from(slot(object))].load(Ordering::SeqCst))
    }

    /// Remembers that the objects of a slot change.
    pub(super) fn slot_changed(&self, slot: u16, position: Position) {
        // A slot of another version of this program is none of ours, and nothing is known of any.
        match self.changes.get(usize::from(slot)) {
            Some(change) => drop(change.fetch_max(position.0, Ordering::SeqCst)),
            None => self.all_changed(position),
        }
    }

    /// Whatever was read before may have changed.
    pub(super) fn all_changed(&self, position: Position) {
        for change in &self.changes {
            change.fetch_max(position.0, Ordering::SeqCst);
        }
    }
}

/// The objects whose rows a change writes or deletes; `column` names them.
pub(super) fn changed_objects<'a>(change: &'a Change, column: &'a str) -> impl Iterator<Item = &'a str> {
    let upserted = change.upserts.iter().map(move |row| &row[column]);
    upserted.chain(change.deletes.iter().filter_map(|key| key.first())).filter_map(|object| object.as_str())
}

/// Where they change: what is taken up changes rows at a position that readers have seen already.
pub(super) fn changed_at(change: &Change) -> Position {
    Position(change.to.0 + u64::from(!change.taken_up.is_empty()))
}

/// The slot of an object.
pub(super) fn slot(object: &str) -> u16 {
    let slot = CRC.checksum(object.as_bytes()) % u64::from(CHANGE_SLOTS);
    u16::try_from(slot).expect("the remainder is less than the divisor")
}
