//! Views against a plain fold of the log, whatever the bus does: four partitions, deliveries doubled, dropped, reordered.

mod postgres;

use super::*;
use crate::any_view;
use crate::book::Books;
use crate::search::{self, Search};
use crate::stock::{Stock, StockLedger};
use crate::test_history::{History, ISBNS, book_stream, folded, happen, some_history};
use crate::view::{View, table};
use domain::book::BookId;
use futures_util::future::{BoxFuture, FutureExt};
use platform::bus::partition::partition;
use platform::event_log::memory::MemoryLog;
use platform::event_log::{EventLog, LogId, Position, RecordedEvent};
use platform::read_store::{ReadStore, Rows, Select};
use platform::search_index::{Order, Request, SearchIndex};
use platform::view_store::{Parked, Source};
use proptest::collection::vec;
use proptest::prelude::*;
use schemas::views::Row;
use schemas::views::book::BookRow;
use schemas::views::search::SearchRow;
use std::collections::VecDeque;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

const PARTITIONS: u16 = 4;
const ALL: Select = Select { from: None, filter: "true", order: "1", limit: 10_000 };

/// Every partition's facts, in order.
fn deliveries(events: &[RecordedEvent], partitions: u16) -> Vec<Delivery> {
    let mut after = vec![Position(0); usize::from(partitions)];
    let mut facts = Vec::new();
    let head = events.last().map_or(Position(0), |event| event.position);
    for event in events {
        let partition = partition(event.stream.as_str(), partitions);
        let after = std::mem::replace(&mut after[usize::from(partition)], event.position);
        let log = LogId(Uuid::from_u128(1));
        facts.push(Delivery { log, partition, after, position: event.position, event: Some(event.clone()) });
    }
    for (partition, after) in (0..).zip(after) {
        if after < head {
            facts.push(Delivery { log: LogId(Uuid::from_u128(1)), partition, after, position: head, event: None });
        }
    }
    facts
}

/// A bus that delivers what it is told, then everything again and again, as one does that was not acknowledged.
struct Script {
    batches: VecDeque<Vec<Delivery>>,
    again: Vec<Delivery>,
}

impl Bus for Script {
    fn next(&mut self, _: usize) -> BoxFuture<'_, Result<Vec<Delivery>, BusError>> {
        async move {
            tokio::task::yield_now().await;
            Ok(self.batches.pop_front().unwrap_or_else(|| self.again.clone()))
        }
        .boxed()
    }
}

async fn store(directory: &TempDir, partitions: u16) -> Arc<ReadStore> {
    let tables = [table::<Books>(), table::<Stock>(), table::<StockLedger>()];
    let path = directory.path().join("views");
    let log = LogId(Uuid::from_u128(1));
    Arc::new(ReadStore::open(&path, &tables, Source { log, head: Position(1_000_000), partitions }).await.unwrap())
}

/// The live generation of a view.
fn live<V: View>(store: &ReadStore) -> Arc<dyn ViewStore> {
    store.generations(V::Row::NAME).live_generation().store
}

fn parked<V: View>(store: &ReadStore) -> Vec<Parked> {
    let mut parked: Vec<_> = live::<V>(store).set_aside().parked.into_values().collect();
    parked.sort_by_key(|parked| parked.position);
    parked
}

async fn worker<V: View>(store: &ReadStore) -> Worker {
    Worker::open(any_view::named(V::Row::NAME).unwrap(), live::<V>(store)).await.unwrap()
}

/// Runs a worker until its view is at `head`.
async fn build<V: View>(store: &Arc<ReadStore>, events: &[RecordedEvent], script: Script, head: Position) {
    let log = log_of(events).await;
    let stop = CancellationToken::new();
    let worker = worker::<V>(store).await;
    let reached = async {
        tokio::time::timeout(Duration::from_mins(2), store.wait_for(V::Row::NAME, head)).await.unwrap();
        stop.cancel();
    };
    tokio::try_join!(worker.run(Box::new(script), &log, stop.clone()), reached.map(Ok)).unwrap();
}

/// A log of these events.
async fn log_of(events: &[RecordedEvent]) -> MemoryLog {
    let log = MemoryLog::new(LogId(Uuid::from_u128(1)));
    let (sender, pages) = tokio::sync::mpsc::channel(1);
    sender.send(events.to_vec()).await.unwrap();
    drop(sender);
    log.import(events.last().map_or(Position(0), |event| event.position), pages).await.unwrap();
    log
}

async fn rows<V: View>(store: &ReadStore) -> Vec<String> {
    let Rows { rows, .. } = store.read::<V::Row>(V::Row::NAME, ALL, &[]).await.unwrap();
    sorted(&rows)
}

fn sorted<'a, R: Row>(rows: impl IntoIterator<Item = &'a R>) -> Vec<String> {
    let mut texts: Vec<_> = rows.into_iter().map(|row| serde_json::to_string(row).unwrap()).collect();
    texts.sort();
    texts
}

/// The rows as a plain fold makes them.
fn reference<V: View>(events: &[RecordedEvent]) -> Vec<String> {
    sorted(folded::<V>(events, &SetAside::default()).iter().map(|(_, row)| row))
}

async fn builds_like_the_reference<V: View>(events: &[RecordedEvent], script: Script, head: Position) {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory, PARTITIONS).await;
    build::<V>(&store, events, script, head).await;
    assert_eq!(rows::<V>(&store).await, reference::<V>(events));
    assert_eq!(parked::<V>(&store), []);
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// For each delivery how often it comes (0 = not at first) and how late, and the sizes of the batches.
fn mischief() -> impl Strategy<Value = (Vec<(usize, usize)>, Vec<usize>)> {
    (vec((0..3_usize, 0..12_usize), 200), vec(1..20_usize, 40))
}

fn script(facts: &[Delivery], (fates, sizes): &(Vec<(usize, usize)>, Vec<usize>)) -> Script {
    let mut delivered: Vec<(usize, &Delivery)> = Vec::new();
    for (place, fact) in facts.iter().enumerate() {
        let (copies, late) = fates[place % fates.len()];
        delivered.extend((0..copies).map(|copy| (place + late * (copy + 1), fact)));
    }
    delivered.sort_by_key(|(place, _)| *place);
    let mut delivered: VecDeque<_> = delivered.into_iter().map(|(_, fact)| fact.clone()).collect();
    let mut batches = VecDeque::new();
    for size in sizes.iter().cycle() {
        if delivered.is_empty() {
            break;
        }
        batches.push_back(delivered.drain(..(*size).min(delivered.len())).collect());
    }
    Script { batches, again: facts.to_vec() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn views_are_the_fold_of_the_log_whatever_the_bus_does(
        happenings in vec((0..ISBNS.len(), 0..8_u32, 0..50_u64), 1..120),
        mischief in mischief(),
    ) {
        block_on(async {
            let mut history = History::new();
            for (place, what, n) in happenings {
                happen(&mut history, place, what, n).await;
            }
            let events = history.events().await;
            let head = events.last().map_or(Position(0), |event| event.position);
            let facts = deliveries(&events, PARTITIONS);
            builds_like_the_reference::<Books>(&events, script(&facts, &mischief), head).await;
            builds_like_the_reference::<Stock>(&events, script(&facts, &mischief), head).await;
            builds_like_the_reference::<StockLedger>(&events, script(&facts, &mischief), head).await;
            builds_an_index_like_the_reference(&events, script(&facts, &mischief), head).await;
        });
    }
}

/// The search index is built by the same worker in another store: its rows are the fold of the log too.
async fn builds_an_index_like_the_reference(events: &[RecordedEvent], script: Script, head: Position) {
    let directory = tempfile::tempdir().unwrap();
    let source = Source { log: LogId(Uuid::from_u128(1)), head, partitions: PARTITIONS };
    let index = Arc::new(SearchIndex::open(&directory.path().join("search"), &search::LAYOUT, source).unwrap());
    let (log, stop) = (log_of(events).await, CancellationToken::new());
    let worker = Worker::open(&Search, Arc::clone(&index) as Arc<dyn ViewStore>).await.unwrap();
    let keeping = tokio::spawn(Arc::clone(&index).keep(stop.clone()));
    let reached = async {
        tokio::time::timeout(Duration::from_mins(2), index.wait_for(head)).await.unwrap();
        stop.cancel();
    };
    tokio::try_join!(worker.run(Box::new(script), &log, stop.clone()), reached.map(Ok)).unwrap();
    keeping.await.unwrap();

    let expected = reference::<Search>(events);
    let rows: Vec<SearchRow> = expected.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let keys: Vec<_> = rows.iter().map(|row| vec![serde_json::json!(row.id)]).collect();
    let found = index.load(&keys.iter().collect::<Vec<_>>()).await.unwrap();
    let found: Vec<SearchRow> = found.into_iter().map(|row| serde_json::from_value(row).unwrap()).collect();
    assert_eq!(sorted(&found), expected);
    let listed = rows.iter().filter(|row| row.book.as_ref().is_some_and(|book| book.retired == 0)).count();
    let everything =
        Request { text: "", filters: vec![], order: Order::Relevance, counted: vec![], after: None, limit: 100 };
    assert_eq!(index.search(&everything).unwrap().total, listed as u64);
    assert_eq!(index.set_aside(), SetAside::default());
}

#[tokio::test]
async fn two_workers_on_one_table_do_no_harm() {
    let events = some_history().await.events().await;
    let (facts, head) = (deliveries(&events, PARTITIONS), events.last().unwrap().position);
    let one_by_one = || Script { batches: facts.iter().map(|fact| vec![fact.clone()]).collect(), again: facts.clone() };
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory, PARTITIONS).await;
    tokio::join!(
        build::<Stock>(&store, &events, one_by_one(), head),
        build::<Stock>(&store, &events, one_by_one(), head)
    );
    assert_eq!(rows::<Stock>(&store).await, reference::<Stock>(&events));
    assert_eq!(parked::<Stock>(&store), []);
}

#[tokio::test]
async fn a_worker_goes_on_where_the_last_one_was() {
    let events = some_history().await.events().await;
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory, 1).await;
    let (early, head) = (&events[..20], events.last().unwrap().position);
    let first = Script { batches: VecDeque::new(), again: deliveries(early, 1) };
    build::<Books>(&store, &events, first, early.last().unwrap().position).await;
    let rest = deliveries(&events, 1).split_off(20);
    build::<Books>(&store, &events, Script { batches: VecDeque::new(), again: rest }, head).await;
    assert_eq!(rows::<Books>(&store).await, reference::<Books>(&events));
}

#[tokio::test]
async fn an_event_that_cannot_be_taken_stops_its_own_stream_only() {
    let mut history = some_history().await;
    let healthy = history.events().await;
    let (unreadable, impossible) = (book_stream(1), schemas::stream::book(BookId::from(Uuid::from_u128(9))));
    let revision = history.states[&unreadable].1;
    history.append(&unreadable, "BookRepriced", 99, b"{}".to_vec(), revision).await;
    history.append(&unreadable, "BookRetired", 1, b"{}".to_vec(), revision + 1).await;
    history.append(&impossible, "BookRetired", 1, b"{}".to_vec(), 0).await;
    history.append(&book_stream(2), "BookRetired", 1, b"{}".to_vec(), history.states[&book_stream(2)].1).await;
    let events = history.events().await;
    let head = events.last().unwrap().position;

    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory, PARTITIONS).await;
    build::<Books>(&store, &events, Script { batches: VecDeque::new(), again: deliveries(&events, PARTITIONS) }, head)
        .await;
    let parked = parked::<Books>(&store);
    let places: Vec<_> = parked.iter().map(|parked| (parked.stream.as_str(), parked.position)).collect();
    assert_eq!(places, [(unreadable.as_str(), head.0 - 3), (impossible.as_str(), head.0 - 1)]);
    assert!(parked[0].reason.contains("BookRepriced version 99 is not known"), "{}", parked[0].reason);
    assert!(parked[1].reason.contains("expected the registration"), "{}", parked[1].reason);

    let found = store.read::<BookRow>("books", ALL, &[]).await.unwrap().rows;
    let revision_of = |stream: &str| found.iter().find(|row| stream.ends_with(&row.id)).map(|row| row.revision);
    assert_eq!(revision_of(&unreadable), Some(revision.cast_signed()), "as before the event that cannot be read");
    assert_eq!(revision_of(&impossible), None);
    let retired_again = history.states[&book_stream(2)].1.cast_signed() + 1;
    assert_eq!(revision_of(&book_stream(2)), Some(retired_again), "the rest goes on");
    // Other views take no notice.
    build::<Stock>(&store, &events, Script { batches: VecDeque::new(), again: deliveries(&events, PARTITIONS) }, head)
        .await;
    assert_eq!(rows::<Stock>(&store).await, reference::<Stock>(&healthy));

    // A later worker leaves the stream aside as well.
    let mut history = history;
    history.append(&unreadable, "BookRetired", 1, b"{}".to_vec(), revision + 2).await;
    let events = history.events().await;
    let head = events.last().unwrap().position;
    build::<Books>(&store, &events, Script { batches: VecDeque::new(), again: deliveries(&events, PARTITIONS) }, head)
        .await;
    assert_eq!(self::parked::<Books>(&store), parked);
}

#[tokio::test]
async fn deliveries_of_another_log_are_nothing_to_the_view() {
    let events = some_history().await.events().await;
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory, 1).await;
    let mut foreign = deliveries(&events[..3], 1);
    for delivery in &mut foreign {
        delivery.log = LogId(Uuid::from_u128(2));
    }
    let stop = CancellationToken::new();
    let script = Script { batches: VecDeque::new(), again: foreign };
    let (worker, log) = (worker::<Books>(&store).await, log_of(&events).await);
    let working = tokio::spawn({
        let stop = stop.clone();
        async move { worker.run(Box::new(script), &log, stop).await }
    });
    let waited = tokio::time::timeout(Duration::from_millis(50), store.wait_for("books", Position(1))).await;
    assert!(waited.is_err());
    stop.cancel();
    working.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_the_bus_has_lost_is_taken_from_the_log() {
    let events = some_history().await.events().await;
    let head = events.last().unwrap().position;
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory, PARTITIONS).await;
    // Of each partition, the bus has the last fact only.
    let mut last = deliveries(&events, PARTITIONS);
    last.reverse();
    let mut seen = std::collections::BTreeSet::new();
    last.retain(|fact| seen.insert(fact.partition));
    build::<Stock>(&store, &events, Script { batches: VecDeque::new(), again: last.clone() }, head).await;
    assert_eq!(rows::<Stock>(&store).await, reference::<Stock>(&events));

    // A log that has not got it either is an error, not a standstill.
    let empty = MemoryLog::new(LogId(Uuid::from_u128(1)));
    let script = Script { batches: VecDeque::new(), again: last };
    let ended = worker::<Books>(&store).await.run(Box::new(script), &empty, CancellationToken::new()).await;
    assert!(matches!(ended, Err(WorkerError::Log(_))), "{ended:?}");
}
