//! The SQLite engine: conformance, restarts, damage, and commits that fail.

use super::*;
use crate::event_log::conformance::{self, append, decision};
use tempfile::TempDir;

mod damage;
mod reading;

async fn opened(directory: &TempDir) -> SqliteLog {
    SqliteLog::open(&directory.path().join("log.sqlite"), &Seam::system()).await.unwrap()
}

/// A log of three events of one stream and one of another.
async fn four_events(directory: &TempDir) -> SqliteLog {
    let log = opened(directory).await;
    let batch = vec![append("a", 0, vec![decision(1, 3)]), append("b", 0, vec![decision(2, 1)])];
    log.append(batch).await.unwrap();
    log
}

/// Closes the file, so that nothing of it waits beside it.
async fn close(log: SqliteLog) {
    EventLog::close(&log).await;
}

async fn execute(log: &SqliteLog, statements: &'static str) {
    sqlx::raw_sql(statements).execute(&mut log.writer.lock().await.as_mut().unwrap().connection).await.unwrap();
}

#[tokio::test]
async fn conforms() {
    let directory = tempfile::tempdir().unwrap();
    conformance::run(async |name: &str| {
        let path = directory.path().join(name);
        Arc::new(SqliteLog::open(&path, &Seam::system()).await.unwrap()) as Arc<dyn EventLog>
    })
    .await;
}

#[tokio::test]
async fn a_log_is_what_it_was_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let log = four_events(&directory).await;
    let (id, before) = (log.id(), log.read_all(Position(0), 10).await.unwrap());
    drop(log);
    let log = opened(&directory).await;
    assert_eq!((log.id(), log.read_all(Position(0), 10).await.unwrap()), (id, before));
    assert_eq!(log.head().await.unwrap(), Position(4));
    let verdict = log.append(vec![append("a", 3, vec![decision(3, 1)])]).await.unwrap();
    assert_eq!(verdict, [Verdict::Appended { revision: Revision(4), position: Position(5) }]);
}

#[tokio::test]
async fn a_writer_notices_another_one_on_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (four_events(&directory).await, opened(&directory).await);
    let appended =
        |revision, position| Verdict::Appended { revision: Revision(revision), position: Position(position) };
    // To another stream: both events are there, in one order.
    assert_eq!(other.append(vec![append("c", 0, vec![decision(3, 1)])]).await.unwrap(), [appended(1, 5)]);
    assert_eq!(one.append(vec![append("d", 0, vec![decision(4, 1)])]).await.unwrap(), [appended(1, 6)]);
    // To the same stream: what was decided without knowing the other's event is in conflict …
    assert_eq!(other.append(vec![append("a", 3, vec![decision(5, 1)])]).await.unwrap(), [appended(4, 7)]);
    assert_eq!(one.append(vec![append("a", 3, vec![decision(6, 1)])]).await.unwrap(), [Verdict::Conflict]);
    // … and so is what came to no events.
    assert_eq!(other.append(vec![append("a", 4, vec![decision(7, 1)])]).await.unwrap(), [appended(5, 8)]);
    assert_eq!(one.append(vec![append("a", 4, vec![decision(8, 0)])]).await.unwrap(), [Verdict::Conflict]);
    // What was decided knowing it fits, whatever the writer remembers.
    assert_eq!(other.append(vec![append("a", 5, vec![decision(9, 1)])]).await.unwrap(), [appended(6, 9)]);
    assert_eq!(one.append(vec![append("a", 6, vec![decision(10, 0)])]).await.unwrap(), [appended(6, 9)]);
    // A command that the other took is a repeat.
    let repeated =
        one.append(vec![append("b", 1, vec![decision(9, 1)]), append("e", 0, vec![decision(11, 1)])]).await.unwrap();
    assert!(matches!(&repeated[0], Verdict::Repeated { first } if first.position == Position(9)), "{repeated:?}");
    assert_eq!(repeated[1], appended(1, 10));
    assert_eq!(one.read_all(Position(0), 100).await.unwrap().len(), 10);
}

#[tokio::test]
async fn commits_are_synchronous() {
    let directory = tempfile::tempdir().unwrap();
    let log = opened(&directory).await;
    let mut writer = log.writer.lock().await;
    let writer = writer.as_mut().unwrap();
    let synchronous: i32 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut writer.connection).await.unwrap();
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut writer.connection).await.unwrap();
    assert_eq!((synchronous, journal.as_str()), (2, "wal"), "FULL: the disk has a commit before it is answered");
}

#[tokio::test]
async fn a_record_that_was_tampered_with_is_never_served() {
    for (tampering, read_all, read_stream) in [
        ("UPDATE events SET data = x'7b7d' WHERE position = 2", true, true),
        ("UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 2", true, true),
        ("UPDATE events SET checksum = checksum + 1 WHERE position = 2", true, true),
        ("UPDATE events SET stream = 'b', revision = 2 WHERE position = 2", true, true),
        ("UPDATE events SET body_hash = x'00' WHERE position = 2", true, true),
        ("DELETE FROM events WHERE position = 2", true, true),
        ("UPDATE events SET data = (SELECT data FROM events WHERE position = 4) WHERE position = 2", true, true),
        (
            "UPDATE events SET position = 9 WHERE position = 1; UPDATE events SET position = 1 WHERE position = 2;
             UPDATE events SET position = 2 WHERE position = 9",
            true,
            true,
        ),
        (
            "INSERT INTO events SELECT 5, 'a', 4, x'05', command_id, body_hash, event_type, version, recorded_at,
             traceparent, data, previous_checksum, checksum FROM events WHERE position = 3",
            true,
            true,
        ),
        ("UPDATE events SET position = 5 WHERE position = 4", true, false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let log = four_events(&directory).await;
        execute(&log, tampering).await;
        let all = log.read_all(Position(0), 10).await;
        assert_eq!(matches!(all, Err(LogError::Damaged { .. })), read_all, "{tampering}: {all:?}");
        let stream = log.read_stream(&StreamId::new("a"), Revision(0), 10).await;
        assert_eq!(matches!(stream, Err(LogError::Damaged { .. })), read_stream, "{tampering}: {stream:?}");
    }
}

#[tokio::test]
async fn nothing_is_built_upon_a_damaged_head() {
    let directory = tempfile::tempdir().unwrap();
    let log = four_events(&directory).await;
    execute(&log, "UPDATE events SET data = x'00' WHERE position = 3").await;
    // The writer remembers what it wrote; the next one has to read it.
    drop(log);
    let log = opened(&directory).await;
    let refused = log.append(vec![append("a", 3, vec![decision(3, 1)])]).await;
    assert!(matches!(refused, Err(LogError::Damaged { position: 3, .. })), "{refused:?}");
    assert!(log.read_stream(&StreamId::new("a"), Revision(3), 10).await.is_err());
    // Other streams go on: one bad record is no reason to close the shop.
    assert!(log.append(vec![append("b", 1, vec![decision(4, 1)])]).await.is_ok());
}

#[tokio::test]
async fn a_torn_file_is_told_and_not_served() {
    let directory = tempfile::tempdir().unwrap();
    let log = opened(&directory).await;
    for n in 0..40 {
        let batch = vec![append(&format!("s-{n}"), 0, vec![decision(n + 1, 10)])];
        log.append(batch).await.unwrap();
    }
    execute(&log, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    drop(log);
    let path = directory.path().join("log.sqlite");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8_192].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let read = match SqliteLog::open(&path, &Seam::system()).await {
        Ok(log) => log.read_all(Position(0), 1_000).await.map(|events| events.len()).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    assert!(read.is_err(), "{read:?}");
}

#[tokio::test]
async fn a_commit_that_fails_is_the_last_one() {
    let directory = tempfile::tempdir().unwrap();
    let log = four_events(&directory).await;
    execute(&log, "PRAGMA max_page_count = 1").await;
    let mut large = decision(3, 1);
    large.events[0].data = vec![b' '; 1 << 20].into();
    let full = log.append(vec![append("a", 3, vec![large])]).await;
    assert!(matches!(full, Err(LogError::Fatal(_))), "{full:?}");
    execute(&log, "PRAGMA max_page_count = 1000000").await;
    let next = log.append(vec![append("a", 3, vec![decision(4, 1)])]).await;
    assert!(matches!(next, Err(LogError::Fatal(_))), "{next:?}");
    assert_eq!(log.head().await.unwrap(), Position(4), "what failed was not announced");
    drop(log);
    let log = opened(&directory).await;
    assert_eq!(log.read_all(Position(0), 10).await.unwrap().len(), 4);
}

#[tokio::test]
async fn an_append_that_nobody_waits_for_is_carried_through() {
    let directory = tempfile::tempdir().unwrap();
    let log = opened(&directory).await;
    let writer = log.writer.lock().await;
    let mut abandoned = log.append(vec![append("a", 0, vec![decision(1, 1)])]);
    assert!((&mut abandoned).now_or_never().is_none());
    drop(abandoned);
    drop(writer);
    assert_eq!(log.wait_past(Position(0)).await.unwrap(), Position(1));
}

#[tokio::test]
async fn a_file_of_another_kind_is_named_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    std::fs::write(&path, "not a database, but longer than the header of one: ".repeat(40)).unwrap();
    let error = SqliteLog::open(&path, &Seam::system()).await.err().unwrap().to_string();
    assert!(error.contains("notes.txt is not an event log"), "{error}");

    let path = directory.path().join("other.sqlite");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("CREATE TABLE recipes (name TEXT)").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = SqliteLog::open(&path, &Seam::system()).await.err().unwrap().to_string();
    assert!(error.contains("other.sqlite is not an event log"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let error = SqliteLog::open(&directory.path().join("absent/log"), &Seam::system()).await.err().unwrap().to_string();
    assert!(error.contains("cannot be opened"), "{error}");
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let log = opened(&directory).await;
    execute(&log, "PRAGMA user_version = 2").await;
    drop(log);
    let error = SqliteLog::open(&directory.path().join("log.sqlite"), &Seam::system()).await.err().unwrap().to_string();
    assert!(error.contains("has format 2, this program knows up to 1"), "{error}");
}
