//! Rows as of every position, against a plain fold of the log up to there.

use super::*;
use crate::test_history::{History, ISBNS, Stores, Viewed, book_id, book_stream, happen};
use platform::event_log::EventLog;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

async fn rows_at(viewed: &Viewed, object: &str, position: u64) -> AsOf {
    let log = Arc::clone(&viewed.log);
    let read = async |after, limit| log.read_all(after, limit).await;
    rows(viewed.view, viewed.log.id(), read, object, Position(position)).await.unwrap()
}

async fn are_as_they_were(viewed: &Viewed, events: &[RecordedEvent]) {
    for position in 0..=events.len() {
        let all = (viewed.reference)(&events[..position], &SetAside::default());
        for place in 0..ISBNS.len() {
            let object = book_id(place).to_string();
            let expected: Vec<_> = all.iter().filter(|(key, _)| key[0] == object.as_str()).cloned().collect();
            let found = rows_at(viewed, &object, position as u64).await;
            assert_eq!(found, AsOf { rows: expected, set_aside: SetAside::default() }, "{object} at {position}");
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_rows_of_an_object_are_as_they_were(
        happenings in vec((0..ISBNS.len(), 0..8_u32, 0..50_u64), 1..60),
    ) {
        block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let mut history = History::new();
            for place in 0..ISBNS.len() {
                happen(&mut history, place, 0, 0).await;
            }
            for (place, what, n) in happenings {
                happen(&mut history, place, what, n).await;
            }
            let stores = Stores::open(directory.path(), &history).await;
            for viewed in stores.views(&history) {
                are_as_they_were(&viewed, &history.events().await).await;
            }
            stores.close().await;
        });
    }
}

#[tokio::test]
async fn an_event_of_the_object_that_cannot_be_taken_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = History::new();
    for place in 0..ISBNS.len() {
        happen(&mut history, place, 0, 0).await;
    }
    history.poison(&book_stream(1)).await;
    happen(&mut history, 1, 1, 5).await;
    let stores = Stores::open(directory.path(), &history).await;
    let [books, _, _, search] = stores.views(&history);
    for viewed in [books, search] {
        let (poisoned, other) = (book_id(1).to_string(), book_id(2).to_string());
        let before = rows_at(&viewed, &poisoned, 5).await;
        assert_eq!(before.set_aside, SetAside::default());
        for position in [6, 7] {
            let found = rows_at(&viewed, &poisoned, position).await;
            assert_eq!(found.rows, before.rows, "as before the event");
            let parked = &found.set_aside.parked[&book_stream(1)];
            assert_eq!((parked.revision, parked.position), (2, 6));
            assert!(parked.reason.contains("version 99 is not known"), "{}", parked.reason);
            let found = rows_at(&viewed, &other, position).await;
            assert!(found.rows.len() == 1 && found.set_aside == SetAside::default(), "{found:?}");
        }
    }
    stores.close().await;
}

#[tokio::test]
async fn a_stream_that_touches_the_object_and_cannot_be_taken_is_told() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/golden/log.v1.ndjson");
    let events = std::fs::read_to_string(golden).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let directory = tempfile::tempdir().unwrap();
    let mut history = History::new();
    let mut revisions: BTreeMap<String, u64> = BTreeMap::new();
    let mut sold: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        let (stream, name) = (event["stream"].as_str().unwrap(), event["type"].as_str().unwrap());
        let revision = revisions.entry(stream.to_owned()).or_default();
        let version = event["version"].as_u64().unwrap().try_into().unwrap();
        history.append(stream, name, version, event["data"].to_string().into_bytes(), *revision).await;
        *revision += 1;
        if name == "OrderPlaced" {
            history.append(stream, name, 99, b"{}".to_vec(), *revision).await;
            *revision += 1;
            sold.insert(stream.to_owned(), Vec::new());
        }
        for copies in event["data"]["copies"].as_array().filter(|_| name == "OrderPaid").into_iter().flatten() {
            sold.get_mut(stream).unwrap().push(copies["book_id"].as_str().unwrap().to_owned());
        }
    }
    let stores = Stores::open(directory.path(), &history).await;
    let [.., search] = stores.views(&history);
    search.catch_up().await;
    let (rows, parked) = (search.live_rows().await, search.live().set_aside().parked);
    assert_eq!(parked.keys().collect::<Vec<_>>(), sold.keys().collect::<Vec<_>>());
    for (key, row) in rows {
        let book = key[0].as_str().unwrap();
        let found = rows_at(&search, book, u64::MAX).await;
        assert_eq!(found.rows, [(key.clone(), row)]);
        let about_it: Vec<_> = sold.iter().filter(|(_, books)| books.iter().any(|id| id == book)).collect();
        assert_eq!(
            found.set_aside.parked.keys().collect::<Vec<_>>(),
            about_it.iter().map(|it| it.0).collect::<Vec<_>>()
        );
    }
    stores.close().await;
}
