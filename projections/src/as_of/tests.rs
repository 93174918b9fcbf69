//! Rows as of every position, against a plain fold of the log up to there.

use super::*;
use crate::test_history::{History, ISBNS, Stores, Viewed, book_id, book_stream, happen};
use platform::event_log::EventLog;
use proptest::collection::vec;
use proptest::prelude::*;

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
