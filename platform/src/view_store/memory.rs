//! A generation in memory, for what is looked at once: the same rules as on a disk.

use super::{Change, Key, SetAside, StoreError, ViewStore};
use crate::bus::Checkpoint;
use crate::event_log::LogId;
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

/// The generation.
pub struct MemoryStore {
    key: &'static [&'static str],
    state: Mutex<State>,
}

struct State {
    rows: HashMap<Key, Value>,
    checkpoint: Checkpoint,
    set_aside: SetAside,
}

impl MemoryStore {
    /// An empty one, of rows with these key fields, for a log that is delivered whole.
    pub fn new(log: LogId, key: &'static [&'static str], set_aside: SetAside) -> Self {
        let checkpoint = Checkpoint::start(log, String::new(), 0);
        Self { key, state: Mutex::new(State { rows: HashMap::new(), checkpoint, set_aside }) }
    }

    /// All rows, by key.
    pub fn rows(&self) -> Vec<(Key, Value)> {
        let mut rows: Vec<_> = self.state().rows.iter().map(|(key, row)| (key.clone(), row.clone())).collect();
        rows.sort_by(|(one, _), (other, _)| super::compare_keys(one, other));
        rows
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the rows")
    }
}

impl ViewStore for MemoryStore {
    fn is_live(&self) -> bool {
        false
    }

    fn checkpoints(&self) -> BoxFuture<'_, Result<Vec<Checkpoint>, StoreError>> {
        std::future::ready(Ok(vec![self.state().checkpoint.clone()])).boxed()
    }

    fn set_aside(&self) -> SetAside {
        self.state().set_aside.clone()
    }

    fn load<'a>(&'a self, keys: &'a [&'a Key]) -> BoxFuture<'a, Result<Vec<Value>, StoreError>> {
        let state = self.state();
        let rows = keys.iter().filter_map(|key| state.rows.get(*key).cloned()).collect();
        std::future::ready(Ok(rows)).boxed()
    }

    fn write<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Result<bool, StoreError>> {
        let mut state = self.state();
        let stands = state.checkpoint == change.from;
        if stands {
            state.checkpoint = change.checkpoint();
            for row in &change.upserts {
                let key = self.key.iter().map(|field| row[*field].clone()).collect();
                state.rows.insert(key, row.clone());
            }
            for key in &change.deletes {
                state.rows.remove(key);
            }
            state.set_aside.change(change);
        }
        std::future::ready(Ok(stands)).boxed()
    }
}
