//! Two stores on one database, as two processes have them: each knows what the other has written.

use super::*;
use crate::postgres;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::task::Poll;
use tokio::time::timeout;

const SOURCE: Source = Source { log: LogId(Uuid::from_u128(1)), head: Position(0), partitions: 4 };

/// How long a test waits for what has to come.
const SOON: Duration = Duration::from_secs(20);

/// Of a log that is longer by now.
async fn builder(database: &Scratch) -> ReadStore {
    ReadStore::open_postgres(&database.url, &[TABLE], SOURCE, Access::Builder(&Head(Position(100)))).await.unwrap()
}

async fn reader(database: &Scratch, table: Table, source: Source, waits: Duration) -> Result<ReadStore, StoreError> {
    Ok(ReadStore { views: super::super::postgres::open(&database.url, &[table], source, Access::Reader, waits).await? })
}

/// Moves every partition of a generation, with rows in the first one.
async fn move_all(store: &dyn ViewStore, to: u64, rows: &[Counter]) {
    for partition in 0..4 {
        let rows = if partition == 0 { rows } else { &[] };
        assert!(store.write(&change_of(store, partition, to, rows).await).await.unwrap());
    }
}

async fn waits_for(store: &ReadStore, position: u64) {
    let reached = timeout(SOON, store.wait_for("counters", Position(position))).await;
    reached.expect("the position is reached");
}

/// Ends all connections that listen; answers how many.
async fn end_listening(pool: &PgPool) -> usize {
    let ended: Vec<bool> = sqlx::query_scalar(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE 'LISTEN%'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    ended.len()
}

#[tokio::test]
async fn what_one_writes_the_other_knows() {
    let Some(database) = Scratch::new().await else { return };
    let (writes, reads) = (builder(&database).await, reader(&database, TABLE, SOURCE, SOON).await.unwrap());
    let rows = [counter("a", 1, 7)];
    assert_eq!(reads.last_change("counters", "a"), Position(0));
    move_all(live(&writes).as_ref(), 5, &rows).await;
    waits_for(&reads, 5).await;
    assert_eq!(reads.last_change("counters", "a"), Position(5));
    assert_eq!(reads.last_change("counters", "b"), Position(0), "nothing is said of others");
    assert_eq!(all(&reads).await, rows_at(5, &rows));

    // More objects than a notice can name.
    let many: Vec<_> = (0..3_000).map(|n| counter(&format!("many {n}"), 1, 1)).collect();
    move_all(live(&writes).as_ref(), 6, &many).await;
    waits_for(&reads, 6).await;
    assert!(many.iter().all(|one| reads.last_change("counters", &one.id) == Position(6)));

    // Partitions whose objects can be named, but not in one notice.
    let some = |partition| -> Vec<_> { (0..900).map(|n| counter(&format!("{partition} {n}"), 1, 1)).collect() };
    let mut together = Vec::new();
    for partition in 0..4 {
        together.push(change(&writes, partition, 7, &some(partition)).await);
    }
    assert_eq!(live(&writes).write_all(&together).await.unwrap(), [true; 4]);
    waits_for(&reads, 7).await;
    assert!((0..4).flat_map(some).all(|one| reads.last_change("counters", &one.id) == Position(7)));
    let unchanged = (0..1_000).filter(|n| reads.last_change("counters", &format!("none {n}")) < Position(7)).count();
    assert!(unchanged > 0, "nothing is said of others");

    let sets_aside = Change { parked: vec![parked(2)], ..change(&writes, 0, 8, &[]).await };
    assert!(live(&writes).write(&sets_aside).await.unwrap());
    eventually("it is set aside", || reads.parked_at("counters", "s") == Some(Position(2))).await;
    let takes_up = Change { taken_up: vec!["s".to_owned()], ..change(&writes, 0, 8, &[counter("a", 1, 8)]).await };
    assert!(live(&writes).write(&takes_up).await.unwrap());
    eventually("it is taken up", || reads.parked_at("counters", "s").is_none()).await;
    assert_eq!(reads.last_change("counters", "a"), Position(9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_known_before_the_position_passes_it() {
    let Some(database) = Scratch::new().await else { return };
    let (writes, reads) = (builder(&database).await, Arc::new(builder(&database).await));
    const LAST: u64 = 150;
    let watching = tokio::spawn({
        let reads = Arc::clone(&reads);
        async move {
            let mut positions = 0;
            loop {
                // In the order in which the cache of bodies does it.
                let position = reads.position("counters");
                let (changed, parked) = (reads.last_change("counters", "a"), reads.parked_at("counters", "s"));
                assert!(changed >= position, "position {position:?} is known, of the change only {changed:?}");
                assert!(position < Position(LAST) || parked.is_some(), "what is set aside is known as late");
                positions += 1;
                if position == Position(LAST) {
                    return positions;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    for to in 1..=LAST {
        let mut changes = change(&writes, 0, to, &[counter("a", 1, 1)]).await;
        if to == LAST {
            changes.parked = vec![parked(2)];
        }
        for partition in 1..4 {
            assert!(live(&writes).write(&change(&writes, partition, to, &[]).await).await.unwrap());
        }
        assert!(live(&writes).write(&changes).await.unwrap());
    }
    assert!(timeout(SOON, watching).await.unwrap().unwrap() > 0);
}

#[tokio::test]
async fn of_two_that_write_from_the_same_place_one_does() {
    let Some(database) = Scratch::new().await else { return };
    let (one, other) = (builder(&database).await, builder(&database).await);
    for to in 1..=50 {
        let a = change(&one, 0, to, &[counter("a", 1, 1), counter("b", 1, 1)]).await;
        // The rows in the other order: who writes them at the same time waits for the other, and the other for him.
        let b = change(&other, 0, to, &[counter("b", 1, 2), counter("a", 1, 2)]).await;
        let (live_one, live_other) = (live(&one), live(&other));
        let (a, b) = tokio::join!(live_one.write(&a), live_other.write(&b));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!(a != b, "{a} {b}");
        let count = if a { 1 } else { 2 };
        assert_eq!(all(&one).await.rows, [counter("a", 1, count), counter("b", 1, count)]);
    }
}

#[tokio::test]
async fn what_is_set_aside_is_read_with_the_checkpoints() {
    let Some(database) = Scratch::new().await else { return };
    let (one, other) = (builder(&database).await, builder(&database).await);
    // The other hears of nothing.
    let store = live(&other);
    drop(other);
    let sets_aside = Change { parked: vec![parked(2)], ..change(&one, 0, 3, &[]).await };
    assert!(live(&one).write(&sets_aside).await.unwrap());
    store.checkpoints().await.unwrap();
    assert_eq!(store.set_aside().parked, BTreeMap::from([("s".to_owned(), parked(2))]));
}

#[tokio::test]
async fn generations_are_known_to_all() {
    let Some(database) = Scratch::new().await else { return };
    let (one, other) = (builder(&database).await, builder(&database).await);
    let (of_one, of_other) = (one.generations("counters"), other.generations("counters"));
    move_all(live(&one).as_ref(), 3, &[counter("a", 1, 1)]).await;
    waits_for(&other, 3).await;
    // So often that it is prepared on each connection, with a plan that is kept.
    for _ in 0..50 {
        assert_eq!(all(&other).await, rows_at(3, &[counter("a", 1, 1)]));
    }
    let second = of_one.begin().await.unwrap();
    eventually("it is begun", || stages(&other) == [(1, Stage::Live), (2, Stage::Building)]).await;
    // Whoever opens meanwhile leaves it alone: somebody is building it.
    let third = builder(&database).await;
    assert_eq!(stages(&third), [(1, Stage::Live), (2, Stage::Building)]);
    move_all(second.store.as_ref(), 4, &[counter("b", 1, 1)]).await;
    of_one.mark(2, Stage::Built).await.unwrap();
    eventually("it is built", || stages(&other) == [(1, Stage::Live), (2, Stage::Built)]).await;
    of_other.hold(2).await.unwrap();
    eventually("it is held", || stages(&one) == [(1, Stage::Live), (2, Stage::Building)]).await;
    assert_eq!(of_one.switch(2).await.unwrap(), Switch::Done);
    let expected = Rows { position: Position(4), generation: 2, rows: vec![counter("b", 1, 1)] };
    assert_eq!(all(&other).await, expected, "a read that was prepared sees it at once");
    eventually("readers see it", || stages(&other) == [(1, Stage::Kept), (2, Stage::Live)]).await;
    assert_eq!((other.position("counters"), other.generation("counters")), (Position(4), 2));
    assert_eq!(other.last_change("counters", "a"), Position(4), "whatever was read before may have changed");
    // What of it changes from now on is known.
    move_all(second.store.as_ref(), 5, &[counter("c", 1, 1)]).await;
    waits_for(&other, 5).await;
    assert_eq!(other.last_change("counters", "c"), Position(5));

    assert!(matches!(of_other.drop_generation(2).await, Err(StoreError::Live { number: 2, .. })));
    let dropped = generations(&other)[0].store.clone();
    let change = change_of(dropped.as_ref(), 0, 9, &[]).await;
    of_one.drop_generation(1).await.unwrap();
    assert!(!dropped.write(&change).await.unwrap());
    assert!(matches!(dropped.checkpoints().await, Err(StoreError::NoGeneration { number: 1, .. })));
    eventually("it is dropped", || stages(&other) == [(2, Stage::Live)]).await;
    assert_eq!(of_other.begin().await.unwrap().number, 3);
}

#[tokio::test]
async fn listening_begins_anew_when_it_is_interrupted() {
    let Some(database) = Scratch::new().await else { return };
    let (writes, reads) = (builder(&database).await, builder(&database).await);
    let pool = database.connect(1).await;
    assert_eq!(end_listening(&pool).await, 2);
    move_all(live(&writes).as_ref(), 3, &[counter("a", 1, 1)]).await;
    writes.generations("counters").begin().await.unwrap();
    waits_for(&reads, 3).await;
    assert!(reads.last_change("counters", "a") >= Position(3));
    eventually("the generation is known", || stages(&reads) == [(1, Stage::Live), (2, Stage::Building)]).await;
    eventually("both listen again", || stages(&writes).len() == 2 && writes.position("counters") == Position(3)).await;
    move_all(live(&writes).as_ref(), 4, &[counter("a", 1, 1)]).await;
    waits_for(&reads, 4).await;
    waits_for(&writes, 4).await;
}

#[tokio::test]
async fn a_position_of_which_nobody_told_is_found_while_somebody_waits_for_it() {
    let Some(database) = Scratch::new().await else { return };
    let reads = builder(&database).await;
    let pool = postgres::connect(&database.url, 1).await.unwrap();
    let moved = sqlx::query("UPDATE checkpoints SET position = 9").execute(&pool).await.unwrap();
    assert_eq!(moved.rows_affected(), 4);
    waits_for(&reads, 9).await;
    assert_eq!(reads.last_change("counters", "a"), Position(9), "nobody told of rows either");
}

#[tokio::test]
async fn a_reader_may_be_there_before_the_builder() {
    let Some(database) = Scratch::new().await else { return };
    let (reads, writes) = tokio::join!(reader(&database, TABLE, SOURCE, SOON), async {
        // The reader has looked, and found nothing.
        tokio::time::sleep(Duration::from_millis(150)).await;
        builder(&database).await
    });
    move_all(live(&writes).as_ref(), 3, &[]).await;
    waits_for(&reads.unwrap(), 3).await;
}

#[tokio::test]
async fn a_reader_says_what_it_waited_for() {
    let Some(database) = Scratch::new().await else { return };
    let misses = async |table: Table, source: Source| {
        let opened = reader(&database, table, source, Duration::from_millis(150)).await;
        opened.err().expect("it cannot be opened").to_string()
    };
    let none = misses(TABLE, SOURCE).await;
    assert!(none.starts_with("the view `counters` cannot be read: no generation of it is live;"), "{none}");
    let _builder = builder(&database).await;
    for (table, source, why) in [
        (Table { indexes: &[], ..TABLE }, SOURCE, "generation 1 is live, but its rows have another shape;"),
        (TABLE, Source { log: log(2), ..SOURCE }, "generation 1 is live, but it is of another log;"),
        (TABLE, Source { partitions: 2, ..SOURCE }, "generation 1 is live, but it has 4 partitions instead of 2;"),
    ] {
        let said = misses(table, source).await;
        assert!(said.contains(why), "{said}");
    }
}

#[tokio::test]
async fn many_open_at_once_and_the_view_is_made_once() {
    let Some(database) = Scratch::new().await else { return };
    let database = &database;
    let opened = futures_util::future::join_all((0..6).map(|_| builder(database))).await;
    assert!(opened.iter().all(|store| stages(store) == [(1, Stage::Live)]));
}

#[tokio::test]
async fn views_that_went_on_while_a_builder_opened_are_left_as_they_are() {
    let Some(database) = Scratch::new().await else { return };
    let store = builder(&database).await;
    move_all(live(&store).as_ref(), 3, &[counter("a", 1, 1)]).await;
    // It learned of the log before those were written.
    let late = ReadStore::open_postgres(&database.url, &[TABLE], SOURCE, Access::Builder(&Head(Position(3)))).await;
    assert_eq!(all(&late.unwrap()).await, rows_at(3, &[counter("a", 1, 1)]));
    // The log has been replaced by one that ends earlier.
    let early = ReadStore::open_postgres(&database.url, &[TABLE], SOURCE, Access::Builder(&Head(Position(2)))).await;
    assert_eq!(all(&early.unwrap()).await, Rows { generation: 2, ..rows_at(0, &[]) });
    // The process that was there before goes on with what is there now.
    eventually("it is known", || stages(&store) == [(2, Stage::Live)]).await;
    assert_eq!((store.position("counters"), all(&store).await.position), (Position(0), Position(0)));
}

#[tokio::test]
async fn another_version_does_not_write_into_what_it_does_not_know() {
    let Some(database) = Scratch::new().await else { return };
    let old = builder(&database).await;
    let stale = change(&old, 0, 1, &[counter("a", 1, 1)]).await;
    let store = live(&old);
    let table = Table { indexes: &[], ..TABLE };
    let new = ReadStore::open_postgres(&database.url, &[table], SOURCE, Access::Builder(&Head(Position(0)))).await;
    let new = new.unwrap();
    assert!(!store.write(&stale).await.unwrap());
    assert!(matches!(store.checkpoints().await, Err(StoreError::NoGeneration { number: 1, .. })));
    move_all(live(&new).as_ref(), 2, &[counter("b", 1, 1)]).await;
    // It has the same columns: so what reads it goes on.
    waits_for(&old, 2).await;
    assert_eq!(all(&old).await, Rows { generation: 2, ..rows_at(2, &[counter("b", 1, 1)]) });
}

#[tokio::test]
async fn no_error_tells_the_password() {
    for url in ["postgres://user:secret@127.0.0.1:1/x", "postgres://user:secret@127.0.0.1:none/x", "secret"] {
        let opened = ReadStore::open_postgres(url, &[TABLE], SOURCE, Access::Reader).await;
        let said = opened.err().expect("nobody answers").to_string();
        assert!(!said.contains("secret"), "{said}");
    }
}

#[tokio::test]
async fn the_character_that_no_text_can_hold_stops_nothing() {
    let Some(database) = Scratch::new().await else { return };
    let store = builder(&database).await;
    let mut writes =
        change(&store, 0, 3, &[Counter { note: Some("\0 \\u0000".to_owned()), ..counter("a\0", 1, 1) }]).await;
    writes.parked = vec![Parked { reason: "\0".to_owned(), ..parked(2) }];
    assert!(live(&store).write(&writes).await.unwrap());
    let rows = live(&store).load(&[&vec![json!("a\0"), json!(1)]]).await.unwrap();
    assert_eq!(rows, [json!({ "id": "a\u{FFFD}", "place": 1, "count": 1, "note": "\u{FFFD} \\u0000" })]);
}

#[tokio::test]
async fn a_write_that_is_broken_off_anywhere_leaves_nothing_open() {
    let Some(database) = Scratch::new().await else { return };
    let store = builder(&database).await;
    let pool = database.connect(1).await;
    for round in 0..60 {
        let steps = round % 15;
        let from = live(&store).checkpoints().await.unwrap().remove(0).position.0;
        let writes = change(&store, 0, from + 1, &[counter("a", 1, 1)]).await;
        let live = live(&store);
        let mut writing = live.write(&writes);
        // It is dropped after so many steps, whatever it is doing then.
        let mut polls = 0;
        let broken_off = std::future::poll_fn(|context| {
            polls += 1;
            if polls > steps {
                Poll::Ready(())
            } else {
                writing.as_mut().poll(context).map(|written| assert!(written.unwrap()))
            }
        });
        broken_off.await;
        drop(writing);
        // On each of the store's connections in turn: a read between moves which of them writes.
        for n in 0..6 {
            all(&store).await;
            let to = 1_000 + 10 * round + n;
            let next = change(&store, 1, to, &[]).await;
            assert!(live.write(&next).await.unwrap());
            let committed = sqlx::query_scalar("SELECT position FROM checkpoints WHERE partition = 1");
            let committed: i64 = committed.fetch_one(&pool).await.unwrap();
            assert_eq!(committed.cast_unsigned(), to, "what is written next is committed");
        }
    }
}
