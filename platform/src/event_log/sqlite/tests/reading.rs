//! Reading a log beside its writer and without one: nothing is made, nothing is missed.

use super::super::reader::SqliteLogReader;
use super::*;
use crate::event_log::Revision;
use crate::event_log::reader::{LogReader, Verified};
use crate::event_log::stats::{CategoryStats, TypeStats};
use std::collections::BTreeMap;
use tokio::time::timeout;

async fn reader(directory: &TempDir) -> LogReader {
    LogReader::Sqlite(SqliteLogReader::open(&directory.path().join("log.sqlite")).await.unwrap())
}

fn files(directory: &TempDir) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

#[tokio::test]
async fn a_log_that_nobody_writes_is_read_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let log = four_events(&directory).await;
    let (id, all) = (log.id(), log.read_all(Position(0), 10).await.unwrap());
    close(log).await;
    let before = files(&directory);
    assert_eq!(before.len(), 1, "the write-ahead log is gone with the last connection");

    let reader = reader(&directory).await;
    assert_eq!((reader.id(), reader.head().await.unwrap()), (id, Position(4)));
    assert_eq!(reader.read_all(Position(1), 2).await.unwrap(), all[1..3]);
    assert_eq!(reader.read_stream(&StreamId::new("a"), Revision(1), 10).await.unwrap(), all[1..3]);
    assert_eq!(reader.verify(|_| {}).await.unwrap(), Verified { position: Position(4), streams: 2 });
    assert_eq!(files(&directory), before);
}

#[tokio::test]
async fn a_reader_sees_writers_come_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let log = four_events(&directory).await;
    let beside = reader(&directory).await;
    assert_eq!(beside.read_all(Position(0), 10).await.unwrap().len(), 4);
    log.append(vec![append("a", 3, vec![decision(3, 1)])]).await.unwrap();
    assert_eq!(timeout(Duration::from_secs(5), beside.wait_past(Position(4))).await.unwrap().unwrap(), Position(5));
    assert!(timeout(Duration::from_millis(250), beside.wait_past(Position(5))).await.is_err());

    // Opened while nobody writes, it notices who begins to.
    let directory = tempfile::tempdir().unwrap();
    close(four_events(&directory).await).await;
    let alone = reader(&directory).await;
    assert_eq!(alone.head().await.unwrap(), Position(4));
    let log = opened(&directory).await;
    log.append(vec![append("a", 3, vec![decision(4, 1)])]).await.unwrap();
    assert_eq!(alone.head().await.unwrap(), Position(5));
    assert_eq!(alone.read_all(Position(0), 10).await.unwrap().len(), 5);
    execute(&log, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    assert_eq!(alone.verify(|_| {}).await.unwrap().position, Position(5));
}

#[tokio::test]
async fn what_is_no_log_is_named_and_nothing_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.sqlite");
    let refused = async || SqliteLogReader::open(&path).await.err().unwrap().to_string();
    assert!(refused().await.contains("there is no event log at"));
    assert_eq!(files(&directory).len(), 0);
    std::fs::write(&path, "not a database, but longer than the header of one: ".repeat(40)).unwrap();
    assert!(refused().await.contains("is not an event log"));
    std::fs::write(&path, "").unwrap();
    assert!(refused().await.contains("is not an event log"));
    std::fs::remove_file(&path).unwrap();
    let log = opened(&directory).await;
    execute(&log, "PRAGMA user_version = 2").await;
    assert!(refused().await.contains("has format 2, this program knows up to 1"));
}

#[tokio::test]
async fn a_copy_is_the_same_log_until_it_is_renamed() {
    let directory = tempfile::tempdir().unwrap();
    let log = four_events(&directory).await;
    let target = directory.path().join("copy.sqlite");
    let LogReader::Sqlite(original) = reader(&directory).await else { panic!("it is a file's") };
    original.copy(&target).await.unwrap();
    let copy = SqliteLogReader::open(&target).await.unwrap();
    assert_eq!(copy.id(), log.id());
    assert_eq!(copy.read_all(Position(0), 10).await.unwrap(), log.read_all(Position(0), 10).await.unwrap());
    let other = LogId(Uuid::from_u128(7));
    rename(&target, other).await.unwrap();
    let copy = SqliteLog::open(&target, &Seam::system()).await.unwrap();
    assert_eq!((copy.id(), copy.head().await.unwrap()), (other, Position(4)));
    assert!(copy.append(vec![append("a", 3, vec![decision(3, 1)])]).await.is_ok());
    assert_eq!(log.head().await.unwrap(), Position(4));
}

#[tokio::test]
async fn stats_count_by_type_and_by_category() {
    let directory = tempfile::tempdir().unwrap();
    let log = opened(&directory).await;
    let mut newer = decision(3, 1);
    newer.events[0].envelope.version = 2;
    newer.events[0].data = "12345".into();
    let batch = vec![
        append("book-2", 0, vec![decision(1, 3)]),
        append("book-1", 0, vec![decision(2, 3)]),
        append("plain", 0, vec![newer]),
    ];
    log.append(batch).await.unwrap();
    let stats = reader(&directory).await.stats().await.unwrap();
    assert_eq!((stats.position, stats.events, stats.data_bytes), (Position(7), 7, 6 * 13 + 5));
    assert_eq!((stats.first, stats.last), (Some(crate::seam::Timestamp(-499)), Some(crate::seam::Timestamp(-497))));
    let of_type =
        |version, events, data_bytes| TypeStats { event_type: "Happened".to_owned(), version, events, data_bytes };
    assert_eq!(stats.types, [of_type(1, 6, 78), of_type(2, 1, 5)]);
    let category = |category: &str, streams, events, longest_events, longest: &str| CategoryStats {
        category: category.to_owned(),
        streams,
        events,
        longest_events,
        longest: longest.to_owned(),
    };
    assert_eq!(stats.categories, [category("book", 2, 6, 3, "book-1"), category("plain", 1, 1, 1, "plain")]);
    assert!(stats.file_bytes >= 4_096);
}
