//! The read store: rows and checkpoint together, one writer per partition, and beginning anew.

use super::*;
use crate::view_store::{Change, Generation, Key, Parked, SetAside, Skipped, Stage, Switch, ViewStore};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

const TABLE: Table = Table {
    name: "counters",
    columns: &[("id", "TEXT"), ("place", "BIGINT"), ("count", "BIGINT"), ("note", "TEXT")],
    key: 2,
    indexes: &[&["count"]],
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counter {
    id: String,
    place: i64,
    count: i64,
    note: Option<String>,
}

const ALL: Select = Select { from: None, filter: "true", order: "id, place", limit: 100 };

fn log(n: u128) -> LogId {
    LogId(Uuid::from_u128(n))
}

async fn opened(directory: &TempDir, of: LogId, head: u64, partitions: u16) -> ReadStore {
    let source = Source { log: of, head: Position(head), partitions };
    ReadStore::open(&directory.path().join("views"), &[TABLE], source).await.unwrap()
}

fn counter(name: &str, place: i64, count: i64) -> Counter {
    Counter { id: name.to_owned(), place, count, note: (count > 1).then(|| "书 \"x\"".to_owned()) }
}

fn generations(store: &ReadStore) -> Vec<Generation> {
    store.generations("counters").all().borrow().clone()
}

fn live(store: &ReadStore) -> Arc<dyn ViewStore> {
    generations(store).into_iter().find(|generation| generation.stage == Stage::Live).unwrap().store
}

async fn change(store: &ReadStore, partition: usize, to: u64, rows: &[Counter]) -> Change {
    change_of(live(store).as_ref(), partition, to, rows).await
}

async fn change_of(store: &dyn ViewStore, partition: usize, to: u64, rows: &[Counter]) -> Change {
    let from = store.checkpoints().await.unwrap().remove(partition);
    let upserts = rows.iter().map(|row| serde_json::to_value(row).unwrap()).collect();
    Change { upserts, ..Change::of(from, Position(to)) }
}

fn rows_at(position: u64, rows: &[Counter]) -> Rows<Counter> {
    Rows { position: Position(position), generation: 1, rows: rows.to_vec() }
}

async fn all(store: &ReadStore) -> Rows<Counter> {
    store.read("counters", ALL, &[]).await.unwrap()
}

#[tokio::test]
async fn rows_are_inserted_replaced_deleted_and_found() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory, log(1), 10, 1).await;
    assert_eq!(all(&store).await, rows_at(0, &[]));
    let rows = [counter("b", 1, 1), counter("a", 2, 2), counter("a", 1, i64::MAX)];
    assert!(live(&store).write(&change(&store, 0, 3, &rows).await).await.unwrap());
    let [b, a2, a1] = rows;
    assert_eq!(all(&store).await, rows_at(3, &[a1.clone(), a2, b]));

    let mut second = change(&store, 0, 5, &[counter("b", 1, 7)]).await;
    second.deletes = vec![vec![json!("a"), json!(2)], vec![json!("absent"), json!(2)]];
    assert!(live(&store).write(&second).await.unwrap());
    assert_eq!(all(&store).await, rows_at(5, &[a1.clone(), counter("b", 1, 7)]));
    let keys = [vec![json!("a"), json!(1)], vec![json!("a"), json!("1 OR true")], vec![json!("b"), json!(3)]];
    assert_eq!(live(&store).load(&keys.iter().collect::<Vec<_>>()).await.unwrap(), [json!(a1)]);

    let select = Select { from: None, filter: "id >= ?1 AND count < ?2", order: "count DESC", limit: 1 };
    let found =
        store.read::<Counter>("counters", select, &[Param::Text("a".into()), Param::Integer(100)]).await.unwrap();
    assert_eq!(found.rows, [counter("b", 1, 7)]);
}

#[tokio::test]
async fn a_checkpoint_moves_once_from_where_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory, log(1), 10, 1).await;
    let first = change(&store, 0, 3, &[counter("a", 1, 1)]).await;
    let zombie = change(&store, 0, 4, &[counter("a", 1, 9), counter("z", 1, 9)]).await;
    assert!(live(&store).write(&first).await.unwrap());
    assert!(!live(&store).write(&zombie).await.unwrap(), "the partition is not where the zombie read it");
    assert!(!live(&store).write(&first).await.unwrap(), "a redelivery");
    let mut of_another_log = change(&store, 0, 5, &[]).await;
    of_another_log.from.log = log(2);
    assert!(!live(&store).write(&of_another_log).await.unwrap());
    assert_eq!(all(&store).await, rows_at(3, &[counter("a", 1, 1)]));
}

#[tokio::test]
async fn the_position_is_that_of_the_slowest_partition() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory, log(1), 10, 3).await;
    for (partition, to, reached) in [(0, 5, 0), (2, 9, 0), (1, 4, 4), (1, 8, 5)] {
        assert!(live(&store).write(&change(&store, partition, to, &[]).await).await.unwrap());
        assert_eq!(store.position("counters"), Position(reached));
        assert_eq!(all(&store).await.position, Position(reached));
    }
    assert_eq!(store.wait_for("counters", Position(5)).await, Position(5));
    let waiting = tokio::time::timeout(Duration::from_millis(10), store.wait_for("counters", Position(6)));
    assert!(waiting.await.is_err());
}

#[tokio::test]
async fn a_change_is_known_before_it_is_visible() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory, log(1), 10, 1).await;
    assert_eq!(store.last_change("counters", "a"), Position(10), "before anything is known, nothing is ruled out");
    live(&store).write(&change(&store, 0, 11, &[counter("a", 1, 1)]).await).await.unwrap();
    assert_eq!(store.last_change("counters", "a"), Position(11));
    let mut fails = change(&store, 0, 12, &[counter("a", 1, 1)]).await;
    fails.from.position = Position(1);
    assert!(!live(&store).write(&fails).await.unwrap());
    assert!(store.last_change("counters", "a") >= Position(11));
    // A stream that is taken up changes rows at a position at which they have been read.
    let taken_up = vec!["s".to_owned()];
    let takes_up = Change { taken_up, ..change(&store, 0, 11, &[counter("a", 1, 2)]).await };
    assert!(live(&store).write(&takes_up).await.unwrap());
    assert_eq!(store.last_change("counters", "a"), Position(12));
}

fn parked(position: u64) -> Parked {
    Parked { stream: "s".to_owned(), partition: 0, revision: 1, position, reason: "why".to_owned() }
}

#[tokio::test]
async fn what_is_set_aside_is_kept_and_taken_up_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory, log(1), 10, 1).await;
    let sets_aside = Change { parked: vec![parked(2)], ..change(&store, 0, 3, &[]).await };
    assert_eq!(store.parked_at("counters", "s"), None);
    assert!(live(&store).write(&sets_aside).await.unwrap());
    assert_eq!(store.parked_at("counters", "s"), Some(Position(2)));
    drop(store);
    let store = opened(&directory, log(1), 10, 1).await;
    assert_eq!(live(&store).set_aside().parked, BTreeMap::from([("s".to_owned(), parked(2))]));
    assert_eq!(store.parked_at("counters", "s"), Some(Position(2)));

    let skipped = Skipped { stream: "s".to_owned(), revision: 1, position: 2, reason: "why".to_owned() };
    let before = change(&store, 0, 4, &[]).await;
    let takes_up =
        Change { taken_up: vec!["s".to_owned()], skipped: vec![skipped.clone()], ..change(&store, 0, 3, &[]).await };
    assert!(live(&store).write(&takes_up).await.unwrap());
    assert_eq!(store.parked_at("counters", "s"), None);
    assert!(!live(&store).write(&before).await.unwrap(), "what was folded while the stream was set aside is outdated");
    let of_two =
        Change { parked: vec![Parked { stream: "t".to_owned(), ..parked(4) }], ..change(&store, 0, 4, &[]).await };
    assert!(live(&store).write(&of_two).await.unwrap());
    drop(store);
    let store = opened(&directory, log(1), 10, 1).await;
    let SetAside { parked, skipped: left_out } = live(&store).set_aside();
    assert_eq!(
        (parked.into_keys().collect::<Vec<_>>(), left_out),
        (vec!["t".to_owned()], BTreeMap::from([("s".to_owned(), vec![skipped])]))
    );
}

#[tokio::test]
async fn a_generation_is_built_beside_the_live_one_and_switched_to_once_it_is_not_behind() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory, log(1), 10, 1).await;
    let skipped = Skipped { stream: "s".to_owned(), revision: 1, position: 2, reason: "why".to_owned() };
    let skips = Change { skipped: vec![skipped.clone()], ..change(&store, 0, 3, &[counter("a", 1, 1)]).await };
    assert!(live(&store).write(&skips).await.unwrap());
    let of_view = store.generations("counters");
    let second = of_view.begin().await.unwrap();
    assert_eq!((second.number, second.stage), (2, Stage::Building));
    assert_eq!(second.store.set_aside().skipped["s"], [skipped], "what is left out stays so");
    assert_eq!(all(&store).await, rows_at(3, &[counter("a", 1, 1)]));

    let early = change_of(second.store.as_ref(), 0, 2, &[counter("b", 1, 9)]).await;
    assert!(second.store.write(&early).await.unwrap());
    assert_eq!(store.position("counters"), Position(3), "readers know nothing of it");
    assert_eq!(of_view.switch(2).await.unwrap(), Switch::Behind);
    assert_eq!(all(&store).await, rows_at(3, &[counter("a", 1, 1)]));
    assert!(second.store.write(&change_of(second.store.as_ref(), 0, 5, &[]).await).await.unwrap());
    of_view.mark(2, Stage::Built).await.unwrap();
    assert!(matches!(of_view.drop_generation(1).await, Err(StoreError::Live { number: 1, .. })));
    let first = live(&store);
    assert_eq!(of_view.switch(2).await.unwrap(), Switch::Done);
    let expected = Rows { position: Position(5), generation: 2, rows: vec![counter("b", 1, 9)] };
    assert_eq!(all(&store).await, expected);
    assert_eq!((store.position("counters"), store.generation("counters")), (Position(5), 2));
    assert!(second.store.is_live() && !first.is_live());

    // The other one goes on, unseen, and can be seen again once it has caught up.
    assert!(first.write(&change_of(first.as_ref(), 0, 4, &[counter("z", 1, 1)]).await).await.unwrap());
    assert_eq!((store.position("counters"), of_view.switch(1).await.unwrap()), (Position(5), Switch::Behind));
    drop(store);
    let store = opened(&directory, log(1), 10, 1).await;
    let stages: Vec<_> = generations(&store).iter().map(|it| (it.number, it.stage)).collect();
    assert_eq!(stages, [(1, Stage::Kept), (2, Stage::Live)]);
    assert_eq!(all(&store).await, expected);
    let of_view = store.generations("counters");
    of_view.drop_generation(1).await.unwrap();
    assert!(matches!(of_view.switch(1).await, Err(StoreError::NoGeneration { number: 1, .. })));
    assert_eq!(of_view.begin().await.unwrap().number, 3);
}

#[tokio::test]
async fn whatever_was_read_before_a_switch_may_have_changed() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory, log(1), 0, 1).await;
    let of_view = store.generations("counters");
    let second = of_view.begin().await.unwrap();
    let fills = change_of(second.store.as_ref(), 0, 5, &[counter("a", 1, 1)]).await;
    assert!(second.store.write(&fills).await.unwrap());
    assert_eq!(store.last_change("counters", "a"), Position(0), "readers do not see it");
    assert_eq!(of_view.switch(2).await.unwrap(), Switch::Done);
    assert_eq!(store.last_change("counters", "a"), Position(5));
}

#[tokio::test]
async fn a_complete_generation_survives_its_being_held_and_one_that_is_kept_no_longer_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let stages = |store: &ReadStore| -> Vec<_> { generations(store).iter().map(|it| (it.number, it.stage)).collect() };
    let store = opened(&directory, log(1), 10, 1).await;
    let of_view = store.generations("counters");
    for number in [2, 3] {
        of_view.begin().await.unwrap();
        of_view.mark(number, Stage::Built).await.unwrap();
    }
    assert_eq!(of_view.switch(2).await.unwrap(), Switch::Done);
    of_view.hold(3).await.unwrap();
    assert_eq!(stages(&store), [(1, Stage::Kept), (2, Stage::Live), (3, Stage::Building)]);
    drop((of_view, store));
    let store = opened(&directory, log(1), 10, 1).await;
    assert_eq!(stages(&store), [(1, Stage::Kept), (2, Stage::Live), (3, Stage::Built)]);
    assert_eq!(store.generations("counters").switch(3).await.unwrap(), Switch::Done);
    assert_eq!(stages(&store), [(1, Stage::Building), (2, Stage::Kept), (3, Stage::Live)]);
    drop(store);
    let store = opened(&directory, log(1), 10, 1).await;
    assert_eq!(stages(&store), [(2, Stage::Kept), (3, Stage::Live)]);
}

#[tokio::test]
async fn frozen_rows_are_of_one_moment_and_in_the_order_of_their_keys() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory, log(1), 10, 1).await;
    let rows = [counter("b", 10, 1), counter("b", 9, 1), counter("a", 2, 2), counter("é", 1, 1)];
    assert!(live(&store).write(&change(&store, 0, 3, &rows).await).await.unwrap());
    let mut frozen = store.generations("counters").freeze(1).await.unwrap();
    assert!(live(&store).write(&change(&store, 0, 4, &[counter("c", 1, 1)]).await).await.unwrap());
    assert_eq!(frozen.checkpoints()[0].position, Position(3));
    let mut read: Vec<(Key, Value)> = Vec::new();
    loop {
        let after = read.last().map(|(key, _)| key.clone());
        let page = frozen.rows(after.as_ref(), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        read.extend(page);
    }
    let keys: Vec<_> = read.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(
        keys,
        [
            vec![json!("a"), json!(2)],
            vec![json!("b"), json!(9)],
            vec![json!("b"), json!(10)],
            vec![json!("é"), json!(1)]
        ]
    );
    assert!(keys.windows(2).all(|two| crate::view_store::compare_keys(&two[0], &two[1]).is_lt()));
    assert_eq!(read[0].1, json!(counter("a", 2, 2)));
}

#[tokio::test]
async fn a_view_goes_on_where_it_was_or_begins_anew() {
    for (of, head, partitions, goes_on) in [
        (log(1), 3, 2, true),
        (log(1), 9, 2, true),
        (log(2), 9, 2, false),
        (log(1), 2, 2, false),
        (log(1), 9, 1, false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let store = opened(&directory, log(1), 3, 2).await;
        for partition in 0..2 {
            let rows = [counter("a", i64::from(partition), 1)];
            let change = change(&store, usize::try_from(partition).unwrap(), 3, &rows).await;
            assert!(live(&store).write(&change).await.unwrap());
        }
        drop(store);
        let store = opened(&directory, of, head, partitions).await;
        let expected = if goes_on { (Position(3), 2) } else { (Position(0), 0) };
        let read = all(&store).await;
        assert_eq!((read.position, read.rows.len()), expected, "{of:?} {head} {partitions}");
    }
}

#[tokio::test]
async fn another_shape_or_a_damaged_file_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("views");
    let store = opened(&directory, log(1), 3, 1).await;
    live(&store).write(&change(&store, 0, 3, &[counter("a", 1, 1)]).await).await.unwrap();
    drop(store);
    let wider = Table { columns: &[("id", "TEXT"), ("place", "BIGINT"), ("count", "BIGINT")], ..TABLE };
    let store =
        ReadStore::open(&path, &[wider], Source { log: log(1), head: Position(3), partitions: 1 }).await.unwrap();
    assert_eq!(store.position("counters"), Position(0));
    drop(store);
    std::fs::write(&path, "this is no database any more ".repeat(400)).unwrap();
    let store = opened(&directory, log(1), 3, 1).await;
    assert_eq!(all(&store).await, rows_at(0, &[]));
}
