//! When snapshots are taken: seldom, one at a time, and beside what the dispatcher does.

use crate::commands::Loaded;
use crate::stream::{Streams, snapshot};
use lru::LruCache;
use platform::event_log::{Revision, StreamId};
use std::num::NonZeroUsize;
use tokio::task::JoinSet;

/// Events that a stream may go on without another snapshot: what a cold load may have to fold.
pub(super) const EVERY: u64 = 1_000;

/// Streams whose last snapshot is remembered; one that is forgotten gets another snapshot too soon.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4_096).expect("it is not zero");

/// Takes snapshots of what becomes durable.
pub(super) struct Snapshots {
    streams: Streams,
    /// The revision of each stream's last snapshot.
    last: LruCache<StreamId, Revision>,
    /// The one that is being taken.
    taking: JoinSet<()>,
}

impl Snapshots {
    pub(super) fn new(streams: Streams) -> Self {
        Self { streams, last: LruCache::new(REMEMBERED), taking: JoinSet::new() }
    }

    /// Takes in that the stream was read from its snapshot at a revision; 0 without one.
    pub(super) fn begun_at(&mut self, stream: &StreamId, revision: Revision) {
        if revision.0 > 0 {
            self.last.put(stream.clone(), revision);
        }
    }

    /// Takes in what the stream has become, and takes a snapshot of it if it is far past the last one.
    pub(super) fn advanced(&mut self, stream: &StreamId, loaded: &Loaded) {
        let Some(store) = self.streams.snapshots.as_ref().filter(|_| loaded.revision.0 >= EVERY) else { return };
        let last = self.last.get(stream).copied().unwrap_or_default();
        while self.taking.try_join_next().is_some() {}
        // One that has to wait is taken when the stream advances again.
        if loaded.revision.0 < last.0 + EVERY || !self.taking.is_empty() {
            return;
        }
        self.last.put(stream.clone(), loaded.revision);
        let (log, store) = (self.streams.log.clone(), store.clone());
        let (stream, loaded) = (stream.clone(), loaded.clone());
        self.taking.spawn(async move { snapshot::take(log.as_ref(), &store, &stream, &loaded).await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{Commands, Lane};
    use crate::dispatcher::tests::{adjust, name};
    use crate::dispatcher::{Dispatcher, Settings};
    use domain::State;
    use domain::stock::{Figures, Stock};
    use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
    use platform::event_log::memory::MemoryLog;
    use platform::event_log::{EventLog, LogId};
    use platform::seam::{Seam, Timestamp};
    use platform::snapshot_store::{Snapshot, SnapshotStore};
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, Instant};
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    const LOG: LogId = LogId(Uuid::from_u128(1));

    async fn store(directory: &Path) -> SnapshotStore {
        SnapshotStore::open(&directory.join("snapshots"), LOG).await.unwrap()
    }

    /// The stream's snapshot, once there is one past a revision.
    async fn past(store: &SnapshotStore, revision: u64) -> Snapshot {
        let begun = Instant::now();
        loop {
            match store.load(&name(1)).await {
                Some(snapshot) if snapshot.revision.0 > revision => return snapshot,
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "no snapshot past {revision}");
        }
    }

    fn loaded(revision: u64) -> Loaded {
        let state = State::Stock(Stock::recorded(revision, Figures::default(), []));
        Loaded { state: Arc::new(state), revision: Revision(revision) }
    }

    #[tokio::test]
    async fn a_snapshot_is_due_after_so_many_events_and_one_is_taken_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let snapshots = Some(Arc::new(store(directory.path()).await));
        let mut snapshots = Snapshots::new(Streams { log: Arc::new(MemoryLog::new(LOG)), snapshots });
        let taken = async |snapshots: &mut Snapshots, stream, revision| {
            snapshots.advanced(&name(stream), &loaded(revision));
            let count = snapshots.taking.len();
            while snapshots.taking.join_next().await.is_some() {}
            count
        };
        assert_eq!(taken(&mut snapshots, 1, EVERY - 1).await, 0);
        assert_eq!(taken(&mut snapshots, 1, EVERY + 5).await, 1);
        assert_eq!(taken(&mut snapshots, 1, 2 * EVERY + 4).await, 0);
        assert_eq!(taken(&mut snapshots, 1, 2 * EVERY + 5).await, 1);
        snapshots.begun_at(&name(2), Revision(5 * EVERY));
        assert_eq!(taken(&mut snapshots, 2, 6 * EVERY - 1).await, 0, "it was read from a snapshot");
        snapshots.advanced(&name(3), &loaded(EVERY));
        assert_eq!(taken(&mut snapshots, 4, EVERY).await, 1, "another one is being taken");
        assert_eq!(taken(&mut snapshots, 4, EVERY + 1).await, 1, "now it is this stream's turn");
    }

    /// Until so many snapshots were taken, and not one more.
    async fn count(metrics: &PrometheusHandle, expected: u64) {
        let begun = Instant::now();
        while !metrics.render().contains(&format!("dispatcher_snapshots_total {expected}\n")) {
            assert!(begun.elapsed() < Duration::from_secs(10), "not {expected} snapshots: {}", metrics.render());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn a_long_stream_gets_snapshots_while_it_grows_and_when_it_is_read() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _of_this_thread = metrics::set_default_local_recorder(&recorder);
        let directory = tempfile::tempdir().unwrap();
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(LOG));
        let observer = store(directory.path()).await;
        let begin = async || {
            let (seam, store) = (Seam::seeded(1, Timestamp(0)).0, store(directory.path()).await);
            let stop = CancellationToken::new();
            Dispatcher::start_with_snapshots(Arc::clone(&log), store, seam, Settings::default(), stop).0
        };
        let dispatcher = begin().await;
        for id in 0..u128::from(EVERY) {
            dispatcher.send(adjust(1 + (id << 32), 1, 1)).await.unwrap().outcome.unwrap();
        }
        let first = past(&observer, 0).await;
        assert_eq!((first.revision.0, first.position.0), (EVERY, EVERY));
        drop(dispatcher);

        // A process without snapshots goes on, and the next one has more than so many events to fold.
        let (seam, stop) = (Seam::seeded(1, Timestamp(0)).0, CancellationToken::new());
        let without = Dispatcher::start(Arc::clone(&log), seam, Settings::default(), stop).0;
        for id in 0..u128::from(EVERY) {
            without.send(adjust(2 + (id << 32), 1, 1)).await.unwrap().outcome.unwrap();
        }
        let peeked = begin().await.peek(Lane::Customer, vec![name(1)]).await.unwrap();
        let second = past(&observer, EVERY).await;
        assert_eq!((second.revision, second.revision.0), (peeked[0].revision, 2 * EVERY));
        count(&recorder.handle(), 2).await;

        // The next one begins with that snapshot, and needs no other before it is as far past it.
        let last = begin().await;
        let repeated = last.send(adjust(1, 1, 1)).await.unwrap().outcome.unwrap();
        assert_eq!(repeated.revision, Revision(1), "a repeat of what lies before the snapshot");
        for id in 0..u128::from(EVERY) {
            last.send(adjust(3 + (id << 32), 1, 1)).await.unwrap().outcome.unwrap();
        }
        assert_eq!(past(&observer, 2 * EVERY).await.revision.0, 3 * EVERY);
        count(&recorder.handle(), 3).await;
    }
}
