//! A snapshot is found as it was written, or not at all.

use super::*;
use sqlx::AssertSqlSafe;
use tempfile::TempDir;
use uuid::Uuid;

fn log(n: u128) -> LogId {
    LogId(Uuid::from_u128(n))
}

fn snapshot(stream: &str) -> Snapshot {
    Snapshot {
        stream: StreamId::new(stream),
        revision: Revision(7),
        position: Position(u64::MAX),
        checksum: u64::MAX - 1,
        fold_version: u16::MAX,
        state: b"{}".to_vec(),
    }
}

async fn open(directory: &TempDir, log: LogId) -> SnapshotStore {
    SnapshotStore::open(&directory.path().join("snapshots"), log).await.unwrap()
}

#[tokio::test]
async fn the_last_snapshot_of_a_stream_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, log(1)).await;
    assert_eq!(store.load(&StreamId::new("a")).await, None);
    store.save(&snapshot("a")).await.unwrap();
    let newer = Snapshot { revision: Revision(8), state: Vec::new(), ..snapshot("a") };
    store.save(&newer).await.unwrap();
    store.save(&snapshot("b")).await.unwrap();
    drop(store);
    let store = open(&directory, log(1)).await;
    assert_eq!(store.load(&newer.stream).await, Some(newer));
    assert_eq!(store.load(&StreamId::new("b")).await, Some(snapshot("b")));
}

#[tokio::test]
async fn a_snapshot_that_was_altered_anywhere_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, log(1)).await;
    for change in [
        "revision = revision + 1",
        "position = position - 1",
        "checksum = 0",
        "fold_version = 1",
        "state = x'7b7e'",
        "state = x''",
        "crc = crc + 1",
        "fold_version = 70000",
    ] {
        store.save(&snapshot("a")).await.unwrap();
        assert!(store.load(&StreamId::new("a")).await.is_some());
        let sql = AssertSqlSafe(format!("UPDATE snapshots SET {change}"));
        sqlx::query(sql).execute(&store.pool).await.unwrap();
        assert_eq!(store.load(&StreamId::new("a")).await, None, "{change}");
    }
    store.save(&snapshot("a")).await.unwrap();
    sqlx::query("UPDATE snapshots SET stream = 'b'").execute(&store.pool).await.unwrap();
    assert_eq!(store.load(&StreamId::new("b")).await, None, "of another stream");
}

#[tokio::test]
async fn a_snapshot_of_another_log_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, log(1)).await;
    store.save(&snapshot("a")).await.unwrap();
    assert_eq!(open(&directory, log(2)).await.load(&StreamId::new("a")).await, None);
    assert_eq!(store.load(&StreamId::new("a")).await, None, "it was dropped");
    // Nor one that came into the file in another way.
    store.save(&snapshot("a")).await.unwrap();
    let foreign = SnapshotStore { pool: store.pool.clone(), log: log(2) };
    assert_eq!(foreign.load(&StreamId::new("a")).await, None);
}

#[tokio::test]
async fn a_damaged_file_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("snapshots"), "no database ".repeat(1_000)).unwrap();
    let store = open(&directory, log(1)).await;
    store.save(&snapshot("a")).await.unwrap();
    assert_eq!(store.load(&StreamId::new("a")).await, Some(snapshot("a")));
    let taken = directory.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    let error = SnapshotStore::open(&taken, log(1)).await.err().unwrap().to_string();
    assert!(error.contains("cannot be opened"), "{error}");
}
