//! The read store: rows and checkpoint together, one writer per partition, and beginning anew. What holds in both
//! databases is tested in both.

mod generations;
mod processes;
mod rows;
mod sqlite;
mod switching;

use super::*;
use crate::event_log::{Append, LogError, LogId, RecordedEvent, Revision, StreamId, Verdict};
use crate::postgres::scratch::Scratch;
use crate::view_store::{Change, Generation, Key, Parked, SetAside, Skipped, Stage, Switch, ViewStore};
use futures_util::future::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::Instant;
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

/// Where a test keeps its views.
enum Place {
    File(TempDir),
    Database(Scratch),
}

/// A file, and a database where there is a server.
async fn places() -> Vec<Place> {
    let mut places = vec![Place::File(tempfile::tempdir().unwrap())];
    places.extend(Scratch::new().await.map(Place::Database));
    places
}

/// A log of which nothing is known but where it ends.
struct Head(Position);

impl EventLog for Head {
    fn id(&self) -> LogId {
        log(1)
    }

    fn append(&self, _: Vec<Append>) -> BoxFuture<'_, Result<Vec<Verdict>, LogError>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }

    fn read_stream(&self, _: &StreamId, _: Revision, _: usize) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }

    fn read_all(&self, _: Position, _: usize) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }

    fn wait_past(&self, _: Position) -> BoxFuture<'_, Result<Position, LogError>> {
        std::future::pending().boxed()
    }

    fn import(&self, _: Position, _: mpsc::Receiver<Vec<RecordedEvent>>) -> BoxFuture<'_, Result<(), LogError>> {
        std::future::ready(Ok(())).boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        std::future::ready(Ok(self.0)).boxed()
    }
}

fn log(n: u128) -> LogId {
    LogId(Uuid::from_u128(n))
}

async fn opened(place: &Place, of: LogId, head: u64, partitions: u16) -> ReadStore {
    open(place, TABLE, Source { log: of, head: Position(head), partitions }).await
}

async fn open(place: &Place, table: Table, source: Source) -> ReadStore {
    match place {
        Place::File(directory) => ReadStore::open(&directory.path().join("views"), &[table], source).await.unwrap(),
        Place::Database(Scratch { url, .. }) => {
            ReadStore::open_postgres(url, &[table], source, Access::Builder(&Head(source.head))).await.unwrap()
        }
    }
}

fn counter(name: &str, place: i64, count: i64) -> Counter {
    Counter { id: name.to_owned(), place, count, note: (count > 1).then(|| "书 \"x\"".to_owned()) }
}

fn generations(store: &ReadStore) -> Vec<Generation> {
    store.generations("counters").all().borrow().clone()
}

fn stages(store: &ReadStore) -> Vec<(u32, Stage)> {
    generations(store).iter().map(|it| (it.number, it.stage)).collect()
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

fn parked(position: u64) -> Parked {
    Parked { stream: "s".to_owned(), partition: 0, revision: 1, position, reason: "why".to_owned() }
}

fn skipped() -> Skipped {
    Skipped { stream: "s".to_owned(), revision: 1, position: 2, reason: "why".to_owned() }
}

/// Waits until something is so; a file knows it at once.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until the store's position is this one.
async fn reaches(store: &ReadStore, position: u64) {
    eventually("the store reaches the position", || store.position("counters") == Position(position)).await;
}
