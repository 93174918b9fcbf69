//! States of streams as of any revision, folded from the log by a node that does not write it.
//!
//! Of the streams used last it keeps a state and the events after it, so that answers about one hot stream, which come in
//! any order, cost one read of its end for all.

use crate::commands::{Loaded, Unavailable};
use crate::stream::{LoadError, Streams};
use domain::{Event, State};
use lru::LruCache;
use platform::event_log::{Revision, StreamId};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

/// Streams that are kept.
const STREAMS: NonZeroUsize = NonZeroUsize::new(4_096).expect("it is not zero");

/// Events that are kept of each stream, at least, where it has so many: answers under way at once are not further apart.
const TAIL: usize = 128;

/// The last use of a stream locks it, so that those who come meanwhile share what is read.
type Shared = Arc<tokio::sync::Mutex<Option<Kept>>>;

/// The cache.
pub(crate) struct Folded {
    streams: Streams,
    kept: Mutex<LruCache<StreamId, Shared>>,
}

/// A stream from a revision on.
struct Kept {
    base: Loaded,
    /// The events after `base`.
    tail: Vec<Event>,
    newest: Loaded,
}

impl Folded {
    pub(crate) fn new(streams: Streams) -> Self {
        Self { streams, kept: Mutex::new(LruCache::new(STREAMS)) }
    }

    /// The aggregate as it was at a revision that the log has.
    pub(crate) async fn at(&self, stream: &StreamId, revision: Revision) -> Result<Loaded, Unavailable> {
        self.find(stream, revision).await.map_err(|error| {
            tracing::error!(%stream, %error, "stream {stream} cannot be read; who asked is told that the log is unavailable");
            Unavailable::Log
        })
    }

    async fn find(&self, stream: &StreamId, revision: Revision) -> Result<Loaded, LoadError> {
        let shared = self.shared(stream);
        let mut place = shared.lock().await;
        let kept = match place.as_mut() {
            Some(kept) if revision < kept.base.revision => {
                drop(place);
                return self.streams.load_at(stream, revision).await;
            }
            Some(kept) => kept,
            None => place.insert(Kept::new(self.streams.begin_at(stream, revision).await?)),
        };
        while kept.newest.revision < revision {
            let events = self.streams.page(stream, kept.newest.revision).await?;
            if events.is_empty() {
                return Err(LoadError::Short { stream: stream.clone(), revision: revision.0 });
            }
            kept.extend(events);
        }
        match kept.at(revision) {
            Some(loaded) => Ok(loaded),
            // More was read than is kept.
            None => self.streams.load_at(stream, revision).await,
        }
    }

    fn shared(&self, stream: &StreamId) -> Shared {
        let mut kept = self.kept.lock().expect("nothing panics while it holds the streams");
        Arc::clone(kept.get_or_insert(stream.clone(), Shared::default))
    }
}

impl Kept {
    fn new(base: Loaded) -> Self {
        Self { newest: base.clone(), tail: Vec::new(), base }
    }

    fn extend(&mut self, events: Vec<Event>) {
        self.newest = fold(&self.newest, &events);
        self.tail.extend(events);
        // Half of it at a time, so that not every event moves the base.
        if self.tail.len() > 2 * TAIL {
            let past: Vec<_> = self.tail.drain(..self.tail.len() - TAIL).collect();
            self.base = fold(&self.base, &past);
        }
    }

    /// None outside what is kept.
    fn at(&self, revision: Revision) -> Option<Loaded> {
        if revision == self.newest.revision {
            return Some(self.newest.clone());
        }
        let count = usize::try_from(revision.0.checked_sub(self.base.revision.0)?).ok()?;
        Some(fold(&self.base, self.tail.get(..count)?))
    }
}

fn fold(from: &Loaded, events: &[Event]) -> Loaded {
    let state = events.iter().fold(State::clone(&from.state), domain::evolve);
    Loaded { state: Arc::new(state), revision: Revision(from.revision.0 + events.len() as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatcher::tests::{adjust, name};
    use crate::dispatcher::{Dispatcher, Settings};
    use platform::event_log::fault::FaultyLog;
    use platform::event_log::memory::MemoryLog;
    use platform::event_log::{EventLog, LogId};
    use platform::seam::{Seam, Timestamp};
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    #[tokio::test]
    async fn any_revision_is_what_it_was_and_only_the_streams_end_is_read() {
        use crate::commands::Commands;
        let log = Arc::new(FaultyLog::new(Arc::new(MemoryLog::new(LogId(Uuid::from_u128(1))))));
        let (seam, stop) = (Seam::seeded(1, Timestamp(0)).0, CancellationToken::new());
        let writer = Dispatcher::start(log.clone() as Arc<dyn EventLog>, seam, Settings::default(), stop).0;
        let mut answers = Vec::new();
        for id in 0..5 * TAIL as u128 {
            answers.push(writer.send(adjust(1 + (id << 32), 1, 1)).await.unwrap().outcome.unwrap());
        }
        let folded = Folded::new(Streams { log: log.clone(), snapshots: None });
        // The last first: what is before the part that is kept is folded anew.
        for expected in answers.iter().rev().chain(&answers) {
            assert_eq!(&folded.at(&name(1), expected.revision).await.unwrap(), expected);
        }
        assert_eq!(folded.at(&name(1), Revision(0)).await.unwrap().revision, Revision(0));
        let ahead = Revision(5 * TAIL as u64 + 1);
        assert_eq!(folded.at(&name(1), ahead).await, Err(Unavailable::Log), "the stream does not reach so far");

        log.fail_reads(true);
        for expected in answers.iter().rev().take(TAIL) {
            assert_eq!(&folded.at(&name(1), expected.revision).await.unwrap(), expected, "from memory");
        }
        assert_eq!(folded.at(&name(1), Revision(1)).await, Err(Unavailable::Log));
        assert_eq!(folded.at(&name(2), Revision(1)).await, Err(Unavailable::Log));
        log.fail_reads(false);
        let next = writer.send(adjust(7, 1, 1)).await.unwrap().outcome.unwrap();
        assert_eq!(folded.at(&name(1), next.revision).await.unwrap(), next);
    }
}
