//! Rows on their way into the index, and when they have to be committed.

use crate::bus::Checkpoint;
use crate::event_log::Position;
use crate::view_store::{self, Change, SetAside};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long it is from one commit to the next, unless somebody waits: a lone row is committed at once, of many those that
/// come meanwhile together.
const COMMIT_EVERY: Duration = Duration::from_millis(500);

/// Rows that wait at most; then whoever brings more waits.
const ROWS: usize = 20_000;

/// Rows by key; none for one that is no more.
type Rows = HashMap<String, Option<Value>>;

/// What is taken, and not committed.
pub(super) struct Pending {
    /// How far each partition is taken.
    checkpoints: Vec<Checkpoint>,
    /// What is not taken.
    pub(super) set_aside: SetAside,
    rows: Rows,
    /// Rows that are being committed: until searches see them, they are read here.
    committing: Arc<Rows>,
    /// Whether nothing will be committed any more.
    closed: bool,
    /// Whether something is to be committed.
    dirty: bool,
    /// When the last commit began, of those that came to their end.
    committed_at: Option<Instant>,
    /// For which positions somebody waits, and how many do.
    waiting: BTreeMap<Position, usize>,
}

/// What one commit writes.
#[derive(Clone)]
pub(super) struct Commit {
    pub(super) rows: Arc<Rows>,
    pub(super) checkpoints: Vec<Checkpoint>,
    pub(super) set_aside: SetAside,
}

impl Pending {
    pub(super) fn new(checkpoints: Vec<Checkpoint>, set_aside: SetAside) -> Self {
        let (rows, committing) = (Rows::new(), Arc::default());
        Self {
            checkpoints,
            set_aside,
            rows,
            committing,
            closed: false,
            dirty: false,
            committed_at: None,
            waiting: BTreeMap::new(),
        }
    }

    /// How far each partition is taken.
    pub(super) fn checkpoints(&self) -> Vec<Checkpoint> {
        self.checkpoints.clone()
    }

    /// How far everything is taken.
    pub(super) fn position(&self) -> Position {
        view_store::position(&self.checkpoints)
    }

    /// When to commit, if ever: at once, if somebody waits for what is there, or no more can be taken.
    pub(super) fn due(&self, committed: Position) -> Option<Instant> {
        let taken = self.position();
        let waited_for = self.waiting.keys().any(|position| (committed < *position) && *position <= taken);
        let next = self.committed_at.filter(|_| !waited_for && !self.is_full()).map(|last| last + COMMIT_EVERY);
        self.dirty.then(|| next.unwrap_or_else(Instant::now))
    }

    /// Whether there is no room for more rows until these are committed.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= ROWS && !self.closed
    }

    /// There will be no commit any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// A row that is pending, or that it is no more; none if it is as it was committed.
    pub(super) fn row(&self, key: &str) -> Option<Option<Value>> {
        self.rows.get(key).or_else(|| self.committing.get(key)).cloned()
    }

    /// Takes a change, if its partition stands where it begins.
    pub(super) fn take(&mut self, change: &Change, rows: impl Iterator<Item = (String, Option<Value>)>) -> bool {
        let stands = |at: &&mut Checkpoint| {
            let Checkpoint { partition, position, amended, .. } = &change.from;
            (at.partition, at.position, at.amended) == (*partition, *position, *amended)
        };
        let Some(checkpoint) = self.checkpoints.iter_mut().find(stands) else { return false };
        *checkpoint = change.checkpoint();
        self.rows.extend(rows);
        self.set_aside.change(change);
        self.dirty = true;
        true
    }

    /// What is to be committed now, if there is anything.
    pub(super) fn begin(&mut self) -> Option<Commit> {
        if !std::mem::take(&mut self.dirty) || self.closed {
            return None;
        }
        self.committing = Arc::new(std::mem::take(&mut self.rows));
        let (checkpoints, set_aside) = (self.checkpoints.clone(), self.set_aside.clone());
        Some(Commit { rows: Arc::clone(&self.committing), checkpoints, set_aside })
    }

    /// Searches see what was to be committed.
    pub(super) fn end(&mut self, began_at: Instant) {
        self.committing = Arc::default();
        self.committed_at = Some(began_at);
    }

    /// What was to be committed could not be, and is pending again, as far as nothing newer is.
    pub(super) fn take_back(&mut self) {
        let newer = std::mem::take(&mut self.rows);
        self.rows = std::mem::take(&mut self.committing).as_ref().clone();
        self.rows.extend(newer);
        self.dirty = true;
    }

    pub(super) fn waits(&mut self, position: Position) {
        *self.waiting.entry(position).or_default() += 1;
    }

    pub(super) fn waits_no_more(&mut self, position: Position) {
        if let Some(count) = self.waiting.get_mut(&position) {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(&position);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_log::LogId;
    use serde_json::json;
    use uuid::Uuid;

    #[test]
    fn a_row_is_read_where_it_is_until_searches_see_it() {
        let start = Checkpoint::start(LogId(Uuid::nil()), String::new(), 0);
        let mut pending = Pending::new(vec![start.clone()], SetAside::default());
        let put = |pending: &mut Pending, from: u64, row: Option<Value>| {
            let change = Change::of(Checkpoint { position: Position(from), ..start.clone() }, Position(from + 1));
            assert!(pending.take(&change, [("a".to_owned(), row)].into_iter()));
        };
        assert_eq!(pending.row("a"), None);
        put(&mut pending, 0, Some(json!(1)));
        assert_eq!(pending.row("a"), Some(Some(json!(1))));
        assert!(pending.begin().is_some() && pending.begin().is_none());
        assert_eq!(pending.row("a"), Some(Some(json!(1))), "while it is being committed");
        put(&mut pending, 1, None);
        assert_eq!(pending.row("a"), Some(None), "what is newer counts");
        pending.take_back();
        assert_eq!(pending.row("a"), Some(None), "also if what was older is taken back");
        pending.begin();
        pending.end(Instant::now());
        assert_eq!(pending.row("a"), None);
    }
}
