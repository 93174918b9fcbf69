//! Where views are kept: rows and how far they have come, written together. All of it can be built anew from the log.
//!
//! A view has one or more generations, each built by a worker from the first event on. Readers see the live one.

pub(crate) mod members;
pub mod memory;

use crate::bus::{Checkpoint, Tally};
use crate::event_log::{LogError, LogId, Position, Revision};
use futures_util::future::{BoxFuture, FutureExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::watch;

/// The values of a row's key fields: texts and integers.
pub type Key = Vec<Value>;

/// Why a store does not answer.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database could not.
    #[error("the read store does not answer: {0}")]
    Database(#[from] sqlx::Error),
    /// The search index could not.
    #[error("the search index does not answer: {0}")]
    Index(#[from] tantivy::TantivyError),
    /// What the search index has taken could not be committed.
    #[error("the search index cannot be written: {0}")]
    NotWritten(String),
    /// A row is not what its type says.
    #[error("a row cannot be read: {0}")]
    Row(#[from] serde_json::Error),
    /// What is there could not be put away to begin anew.
    #[error("{} cannot be built anew: {source}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The log does not say where it ends.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A view is not there to be read, and nobody has built it in time.
    #[error("the view `{view}` cannot be read: {missing}; is a projector of this version running?")]
    NotBuilt {
        /// Which one.
        view: &'static str,
        /// What is missing.
        missing: String,
    },
    /// There is no such generation.
    #[error("the view `{view}` has no generation {number}; `colophon replay list` shows those that it has")]
    NoGeneration {
        /// Of which view.
        view: &'static str,
        /// Which one was asked for.
        number: u32,
    },
    /// The live generation cannot be dropped.
    #[error("generation {number} of the view `{view}` is the live one; switch to another one before dropping it")]
    Live {
        /// Of which view.
        view: &'static str,
        /// Its number.
        number: u32,
    },
}

/// The log that views are built from.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Which one.
    pub log: LogId,
    /// Where it ends now.
    pub head: Position,
    /// In how many partitions it is delivered.
    pub partitions: u16,
}

/// A stream that a view has set aside, because it could not take one of its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// Which stream.
    pub stream: String,
    /// The partition that it comes in.
    pub partition: u16,
    /// The revision of the event that could not be taken.
    pub revision: u64,
    /// The position of that event.
    pub position: u64,
    /// Why.
    pub reason: String,
}

/// An event that a view does without, because somebody said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Of which stream.
    pub stream: String,
    /// Which of its events.
    pub revision: u64,
    /// Where in the log.
    pub position: u64,
    /// Why it could not be taken.
    pub reason: String,
}

/// What a view has not taken of the events that it has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SetAside {
    /// Streams that wait, by name.
    pub parked: BTreeMap<String, Parked>,
    /// Events that are left out, by stream.
    pub skipped: BTreeMap<String, Vec<Skipped>>,
}

impl SetAside {
    /// What is set aside after a change.
    pub fn change(&mut self, change: &Change) {
        for stream in &change.taken_up {
            self.parked.remove(stream);
        }
        self.parked.extend(change.parked.iter().map(|parked| (parked.stream.clone(), parked.clone())));
        for skipped in &change.skipped {
            self.skipped.entry(skipped.stream.clone()).or_default().push(skipped.clone());
        }
    }

    /// Whether an event is left out.
    pub fn skips(&self, stream: &str, revision: Revision) -> bool {
        self.skipped.get(stream).is_some_and(|events| events.iter().any(|event| event.revision == revision.0))
    }
}

/// What is written at once.
#[derive(Debug, Clone)]
pub struct Change {
    /// Where the partition stood, and has to stand still.
    pub from: Checkpoint,
    /// Where it stands then.
    pub to: Position,
    /// What it has taken then.
    pub tally: Tally,
    /// Rows that are now so.
    pub upserts: Vec<Value>,
    /// Rows that are no more.
    pub deletes: Vec<Key>,
    /// Streams that are no longer set aside.
    pub taken_up: Vec<String>,
    /// Streams that are set aside from now on.
    pub parked: Vec<Parked>,
    /// Events that are left out from now on.
    pub skipped: Vec<Skipped>,
}

impl Change {
    /// A change of nothing but the position.
    pub fn of(from: Checkpoint, to: Position) -> Self {
        let (tally, upserts, deletes) = (from.tally, Vec::new(), Vec::new());
        Self { from, to, tally, upserts, deletes, taken_up: Vec::new(), parked: Vec::new(), skipped: Vec::new() }
    }

    /// Whether it changes what is set aside.
    pub fn sets_aside(&self) -> bool {
        !(self.taken_up.is_empty() && self.parked.is_empty() && self.skipped.is_empty())
    }

    /// Where the partition stands then.
    pub fn checkpoint(&self) -> Checkpoint {
        let amended = self.from.amended + u64::from(!self.taken_up.is_empty());
        Checkpoint { position: self.to, tally: self.tally, amended, ..self.from.clone() }
    }
}

/// One generation of a view, as the worker that builds it sees it.
pub trait ViewStore: Send + Sync {
    /// Whether readers see this generation.
    fn is_live(&self) -> bool;

    /// How far each partition has come.
    fn checkpoints(&self) -> BoxFuture<'_, Result<Vec<Checkpoint>, StoreError>>;

    /// What it has not taken.
    fn set_aside(&self) -> SetAside;

    /// The rows with these keys, as far as there are any: for the worker that is about to change them.
    fn load<'a>(&'a self, keys: &'a [&'a Key]) -> BoxFuture<'a, Result<Vec<Value>, StoreError>>;

    /// Takes rows and checkpoint, both or neither; `false` if the checkpoint has been moved or amended by somebody else,
    /// in which case nothing is taken.
    fn write<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Whether changes of several partitions are best written together: no row is of more than one of them. An index of one
    /// process has rows of several, so that each partition's change rests on the one before it.
    fn takes_together(&self) -> bool {
        false
    }

    /// Takes changes of several partitions, each wholly or not at all, as [`ViewStore::write`] says.
    fn write_all<'a>(&'a self, changes: &'a [Change]) -> BoxFuture<'a, Result<Vec<bool>, StoreError>> {
        async move {
            let mut written = Vec::with_capacity(changes.len());
            for change in changes {
                written.push(self.write(change).await?);
            }
            Ok(written)
        }
        .boxed()
    }
}

/// What a generation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is being filled, or left by one who filled it.
    Building,
    /// It is complete, and can be switched to.
    Built,
    /// Readers see it.
    Live,
    /// Readers saw it before they saw the live one, and can be taken back to it.
    Kept,
}

impl Stage {
    /// Its name, as it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Built => "built",
            Self::Live => "live",
            Self::Kept => "kept",
        }
    }
}

/// One build of a view.
#[derive(Clone)]
pub struct Generation {
    /// Counts the view's builds, from 1 on.
    pub number: u32,
    /// What it is for.
    pub stage: Stage,
    /// Its rows.
    pub store: Arc<dyn ViewStore>,
}

/// What became of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Readers see the other generation.
    Done,
    /// The other generation is behind the live one: readers would go back in time.
    Behind,
}

/// The generations of one view.
pub trait Generations: Send + Sync {
    /// The view's name.
    fn view(&self) -> &'static str;

    /// All of them, by number; a receiver is told when there are others, or their stages change.
    fn all(&self) -> watch::Receiver<Vec<Generation>>;

    /// The one that readers see.
    fn live_generation(&self) -> Generation {
        let all = self.all();
        let live = all.borrow().iter().find(|generation| generation.stage == Stage::Live).cloned();
        live.expect("there is always a live generation")
    }

    /// Begins a new one, empty, which leaves out what the live one leaves out.
    fn begin(&self) -> BoxFuture<'_, Result<Generation, StoreError>>;

    /// Notes what a generation is for, other than that readers see it: that is for [`Generations::switch`].
    fn mark(&self, number: u32, stage: Stage) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Keeps those that feed a complete generation away from it, until it is marked again or switched to. The next start
    /// knows nothing of it.
    fn hold(&self, number: u32) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Has readers see another generation from one moment to the next, unless that is behind. The one before is kept, and
    /// one that was kept so far is dropped with the next start, if nobody drops it before.
    fn switch(&self, number: u32) -> BoxFuture<'_, Result<Switch, StoreError>>;

    /// Removes a generation that is not the live one.
    fn drop_generation(&self, number: u32) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The rows of a generation as they are at one moment.
    fn freeze(&self, number: u32) -> BoxFuture<'_, Result<Box<dyn Frozen>, StoreError>>;
}

/// The rows of a generation at one moment, whatever is written meanwhile.
pub trait Frozen: Send {
    /// How far each partition was.
    fn checkpoints(&self) -> Vec<Checkpoint>;

    /// Rows behind a key in the order of their keys, with their keys, at most `limit`.
    fn rows<'a>(
        &'a mut self,
        after: Option<&'a Key>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Key, Value)>, StoreError>>;
}

/// How far a view is that has come so far in each partition: as far as its slowest.
pub fn position(checkpoints: &[Checkpoint]) -> Position {
    checkpoints.iter().map(|checkpoint| checkpoint.position).min().unwrap_or(Position(0))
}

/// How far such a view has come in the partition that is ahead of the others.
pub fn furthest(checkpoints: &[Checkpoint]) -> Position {
    checkpoints.iter().map(|checkpoint| checkpoint.position).max().unwrap_or(Position(0))
}

/// The order of keys, as stores keep it: by their values from the first on, texts by their bytes.
pub fn compare_keys(a: &Key, b: &Key) -> Ordering {
    let compare = |(a, b): (&Value, &Value)| match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => a.cmp(b),
        _ => a.as_i64().cmp(&b.as_i64()),
    };
    a.iter().zip(b).map(compare).find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
}
