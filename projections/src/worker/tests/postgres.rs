//! Workers of two processes on the same views in Postgres, which both get all deliveries.

use super::*;
use platform::event_log::memory::MemoryLog;
use platform::postgres::scratch::Scratch;
use platform::read_store::Access;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

async fn store(database: &Scratch) -> Arc<ReadStore> {
    let tables = [table::<Books>(), table::<Stock>(), table::<StockLedger>()];
    let log = MemoryLog::new(LogId(Uuid::from_u128(1)));
    let source = Source { log: log.id(), head: Position(1_000_000), partitions: PARTITIONS };
    let opened = ReadStore::open_postgres(&database.url, &tables, source, Access::Builder(&log)).await;
    Arc::new(opened.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_are_the_fold_of_the_log_in_whichever_process_it_is_done() {
    let Some(database) = Scratch::new().await else { return };
    let (one, other) = (store(&database).await, store(&database).await);
    let events = some_history().await.events().await;
    let (facts, head) = (deliveries(&events, PARTITIONS), events.last().unwrap().position);
    let mut runner = TestRunner::deterministic();
    let mut mischievous = || script(&facts, &mischief().new_tree(&mut runner).unwrap().current());
    let scripts: [Script; 6] = std::array::from_fn(|_| mischievous());
    let [books, more_books, stock, more_stock, ledger, more_ledger] = scripts;
    tokio::join!(
        build::<Books>(&one, &events, books, head),
        build::<Books>(&other, &events, more_books, head),
        build::<Stock>(&one, &events, stock, head),
        build::<Stock>(&other, &events, more_stock, head),
        build::<StockLedger>(&one, &events, ledger, head),
        build::<StockLedger>(&other, &events, more_ledger, head),
    );
    assert_eq!(rows::<Books>(&one).await, reference::<Books>(&events));
    assert_eq!(rows::<Stock>(&one).await, reference::<Stock>(&events));
    assert_eq!(rows::<StockLedger>(&one).await, reference::<StockLedger>(&events));
    assert_eq!((parked::<Books>(&one), parked::<Stock>(&one), parked::<StockLedger>(&one)), (vec![], vec![], vec![]));
}

#[tokio::test]
async fn a_stream_that_one_process_sets_aside_the_other_leaves_aside() {
    let Some(database) = Scratch::new().await else { return };
    let (one, other) = (store(&database).await, store(&database).await);
    let mut history = some_history().await;
    let revision = history.states[&book_stream(1)].1;
    history.append(&book_stream(1), "BookRepriced", 99, b"{}".to_vec(), revision).await;
    let events = history.events().await;
    let again = || Script { batches: VecDeque::new(), again: deliveries(&events, PARTITIONS) };
    build::<Books>(&one, &events, again(), events.last().unwrap().position).await;
    let aside = parked::<Books>(&one);
    assert_eq!(aside.len(), 1);

    history.append(&book_stream(1), "BookRetired", 1, b"{}".to_vec(), revision + 1).await;
    history.append(&book_stream(2), "BookRetired", 1, b"{}".to_vec(), history.states[&book_stream(2)].1).await;
    let events = history.events().await;
    let again = Script { batches: VecDeque::new(), again: deliveries(&events, PARTITIONS) };
    build::<Books>(&other, &events, again, events.last().unwrap().position).await;
    assert_eq!((parked::<Books>(&other), parked::<Books>(&one)), (aside.clone(), aside));
    let read = one.read::<BookRow>("books", ALL, &[]).await.unwrap().rows;
    assert!(read.iter().any(|row| book_stream(1).ends_with(&row.id) && row.revision == revision.cast_signed()));
}
