//! A process rebuilds what another one feeds and a third one reads, all in one database.

use super::under_load::{keep_reading, reads_table};
use super::*;
use crate::test_history::{keep_happening, until};
use platform::postgres::scratch::Scratch;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_is_rebuilt_switched_and_rolled_back_by_another_process_than_the_one_that_feeds_it() {
    let Some(database) = Scratch::new().await else { return };
    let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let history = catalogue().await;
    let open = |place: usize| Stores::open_postgres(directories[place].path(), &database.url, &history);
    let (feeds, rebuilds, reads) = (open(0).await, open(1).await, open(2).await);
    let (fed, viewed) = (feeds.ledger(&history), rebuilds.ledger(&history));
    fed.catch_up().await;
    let feeding = fed.feed();
    let stop = CancellationToken::new();
    let reading = keep_reading(reads_table(&reads.tables, "stock_ledger"), stop.clone());
    let happening = keep_happening(history, stop.clone());

    let (first, _) = rebuilt(&viewed, Then::SwitchIfEqual).await;
    assert!(first.generation == 2 && first.switched, "{first:?}");
    let (second, _) = rebuilt(&viewed, Then::Keep).await;
    assert!(second.generation == 3 && second.comparison.is_equal(), "{second:?}");
    for number in [3, 2, 3] {
        let done = switched(&viewed, number, Then::SwitchIfEqual).await;
        assert!(done.switched, "{done:?}");
    }
    roll_back(&viewed).await.unwrap();
    let stages = [(2, Stage::Live), (3, Stage::Kept)];
    until(async || fed.stages() == stages && reads.tables.generation("stock_ledger") == 2).await;

    stop.cancel();
    happening.await.unwrap();
    assert!(reading.await.unwrap() > 10, "it has read all the time");
    viewed.level().await;
    for (number, _) in viewed.stages() {
        assert_eq!(viewed.rows(number).await, viewed.expected().await, "{number}");
    }
    feeding.end().await;
    for stores in [feeds, rebuilds, reads] {
        stores.close().await;
    }
}
