//! The read store: rows and checkpoint together, one writer per partition, and beginning anew.

use super::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::TempDir;

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

async fn change(store: &ReadStore, partition: usize, to: u64, rows: &[Counter]) -> Change {
    let from = store.checkpoints("counters").await.unwrap().remove(partition);
    let upserts = rows.iter().map(|row| serde_json::to_value(row).unwrap()).collect();
    Change { from, to: Position(to), upserts, deletes: vec![], parked: vec![] }
}

async fn all(store: &ReadStore) -> Rows<Counter> {
    store.read("counters", ALL, &[]).await.unwrap()
}

#[tokio::test]
async fn rows_are_inserted_replaced_deleted_and_found() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory, log(1), 10, 1).await;
    assert_eq!(all(&store).await, Rows { position: Position(0), rows: vec![] });
    let rows = [counter("b", 1, 1), counter("a", 2, 2), counter("a", 1, i64::MAX)];
    assert!(store.write("counters", &change(&store, 0, 3, &rows).await).await.unwrap());
    let [b, a2, a1] = rows;
    assert_eq!(all(&store).await, Rows { position: Position(3), rows: vec![a1.clone(), a2, b] });

    let mut second = change(&store, 0, 5, &[counter("b", 1, 7)]).await;
    second.deletes = vec![vec![json!("a"), json!(2)], vec![json!("absent"), json!(2)]];
    assert!(store.write("counters", &second).await.unwrap());
    assert_eq!(all(&store).await, Rows { position: Position(5), rows: vec![a1.clone(), counter("b", 1, 7)] });
    let keys = [vec![json!("a"), json!(1)], vec![json!("a"), json!("1 OR true")], vec![json!("b"), json!(3)]];
    assert_eq!(store.load::<Counter>("counters", &keys.iter().collect::<Vec<_>>()).await.unwrap(), [a1]);

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
    assert!(store.write("counters", &first).await.unwrap());
    assert!(!store.write("counters", &zombie).await.unwrap(), "the partition is not where the zombie read it");
    assert!(!store.write("counters", &first).await.unwrap(), "a redelivery");
    let mut of_another_log = change(&store, 0, 5, &[]).await;
    of_another_log.from.log = log(2);
    assert!(!store.write("counters", &of_another_log).await.unwrap());
    assert_eq!(all(&store).await, Rows { position: Position(3), rows: vec![counter("a", 1, 1)] });
}

#[tokio::test]
async fn the_position_is_that_of_the_slowest_partition() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory, log(1), 10, 3).await;
    for (partition, to, reached) in [(0, 5, 0), (2, 9, 0), (1, 4, 4), (1, 8, 5)] {
        assert!(store.write("counters", &change(&store, partition, to, &[]).await).await.unwrap());
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
    store.write("counters", &change(&store, 0, 11, &[counter("a", 1, 1)]).await).await.unwrap();
    assert_eq!(store.last_change("counters", "a"), Position(11));
    let mut fails = change(&store, 0, 12, &[counter("a", 1, 1)]).await;
    fails.from.position = Position(1);
    assert!(!store.write("counters", &fails).await.unwrap());
    assert!(store.last_change("counters", "a") >= Position(11));
}

#[tokio::test]
async fn parked_streams_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory, log(1), 10, 1).await;
    let parked = Parked { stream: "s".to_owned(), position: Position(2), reason: "why".to_owned() };
    let change = Change { parked: vec![parked.clone()], ..change(&store, 0, 3, &[]).await };
    assert_eq!(store.parked_at("counters", "s"), None);
    assert!(store.write("counters", &change).await.unwrap());
    assert_eq!(store.parked_at("counters", "s"), Some(Position(2)));
    drop(store);
    let store = opened(&directory, log(1), 10, 1).await;
    assert_eq!(store.parked("counters").await.unwrap(), [parked]);
    assert_eq!(store.parked_at("counters", "s"), Some(Position(2)));
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
            assert!(store.write("counters", &change).await.unwrap());
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
    store.write("counters", &change(&store, 0, 3, &[counter("a", 1, 1)]).await).await.unwrap();
    drop(store);
    let wider = Table { columns: &[("id", "TEXT"), ("place", "BIGINT"), ("count", "BIGINT")], ..TABLE };
    let store =
        ReadStore::open(&path, &[wider], Source { log: log(1), head: Position(3), partitions: 1 }).await.unwrap();
    assert_eq!(store.position("counters"), Position(0));
    drop(store);
    std::fs::write(&path, "this is no database any more ".repeat(400)).unwrap();
    let store = opened(&directory, log(1), 3, 1).await;
    assert_eq!(all(&store).await, Rows { position: Position(0), rows: vec![] });
}
