//! Rebuilding: what is compared, when readers are switched, and that they never notice anything else.

mod broken_off;
mod compared;
mod processes;
mod under_load;

use super::*;
use crate::test_history::{History, Stores, Viewed, catalogue, happen};
use platform::view_store::{Change, Switch};
use serde_json::json;
use std::time::Duration;

/// Does something with a rebuild, and listens to it.
async fn listened<T>(viewed: &Viewed, what: impl AsyncFnOnce(&Rebuild) -> T) -> (T, Vec<Progress>) {
    let (tell, mut told) = mpsc::channel(4);
    let rebuild = viewed.rebuild(tell);
    let doing = async {
        let done = what(&rebuild).await;
        drop(rebuild);
        done
    };
    let listening = async {
        let mut all = Vec::new();
        while let Some(progress) = told.recv().await {
            all.push(progress);
        }
        all
    };
    tokio::join!(doing, listening)
}

async fn rebuilt(viewed: &Viewed, then: Then) -> (Rebuilt, Vec<Progress>) {
    let (rebuilt, told) = listened(viewed, async |rebuild| rebuild.run(then).await).await;
    (rebuilt.unwrap(), told)
}

async fn switched(viewed: &Viewed, number: u32, then: Then) -> Rebuilt {
    listened(viewed, async |rebuild| rebuild.switch(number, then).await).await.0.unwrap()
}

async fn roll_back(viewed: &Viewed) -> Result<(), RebuildError> {
    listened(viewed, async |rebuild| rebuild.roll_back().await).await.0
}

fn differences(told: Vec<Progress>) -> Vec<Difference> {
    let difference = |progress| match progress {
        Progress::Differs(difference) => Some(difference),
        _ => None,
    };
    told.into_iter().filter_map(difference).collect()
}

#[tokio::test]
async fn a_sound_view_is_built_compared_switched_to_and_rolled_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = catalogue().await;
    let stores = Stores::open(directory.path(), &history).await;
    for viewed in stores.views(&history) {
        viewed.catch_up().await;
        assert!(matches!(roll_back(&viewed).await, Err(RebuildError::NothingKept(_))));
        let head = viewed.log.head().await.unwrap().0;
        let (rebuilt, told) = rebuilt(&viewed, Then::SwitchIfEqual).await;
        let Rebuilt { generation, comparison, switched } = rebuilt;
        assert!(generation == 2 && switched && comparison.is_equal(), "{comparison:?}");
        assert!(comparison.rows > 0 && comparison.live_events > 0 && comparison.position == head, "{comparison:?}");
        assert_eq!(told.first(), Some(&Progress::Began { generation: 2, head }));
        assert_eq!(told.last(), Some(&Progress::Switched { from: 1, to: 2, position: head }));
        assert_eq!(viewed.stages(), [(1, Stage::Kept), (2, Stage::Live)]);
        let text = |rows| serde_json::to_string(&rows).unwrap();
        assert_eq!(text(viewed.rows(2).await), text(viewed.expected().await));
        assert_eq!(text(viewed.rows(1).await), text(viewed.expected().await));
    }
    for viewed in stores.views(&history) {
        roll_back(&viewed).await.unwrap();
        assert_eq!(viewed.stages(), [(1, Stage::Live), (2, Stage::Kept)]);
    }
    happen(&mut history, 0, 1, 8).await;
    for viewed in stores.views(&history) {
        viewed.catch_up().await;
        let (rebuilt, _) = rebuilt(&viewed, Then::SwitchIfEqual).await;
        assert!(rebuilt.generation == 3 && rebuilt.switched, "{rebuilt:?}");
        assert_eq!(viewed.stages(), [(1, Stage::Kept), (3, Stage::Live)], "only the last that was live is kept");
    }
    stores.close().await;
}

#[tokio::test]
async fn readers_are_not_taken_back_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = catalogue().await;
    let stores = Stores::open(directory.path(), &history).await;
    for viewed in stores.views(&history) {
        viewed.catch_up().await;
        rebuilt(&viewed, Then::SwitchIfEqual).await;
    }
    for what in [1, 4] {
        happen(&mut history, 2, what, 9).await;
    }
    for viewed in stores.views(&history) {
        viewed.catch_up().await;
        // A search is as far as what is committed.
        viewed.live_rows().await;
        assert_eq!(viewed.generations.switch(1).await.unwrap(), Switch::Behind, "nobody has fed it");
        assert_eq!(viewed.stages(), [(1, Stage::Kept), (2, Stage::Live)]);
        roll_back(&viewed).await.unwrap();
        assert_eq!(viewed.stages(), [(1, Stage::Live), (2, Stage::Kept)]);
        assert_eq!(viewed.position().await, viewed.log.head().await.unwrap());
        assert_eq!(viewed.live_rows().await, viewed.expected().await);
    }
    stores.close().await;
}

/// A row that is wrong, one that is missing, and one that nobody wrote; what is to be found.
async fn plant(viewed: &Viewed) -> Vec<Difference> {
    let live = viewed.live();
    let at = live.checkpoints().await.unwrap().remove(0);
    let rows = viewed.live_rows().await;
    let [(wrong_key, right), (missing_key, missing), ..] = &rows[..] else { panic!("at least two rows") };
    let (mut wrong, mut extra) = (right.clone(), rows[0].1.clone());
    let (field, value) = match viewed.view.name() {
        "books" => ("title", json!("wrong")),
        "search" => ("sold", json!(99)),
        _ => ("on_hand", json!(99)),
    };
    wrong[field] = value;
    let mut extra_key = wrong_key.clone();
    (extra_key[0], extra[viewed.view.key()[0]]) = (json!("ffffffff"), json!("ffffffff"));
    let change = Change {
        upserts: vec![wrong.clone(), extra.clone()],
        deletes: vec![missing_key.clone()],
        ..Change::of(at.clone(), at.position)
    };
    assert!(live.write(&change).await.unwrap());
    vec![
        Difference { key: wrong_key.clone(), live: Some(wrong), rebuilt: Some(right.clone()) },
        Difference { key: missing_key.clone(), live: None, rebuilt: Some(missing.clone()) },
        Difference { key: extra_key, live: Some(extra), rebuilt: None },
    ]
}

/// Five views, each with planted rows that no event touches any more.
async fn planted(stores: &Stores, history: &mut History) -> Vec<(Viewed, Vec<Difference>)> {
    let mut planted = Vec::new();
    for viewed in stores.views(history) {
        viewed.catch_up().await;
        let found = plant(&viewed).await;
        planted.push((viewed, found));
    }
    // The index commits what is planted with the next event at the latest.
    let touched = history.log.head().await.unwrap();
    history.append("order-00000000-0000-0000-0000-000000000000", "OrderRetired", 1, Vec::new(), 0).await;
    assert!(history.log.head().await.unwrap() > touched);
    for (viewed, _) in &planted {
        viewed.catch_up().await;
    }
    planted
}

#[tokio::test]
async fn a_row_that_is_wrong_missing_or_too_many_is_named_and_keeps_readers_where_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = catalogue().await;
    let stores = Stores::open(directory.path(), &history).await;
    for (viewed, planted) in planted(&stores, &mut history).await {
        let before = viewed.live_rows().await;
        let (rebuilt, told) = rebuilt(&viewed, Then::SwitchIfEqual).await;
        assert!(!rebuilt.switched && rebuilt.comparison.differing == 3, "{rebuilt:?}");
        assert_eq!(rebuilt.comparison.live_events, rebuilt.comparison.rebuilt_events);
        assert_eq!(differences(told), planted);
        assert_eq!(viewed.stages(), [(1, Stage::Live), (2, Stage::Built)]);
        assert_eq!(viewed.live_rows().await, before);
    }
    stores.close().await;
}

#[tokio::test]
async fn a_generation_that_differs_is_switched_to_when_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = catalogue().await;
    let stores = Stores::open(directory.path(), &history).await;
    for (viewed, planted) in planted(&stores, &mut history).await {
        let (rebuilt, told) = rebuilt(&viewed, Then::Switch).await;
        assert!(rebuilt.switched && !rebuilt.comparison.is_equal(), "{rebuilt:?}");
        assert_eq!(differences(told), planted);
        assert_eq!(viewed.stages(), [(1, Stage::Kept), (2, Stage::Live)]);
        assert_eq!(viewed.live_rows().await, viewed.expected().await);
    }
    stores.close().await;
}

#[tokio::test]
async fn a_generation_that_is_kept_waits_to_be_compared_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = catalogue().await;
    let stores = Stores::open(directory.path(), &history).await;
    for (viewed, _) in planted(&stores, &mut history).await {
        let (kept, _) = rebuilt(&viewed, Then::Keep).await;
        assert!(!kept.switched);
        assert_eq!(viewed.stages(), [(1, Stage::Live), (2, Stage::Built)]);
        let refused = switched(&viewed, 2, Then::SwitchIfEqual).await;
        assert!(!refused.switched && refused.comparison.differing == 3, "{refused:?}");
        assert_eq!(viewed.stages(), [(1, Stage::Live), (2, Stage::Built)]);
        assert!(switched(&viewed, 2, Then::Switch).await.switched);
        assert_eq!(viewed.stages(), [(1, Stage::Kept), (2, Stage::Live)]);
        assert_eq!(viewed.live_rows().await, viewed.expected().await);
        let again = listened(&viewed, async |rebuild| rebuild.switch(2, Then::Switch).await).await.0;
        assert!(matches!(again, Err(RebuildError::Live { number: 2, .. })), "{again:?}");
    }
    stores.close().await;
}

#[tokio::test]
async fn a_view_that_has_missed_an_event_is_not_equal_though_its_rows_are() {
    let directory = tempfile::tempdir().unwrap();
    let history = catalogue().await;
    let stores = Stores::open(directory.path(), &history).await;
    for viewed in stores.views(&history) {
        viewed.catch_up().await;
        let mut change = {
            let at = viewed.live().checkpoints().await.unwrap().remove(0);
            Change::of(at.clone(), at.position)
        };
        change.tally.events -= 1;
        assert!(viewed.live().write(&change).await.unwrap());
        // A search is as far as what is committed, and nothing else makes it commit this.
        viewed.generations.mark(1, Stage::Live).await.unwrap();
        let (rebuilt, told) = rebuilt(&viewed, Then::SwitchIfEqual).await;
        assert_eq!(differences(told), []);
        assert!(!rebuilt.switched && !rebuilt.comparison.is_equal(), "{rebuilt:?}");
        assert_eq!(rebuilt.comparison.live_events + 1, rebuilt.comparison.rebuilt_events);
    }
    stores.close().await;
}

#[tokio::test]
async fn what_an_earlier_rebuild_left_is_built_anew() {
    let directory = tempfile::tempdir().unwrap();
    let history = catalogue().await;
    let stores = Stores::open(directory.path(), &history).await;
    for viewed in stores.views(&history) {
        viewed.catch_up().await;
        for number in 2..5 {
            let (name, again) = (viewed.view.name(), rebuilt(&viewed, Then::Keep));
            let again = tokio::time::timeout(Duration::from_mins(2), again).await;
            assert!(again.unwrap_or_else(|_| panic!("the rebuild of `{name}` ends")).0.comparison.is_equal());
            assert_eq!(viewed.stages(), [(1, Stage::Live), (number, Stage::Built)], "no number is given twice");
        }
    }
    stores.close().await;
}
