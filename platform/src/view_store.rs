//! Where a view is kept: rows and how far they have come, written together. All of it can be built anew from the log.

use crate::bus::Checkpoint;
use crate::event_log::{LogId, Position};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::PathBuf;
use thiserror::Error;

/// The values of a row's key fields.
pub type Key = Vec<Value>;

/// Why a store does not answer.
#[derive(Debug, Error)]
pub enum StoreError {
    /// SQLite could not.
    #[error("the read store does not answer: {0}")]
    Sqlite(#[from] sqlx::Error),
    /// The search index could not.
    #[error("the search index does not answer: {0}")]
    Index(#[from] tantivy::TantivyError),
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Which stream.
    pub stream: String,
    /// The event that could not be taken.
    pub position: Position,
    /// Why.
    pub reason: String,
}

/// What a worker writes at once.
#[derive(Debug, Clone)]
pub struct Change {
    /// Where the partition stood, and has to stand still.
    pub from: Checkpoint,
    /// Where it stands then.
    pub to: Position,
    /// Rows that are now so.
    pub upserts: Vec<Value>,
    /// Rows that are no more.
    pub deletes: Vec<Key>,
    /// Streams set aside.
    pub parked: Vec<Parked>,
}

/// A store, as the worker that builds a view in it sees it.
pub trait ViewStore: Send + Sync + 'static {
    /// How far each partition of a view has come.
    fn checkpoints(&self, view: &str) -> impl Future<Output = Result<Vec<Checkpoint>, StoreError>> + Send;

    /// The streams that a view has set aside.
    fn parked(&self, view: &str) -> impl Future<Output = Result<Vec<Parked>, StoreError>> + Send;

    /// The rows with these keys, as far as there are any: for the worker that is about to change them.
    fn load<T: DeserializeOwned + Send>(
        &self,
        view: &str,
        keys: &[&Key],
    ) -> impl Future<Output = Result<Vec<T>, StoreError>> + Send;

    /// Takes rows and checkpoint, both or neither; `false` if the checkpoint has been moved by somebody else, in which
    /// case nothing is taken.
    fn write(&self, view: &str, change: &Change) -> impl Future<Output = Result<bool, StoreError>> + Send;
}
