//! Switches between generations while several processes write to both.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicU64};

const SOURCE: Source = Source { log: LogId(Uuid::from_u128(1)), head: Position(0), partitions: 4 };
const SWITCHES: usize = 12;

async fn builder(database: &Scratch) -> Arc<ReadStore> {
    let opened = ReadStore::open_postgres(&database.url, &[TABLE], SOURCE, Access::Builder(&Head(Position(0)))).await;
    Arc::new(opened.unwrap())
}

/// Feeds two partitions of a generation until it is stopped: a row of each that says how far it is.
async fn feed(store: Arc<dyn ViewStore>, partitions: [usize; 2], ahead: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let mut to = 0;
    while !stop.load(Ordering::SeqCst) {
        to += 1;
        // No generation is more than a few events ahead of the slowest, else none could be switched to.
        while to > ahead.load(Ordering::SeqCst) + 4 && !stop.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        let count = i64::try_from(to).unwrap();
        let [one, other] = partitions.map(|partition| (partition, counter(&format!("p{partition}"), 1, count)));
        let changes = [
            change_of(store.as_ref(), one.0, to, &[one.1]).await,
            change_of(store.as_ref(), other.0, to, &[other.1]).await,
        ];
        assert_eq!(store.write_all(&changes).await.unwrap(), [true; 2], "nobody else feeds it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_never_go_back_whoever_writes_meanwhile() {
    let Some(database) = Scratch::new().await else { return };
    let stores = [builder(&database).await, builder(&database).await];
    let reads = builder(&database).await;
    stores[0].generations("counters").begin().await.unwrap();
    stores[0].generations("counters").mark(2, Stage::Built).await.unwrap();
    eventually("all know of both", || [&stores[1], &reads].iter().all(|store| stages(store).len() == 2)).await;

    let (stop, ahead) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut feeding = Vec::new();
    for generation in 0..2 {
        for partitions in [[2, 0], [1, 3]] {
            let store = Arc::clone(&generations(&stores[(generation + partitions[0]) % 2])[generation].store);
            feeding.push(tokio::spawn(feed(store, partitions, Arc::clone(&ahead), Arc::clone(&stop))));
        }
    }
    let reading = tokio::spawn({
        let (reads, stop) = (Arc::clone(&reads), Arc::clone(&stop));
        async move {
            let (mut last, mut seen) = (rows_at(0, &[]), Vec::new());
            while !stop.load(Ordering::SeqCst) {
                let heard = reads.position("counters");
                let read = all(&reads).await;
                ahead.fetch_max(read.position.0, Ordering::SeqCst);
                assert!(read.position >= last.position, "{read:?} after {last:?}");
                assert!(read.position >= heard, "{read:?} after {heard:?} was heard of");
                let of_position = |row: &Counter| row.count.cast_unsigned() >= read.position.0;
                assert!(read.rows.iter().all(of_position), "rows and position are of one generation: {read:?}");
                for before in &last.rows {
                    let goes_on = |row: &Counter| row.id == before.id && row.count >= before.count;
                    assert!(read.rows.iter().any(goes_on), "{read:?} after {last:?}");
                }
                if read.generation != last.generation {
                    seen.push(read.generation);
                }
                last = read;
            }
            seen.len()
        }
    });
    let (mut switches, mut attempts) = (0, 0);
    let until = Instant::now() + Duration::from_secs(60);
    while switches < SWITCHES && !reading.is_finished() {
        assert!(Instant::now() < until, "{switches} switches of {attempts} attempts");
        let store = &stores[attempts % 2];
        let other = 3 - all(store).await.generation;
        attempts += 1;
        if store.generations("counters").switch(other).await.unwrap() == Switch::Done {
            switches += 1;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stop.store(true, Ordering::SeqCst);
    let seen = reading.await.unwrap();
    for fed in feeding {
        fed.await.unwrap();
    }
    assert!(seen > 0, "the reader saw none of {switches} switches");
}

#[tokio::test]
async fn a_switch_waits_for_who_is_writing_already() {
    let Some(database) = Scratch::new().await else { return };
    let store = builder(&database).await;
    let of_view = store.generations("counters");
    let second = of_view.begin().await.unwrap();
    let pool = database.connect(2).await;
    let is_waiting = async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap() > 0
    };
    // Both are at one position; now a writer moves the live one, and has not committed yet.
    let mut writer = pool.begin().await.unwrap();
    let moves = sqlx::query("UPDATE checkpoints SET position = 1 WHERE table_name = 'counters_1'");
    moves.execute(&mut *writer).await.unwrap();
    let switch = tokio::spawn({
        let of_view = Arc::clone(&of_view);
        async move { of_view.switch(2).await.unwrap() }
    });
    let until = Instant::now() + Duration::from_secs(20);
    while !switch.is_finished() && !is_waiting().await {
        assert!(Instant::now() < until, "the switch neither waits nor ends");
    }
    assert!(!switch.is_finished(), "the switch has not waited");
    writer.commit().await.unwrap();
    assert_eq!(switch.await.unwrap(), Switch::Behind);
    assert!(!second.store.is_live());
}

#[tokio::test]
async fn a_generation_may_catch_up_while_the_live_one_is_held_still_for_it() {
    let Some(database) = Scratch::new().await else { return };
    let store = builder(&database).await;
    let of_view = store.generations("counters");
    let second = of_view.begin().await.unwrap().store;
    let first = live(&store);
    assert!(first.write(&change_of(first.as_ref(), 0, 3, &[]).await).await.unwrap());
    let next = change_of(first.as_ref(), 0, 4, &[]).await;
    let (switched, ()) = tokio::join!(of_view.switch(2), async {
        let until = Instant::now() + Duration::from_secs(20);
        // The live one takes no more, while the other one does.
        while tokio::time::timeout(Duration::from_millis(20), first.write(&next)).await.is_ok_and(Result::unwrap) {
            assert!(Instant::now() < until, "the live one is not held");
        }
        assert!(second.write(&change_of(second.as_ref(), 0, 4, &[]).await).await.unwrap());
    });
    assert_eq!(switched.unwrap(), Switch::Done);
    assert!(second.is_live());
}
