//! Rebuilds while events come and readers read: nobody notices but those who ask for the generation.

use super::*;
use crate::test_history::keep_happening;
use futures_util::future::{BoxFuture, FutureExt};
use platform::read_store::{ReadStore, Select};
use platform::search_index::{Order, Request, SearchIndexes};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const ALL: Select = Select { from: None, filter: "true", order: "1", limit: 10_000 };
const EVERYTHING: Request<'static> =
    Request { text: "", filters: Vec::new(), order: Order::Relevance, counted: Vec::new(), after: None, limit: 100 };

/// Reads rows, and answers where and how many.
pub(super) type Read = Box<dyn Fn() -> BoxFuture<'static, (Position, u64)> + Send>;

pub(super) fn reads_table(tables: &Arc<ReadStore>, view: &'static str) -> Read {
    let tables = Arc::clone(tables);
    Box::new(move || {
        let tables = Arc::clone(&tables);
        async move {
            let read = tables.read::<Value>(view, ALL, &[]).await.unwrap();
            (read.position, read.rows.len() as u64)
        }
        .boxed()
    })
}

fn reads_index(indexes: &Arc<SearchIndexes>) -> Read {
    let indexes = Arc::clone(indexes);
    Box::new(move || {
        let indexes = Arc::clone(&indexes);
        async move {
            let found = indexes.read(|index| index.search(&EVERYTHING)).unwrap();
            (found.position, found.total)
        }
        .boxed()
    })
}

/// Reads until it is stopped; no read fails, goes back in time, or misses a row that was there.
pub(super) fn keep_reading(read: Read, stop: CancellationToken) -> JoinHandle<u64> {
    tokio::spawn(async move {
        let (mut last, mut reads) = ((Position(0), 0), 0);
        while !stop.is_cancelled() {
            let (position, rows) = read().await;
            assert!((position, rows) >= last && rows >= last.1, "{position:?}, {rows} after {last:?}");
            (last, reads) = ((position, rows), reads + 1);
            tokio::task::yield_now().await;
        }
        reads
    })
}

fn reader(stores: &Stores, viewed: &Viewed) -> Read {
    match viewed.view.name() {
        "search" => reads_index(&stores.indexes),
        view => reads_table(&stores.tables, view),
    }
}

/// Has events come and readers read while something is done with each view; then all generations have all the rows.
async fn while_it_goes_on(what: impl AsyncFn(&Viewed)) {
    let directory = tempfile::tempdir().unwrap();
    let history = catalogue().await;
    let stores = Stores::open(directory.path(), &history).await;
    let views = stores.views(&history);
    let stop = CancellationToken::new();
    let (mut feeding, mut reading) = (Vec::new(), Vec::new());
    for viewed in &views {
        viewed.catch_up().await;
        feeding.push(viewed.feed());
        reading.extend([0, 1].map(|_| keep_reading(reader(&stores, viewed), stop.clone())));
    }
    let happening = keep_happening(history, stop.clone());
    for viewed in &views {
        what(viewed).await;
    }
    stop.cancel();
    happening.await.unwrap();
    for reading in reading {
        assert!(reading.await.unwrap() > 10, "it has read all the time");
    }
    for viewed in &views {
        viewed.level().await;
        for (number, _) in viewed.stages() {
            assert_eq!(viewed.rows(number).await, viewed.expected().await, "{} {number}", viewed.view.name());
        }
    }
    for feeding in feeding {
        feeding.end().await;
    }
    stores.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilds_under_load_lose_nothing_and_disturb_nobody() {
    while_it_goes_on(async |viewed| {
        for generation in 2..6 {
            let (rebuilt, _) = rebuilt(viewed, Then::SwitchIfEqual).await;
            assert!(rebuilt.generation == generation && rebuilt.switched, "{rebuilt:?}");
            assert_eq!(viewed.stages(), [(generation - 1, Stage::Kept), (generation, Stage::Live)]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generations_that_are_both_fed_are_compared_at_one_position() {
    while_it_goes_on(async |viewed| {
        rebuilt(viewed, Then::Keep).await;
        assert_eq!(viewed.stages(), [(1, Stage::Live), (2, Stage::Built)]);
        for number in [2, 1, 2, 1] {
            let rebuilt = switched(viewed, number, Then::SwitchIfEqual).await;
            assert!(rebuilt.switched, "{rebuilt:?}");
        }
        roll_back(viewed).await.unwrap();
        assert_eq!(viewed.stages(), [(1, Stage::Kept), (2, Stage::Live)]);
    })
    .await;
}
