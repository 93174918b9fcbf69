//! A rebuild that nobody listens to any more, or whose process is gone.

use super::*;
use crate::test_history::until;
use crate::worker::Worker;

/// Does something with a rebuild whose listener goes away after so many messages.
async fn deserted<T>(viewed: &Viewed, after: usize, what: impl AsyncFnOnce(&Rebuild) -> T) -> T {
    let (tell, mut told) = mpsc::channel(1);
    let rebuild = viewed.rebuild(tell);
    let listening = async {
        for _ in 0..after {
            told.recv().await;
        }
        drop(told);
    };
    // The listener first: what is told next finds nobody.
    let both = async { tokio::join!(biased; listening, what(&rebuild)) };
    let name = viewed.view.name();
    let ended = tokio::time::timeout(Duration::from_mins(2), both).await;
    ended.unwrap_or_else(|_| panic!("the rebuild of `{name}` ends, whoever goes away after {after} messages")).1
}

#[tokio::test]
async fn a_rebuild_that_is_broken_off_leaves_the_live_generation_alone() {
    let directory = tempfile::tempdir().unwrap();
    let history = catalogue().await;
    let stores = Stores::open(directory.path(), &history).await;
    for viewed in stores.views(&history) {
        viewed.catch_up().await;
        let before = viewed.live_rows().await;
        let mut broken_off = 0;
        while let Err(error) = deserted(&viewed, broken_off, async |rebuild| rebuild.run(Then::Switch).await).await {
            assert!(matches!(error, RebuildError::BrokenOff), "{error}");
            assert_eq!(viewed.stages(), [(1, Stage::Live)], "after {broken_off} messages");
            assert_eq!(viewed.live_rows().await, before);
            broken_off += 1;
        }
        assert_eq!(broken_off, 3, "beginning, filling, and comparing are told");
        assert_eq!(viewed.stages(), [(1, Stage::Kept), (5, Stage::Live)], "what is done is done, if nobody hears it");
        assert_eq!(viewed.live_rows().await, before);
    }
    stores.close().await;
}

#[tokio::test]
async fn a_switch_that_is_broken_off_is_done_or_not_done() {
    let directory = tempfile::tempdir().unwrap();
    let history = catalogue().await;
    let stores = Stores::open(directory.path(), &history).await;
    for viewed in stores.views(&history) {
        viewed.catch_up().await;
        rebuilt(&viewed, Then::Keep).await;
        let mut broken_off = 0;
        let switch = async |rebuild: &Rebuild| rebuild.switch(2, Then::Switch).await;
        while let Err(error) = deserted(&viewed, broken_off, switch).await {
            assert!(matches!(error, RebuildError::BrokenOff), "{error}");
            assert_eq!(viewed.stages(), [(1, Stage::Live), (2, Stage::Built)], "after {broken_off} messages");
            broken_off += 1;
        }
        assert_eq!(viewed.stages(), [(1, Stage::Kept), (2, Stage::Live)]);
        assert_eq!(viewed.live_rows().await, viewed.expected().await);
    }
    stores.close().await;
}

#[tokio::test]
async fn a_generation_that_was_being_compared_in_a_crash_is_still_there() {
    let directory = tempfile::tempdir().unwrap();
    let history = catalogue().await;
    let stores = Stores::open(directory.path(), &history).await;
    for viewed in stores.views(&history) {
        viewed.catch_up().await;
        rebuilt(&viewed, Then::Keep).await;
        // Nobody listens, and the first message waits already.
        let (tell, _told) = mpsc::channel(1);
        tell.send(Progress::Comparing { rows: 0 }).await.unwrap();
        let rebuild = viewed.rebuild(tell);
        tokio::select! {
            () = until(async || viewed.stages() == [(1, Stage::Live), (2, Stage::Building)]) => {}
            done = rebuild.switch(2, Then::Switch) => panic!("{done:?}"),
        }
    }
    stores.close().await;
    let stores = Stores::open(directory.path(), &history).await;
    for viewed in stores.views(&history) {
        assert_eq!(viewed.stages(), [(1, Stage::Live), (2, Stage::Built)]);
    }
    stores.close().await;
}

#[tokio::test]
async fn a_generation_that_was_being_built_in_a_crash_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let history = catalogue().await;
    let stores = Stores::open(directory.path(), &history).await;
    for viewed in stores.views(&history) {
        viewed.catch_up().await;
        let new = viewed.generations.begin().await.unwrap();
        let mut worker = Worker::open(viewed.view, new.store).await.unwrap();
        let to = worker.everywhere(Position(7));
        worker.advance(viewed.log.as_ref(), &to).await.unwrap();
        assert_eq!(viewed.stages(), [(1, Stage::Live), (2, Stage::Building)]);
    }
    stores.close().await;

    let stores = Stores::open(directory.path(), &history).await;
    for viewed in stores.views(&history) {
        assert_eq!(viewed.stages(), [(1, Stage::Live)]);
        assert_eq!(viewed.live_rows().await, viewed.expected().await);
        let (rebuilt, _) = rebuilt(&viewed, Then::SwitchIfEqual).await;
        assert!(rebuilt.generation == 2 && rebuilt.switched, "{rebuilt:?}");
    }
    stores.close().await;
}
