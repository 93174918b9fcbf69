//! Damage, byte by byte: a record that is not as it was written is found, named and never handed out.

use super::super::reader::SqliteLogReader;
use super::*;
use crate::event_log::reader::LogReader;
use crate::event_log::seal;
use sqlx::Row;
use std::collections::BTreeMap;

/// The columns of a record, and how each is stored.
const COLUMNS: [(&str, Stored); 13] = [
    ("position", Stored::Integer),
    ("stream", Stored::Text),
    ("revision", Stored::Integer),
    ("id", Stored::Blob),
    ("command_id", Stored::Blob),
    ("body_hash", Stored::Blob),
    ("event_type", Stored::Text),
    ("version", Stored::Integer),
    ("recorded_at", Stored::Integer),
    ("traceparent", Stored::Text),
    ("data", Stored::Blob),
    ("previous_checksum", Stored::Integer),
    ("checksum", Stored::Integer),
];

#[derive(Clone, Copy, PartialEq)]
enum Stored {
    Integer,
    Text,
    Blob,
}

/// What is changed of a byte.
const FLIPPED: u8 = 0x41;

/// Seven events of three streams, their records as different from each other as real ones.
async fn small_log(directory: &TempDir) -> Vec<RecordedEvent> {
    let log = opened(directory).await;
    let mut batches = vec![
        vec![append("book-1", 0, vec![decision(0x0102_0304, 2)]), append("order-1", 0, vec![decision(0x1112_1314, 1)])],
        vec![append("stock-main-1", 0, vec![decision(0x2122_2324, 1)]), append("book-1", 2, vec![decision(0x3132, 1)])],
        vec![append("order-1", 1, vec![decision(0x4142_4344, 2)])],
    ];
    for append in batches.iter_mut().flatten() {
        for event in append.decisions.iter_mut().flat_map(|decision| &mut decision.events) {
            event.envelope.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned();
            event.envelope.recorded_at = crate::seam::Timestamp(1_795_588_200_000_123);
        }
    }
    for batch in batches {
        log.append(batch).await.unwrap();
    }
    let all = log.read_all(Position(0), 10).await.unwrap();
    close(log).await;
    all
}

/// What can be said of a log that may be damaged.
struct Found {
    verify: Result<(), LogError>,
    all: Result<Vec<RecordedEvent>, LogError>,
    streams: Vec<Result<Vec<RecordedEvent>, LogError>>,
}

async fn look(path: &Path, events: &[RecordedEvent]) -> Result<Found, OpenError> {
    let reader = LogReader::Sqlite(SqliteLogReader::open(path).await?);
    let names: BTreeMap<_, _> = events.iter().map(|event| (event.stream.clone(), ())).collect();
    let mut streams = Vec::new();
    for stream in names.keys() {
        streams.push(reader.read_stream(stream, Revision(0), 100).await);
    }
    let verify = reader.verify(|_| {}).await.map(drop);
    Ok(Found { verify, all: reader.read_all(Position(0), 100).await, streams })
}

/// Whatever is handed out is as it was written.
fn nothing_altered_is_served(found: &Found, events: &[RecordedEvent], what: &str) {
    let served = found.streams.iter().chain([&found.all]).filter_map(|read| read.as_ref().ok()).flatten();
    for event in served {
        assert!(events.contains(event), "{what}: an altered record was served: {event:?}");
    }
}

fn named(found: &Found, what: &str) -> (u64, String, String) {
    match &found.verify {
        Err(LogError::Damaged { position, stream, what }) => (*position, stream.clone(), what.clone()),
        other => panic!("{what}: not found: {other:?}"),
    }
}

/// A connection that writes whatever it is told.
async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap()
}

async fn tamper(connection: &mut SqliteConnection, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(connection).await.unwrap();
}

/// The bytes of a value as it is stored.
async fn bytes_of(raw: &mut SqliteConnection, column: &str, stored: Stored, position: u64) -> Vec<u8> {
    let value = if stored == Stored::Integer { column.to_owned() } else { format!("CAST({column} AS BLOB)") };
    let query = format!("SELECT {value} FROM events WHERE position = {position}");
    let row = sqlx::query(AssertSqlSafe(query)).fetch_one(raw).await.unwrap();
    if stored == Stored::Integer { row.get::<i64, _>(0).to_be_bytes().to_vec() } else { row.get(0) }
}

async fn put(raw: &mut SqliteConnection, column: &str, stored: Stored, position: u64, bytes: Vec<u8>) {
    let value = if stored == Stored::Text { "CAST(? AS TEXT)" } else { "?" };
    let query = AssertSqlSafe(format!("UPDATE events SET {column} = {value} WHERE position = {position}"));
    let query = match stored {
        Stored::Integer => sqlx::query(query).bind(i64::from_be_bytes(bytes.try_into().unwrap())),
        Stored::Text | Stored::Blob => sqlx::query(query).bind(bytes),
    };
    query.execute(raw).await.unwrap();
}

#[tokio::test]
async fn each_byte_of_each_column_of_each_record_is_watched() {
    let directory = tempfile::tempdir().unwrap();
    let events = small_log(&directory).await;
    let path = directory.path().join("log.sqlite");
    let mut raw = raw(&path).await;
    tamper(&mut raw, "CREATE TEMP TABLE kept AS SELECT * FROM events").await;
    let mut tried = 0;
    for event in &events {
        let position = event.position.0;
        for (column, stored) in COLUMNS {
            let written = bytes_of(&mut raw, column, stored, position).await;
            assert!(!written.is_empty(), "{column}");
            for byte in 0..written.len() {
                let what = format!("byte {byte} of {column} of the record at {position}");
                let mut altered = written.clone();
                altered[byte] ^= FLIPPED;
                put(&mut raw, column, stored, position, altered).await;
                let found = look(&path, &events).await.unwrap();
                nothing_altered_is_served(&found, &events, &what);
                let (at, stream, why) = named(&found, &what);
                let says_whose = format!("{stream} {why}").contains(event.stream.as_str());
                // A record is named by its place; the place that was left empty names who stands there next, if anybody.
                assert!(
                    at == position && (says_whose || matches!(column, "position" | "stream")),
                    "{what}: {stream} {why}"
                );
                tamper(&mut raw, "DELETE FROM events; INSERT INTO events SELECT * FROM kept").await;
                tried += 1;
            }
        }
    }
    assert!(tried > 7 * 200, "{tried}");
    let whole = look(&path, &events).await.unwrap();
    assert!(whole.verify.is_ok() && whole.all.unwrap() == events);
}

/// Where the cells of a leaf page lie in the file: <https://www.sqlite.org/fileformat2.html>, section 1.6.
async fn cells(path: &Path, of: &str, leaf: u8) -> std::ops::Range<usize> {
    let mut raw = raw(path).await;
    let root: i64 = sqlx::query_scalar("SELECT rootpage FROM sqlite_schema WHERE name = ?")
        .bind(of)
        .fetch_one(&mut raw)
        .await
        .unwrap();
    raw.close().await.unwrap();
    let file = std::fs::read(path).unwrap();
    let size = usize::from(u16::from_be_bytes([file[16], file[17]]));
    let page = usize::try_from(root - 1).unwrap() * size;
    assert_eq!(file[page], leaf, "{of}: the root is the only page");
    let content = usize::from(u16::from_be_bytes([file[page + 5], file[page + 6]]));
    page + content..page + size
}

#[tokio::test]
async fn each_byte_of_the_file_that_holds_records_is_watched() {
    let directory = tempfile::tempdir().unwrap();
    let events = small_log(&directory).await;
    let path = directory.path().join("log.sqlite");
    let mut tried = 0;
    for (of, leaf) in [("events", 0x0d), ("sqlite_autoindex_events_1", 0x0a), ("sqlite_autoindex_events_2", 0x0a)] {
        let cells = cells(&path, of, leaf).await;
        let written = std::fs::read(&path).unwrap();
        for place in cells {
            let mut altered = written.clone();
            altered[place] ^= FLIPPED;
            std::fs::write(&path, &altered).unwrap();
            let what = format!("byte {place} of the file, in {of}");
            let Ok(found) = look(&path, &events).await else { continue };
            nothing_altered_is_served(&found, &events, &what);
            match &found.verify {
                Err(LogError::Damaged { .. }) => {}
                // A byte that belongs to no record, or says the same in another way.
                Ok(()) => {
                    let streams: usize = found.streams.iter().map(|stream| stream.as_ref().unwrap().len()).sum();
                    assert!(found.all.as_ref().unwrap() == &events && streams == events.len(), "{what}: not found");
                }
                other => panic!("{what}: {other:?}"),
            }
            tried += 1;
        }
        std::fs::write(&path, &written).unwrap();
    }
    assert!(tried > 1_500, "{tried}");
    assert!(look(&path, &events).await.unwrap().verify.is_ok());
}

#[tokio::test]
async fn an_index_that_lacks_an_event_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let events = small_log(&directory).await;
    let path = directory.path().join("log.sqlite");
    // The last of its stream: what a lookup finds without it is a whole stream, only a shorter one.
    let cells = cells(&path, "sqlite_autoindex_events_2", 0x0a).await;
    let mut file = std::fs::read(&path).unwrap();
    let name = b"stock-main-1";
    let place = cells.clone().find(|place| file[*place..].starts_with(name)).unwrap();
    file[place + name.len() - 1] = b'2';
    std::fs::write(&path, &file).unwrap();
    let found = look(&path, &events).await.unwrap();
    assert_eq!(found.streams[2].as_ref().unwrap(), &[], "the lookup misses it");
    let (_, _, why) = named(&found, "index");
    assert!(why.contains("missing from index"), "{why}");
}

#[tokio::test]
async fn records_that_are_gone_swapped_or_doubled_are_named() {
    let swap = "UPDATE events SET position = 99 WHERE position = 3; UPDATE events SET position = 3 WHERE position = 4;
        UPDATE events SET position = 4 WHERE position = 99";
    let double =
        "INSERT INTO events SELECT 8, stream, 9, randomblob(16), command_id, body_hash, event_type, version, recorded_at,
        traceparent, data, previous_checksum, checksum FROM events WHERE position = 7";
    // What a page of reading cannot see: that the stream had other events before it.
    let rewritten = "UPDATE events SET previous_checksum = 7 WHERE position = 5";
    for (tampering, at, says) in [
        ("DELETE FROM events WHERE position = 3", 3, "the next one at position 4"),
        ("DELETE FROM events WHERE position = 1", 1, "the next one at position 2"),
        ("DELETE FROM events WHERE position BETWEEN 2 AND 6", 2, "the next one at position 7"),
        // The last one of its stream.
        ("DELETE FROM events WHERE position = 4", 4, "the next one at position 5"),
        (swap, 3, "checksum"),
        (double, 8, "checksum"),
        (rewritten, 5, "checksum"),
        ("UPDATE events SET position = -7 WHERE position = 7", 7, "found -7"),
        ("UPDATE events SET position = 0 WHERE position = 7", 7, "found 0"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let events = small_log(&directory).await;
        let path = directory.path().join("log.sqlite");
        tamper(&mut raw(&path).await, tampering).await;
        let found = look(&path, &events).await.unwrap();
        nothing_altered_is_served(&found, &events, tampering);
        let (position, _, why) = named(&found, tampering);
        assert!(position == at && why.contains(says), "{tampering}: {position} {why}");
    }
}

/// A record whose checksum is right, and which yet does not continue its stream: only whoever followed the stream from its
/// first event on sees it, however far apart its events lie.
#[tokio::test]
async fn a_forged_record_is_found_across_pages() {
    let directory = tempfile::tempdir().unwrap();
    let log = opened(&directory).await;
    let streams = (0..1_500).map(|n| append(&format!("s-{n}"), 0, vec![decision(100 + n, 1)])).collect();
    log.append(streams).await.unwrap();
    let again = (0..1_500).map(|n| append(&format!("s-{n}"), 1, vec![decision(10_000 + n, 1)])).collect();
    log.append(again).await.unwrap();
    let mut forged = log.read_all(Position(1_600), 1).await.unwrap().remove(0);
    forged.previous_checksum ^= 1;
    forged.checksum = seal::checksum(&forged);
    let update = format!(
        "UPDATE events SET previous_checksum = {}, checksum = {} WHERE position = 1601",
        forged.previous_checksum.cast_signed(),
        forged.checksum.cast_signed(),
    );
    tamper(&mut raw(&directory.path().join("log.sqlite")).await, &update).await;
    assert!(log.read_all(Position(1_600), 1).await.is_ok(), "by itself it is sound");
    let reader = SqliteLogReader::open(&directory.path().join("log.sqlite")).await.unwrap();
    let verified = LogReader::Sqlite(reader).verify(|_| {}).await;
    let Err(LogError::Damaged { position: 1_601, stream, what }) = verified else { panic!("{verified:?}") };
    assert!(stream == "s-100" && what.contains("expected to follow checksum"), "{stream}: {what}");
}
