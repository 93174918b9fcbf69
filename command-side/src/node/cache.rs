//! Aggregates that a node folds by itself, as of revisions that the writer names.

use crate::commands::{Loaded, Unavailable};
use crate::stream::Streams;
use lru::LruCache;
use platform::event_log::{Revision, StreamId};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard};

/// Aggregates that are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(16_384).expect("it is not zero");

/// The aggregates that were read last.
pub(super) struct Cache {
    streams: Streams,
    last: Mutex<LruCache<StreamId, Loaded>>,
}

impl Cache {
    pub(super) fn new(streams: Streams) -> Self {
        Self { streams, last: Mutex::new(LruCache::new(REMEMBERED)) }
    }

    /// The aggregate as of a revision, which the log has.
    pub(super) async fn load(&self, stream: &StreamId, at: Revision) -> Result<Loaded, Unavailable> {
        let known = self.last().get(stream).cloned();
        if let Some(known) = known.as_ref().filter(|known| known.revision == at) {
            return Ok(known.clone());
        }
        let loaded = self.streams.load_at(stream, at, known).await.map_err(|error| {
            tracing::error!(%error, %stream, "a stream cannot be read as the writer has it");
            Unavailable::Log
        })?;
        let mut last = self.last();
        if last.peek(stream).is_none_or(|known| known.revision < loaded.revision) {
            last.put(stream.clone(), loaded.clone());
        }
        Ok(loaded)
    }

    fn last(&self) -> MutexGuard<'_, LruCache<StreamId, Loaded>> {
        self.last.lock().expect("nothing panics while it holds the aggregates")
    }
}
