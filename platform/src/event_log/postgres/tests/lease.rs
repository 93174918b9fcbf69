//! Who writes under a lease: as long as its epoch is the one that the log's lock shows, and no longer.

use super::child::Process;
use super::*;
use crate::postgres::lease::{Lease, Standing, Terms};
use sqlx::Row;
use tokio_util::sync::CancellationToken;

const NAME: &str = "log-writer";

/// Within which another node writes, whatever became of the one before.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(5);

/// Which log a process of its own writes to, and where it reports.
const URL: &str = "STOPPED_WRITER_URL";
const REPORT: &str = "STOPPED_WRITER_REPORT";

/// Takes the lease as another node, and keeps it until it is stopped.
async fn take(url: &str, owner: u128) -> (Epoch, CancellationToken) {
    let terms =
        Terms { name: NAME, owner: Uuid::from_u128(owner), address: String::new(), ttl: Duration::from_secs(2) };
    let lease = Lease::open(url, terms).await.unwrap();
    let (stop, mut standing) = (CancellationToken::new(), lease.standing());
    let stopped = stop.clone();
    tokio::spawn(async move { lease.keep(stopped).await });
    let is_ours = |standing: &Standing| matches!(standing, Standing::Ours { .. });
    let ours = timeout(DEADLINE, standing.wait_for(is_ours)).await.unwrap().unwrap().clone();
    let Standing::Ours { epoch, .. } = ours else { panic!("{ours:?}") };
    (epoch, stop)
}

#[tokio::test]
async fn whoever_lost_the_lease_neither_appends_nor_confirms() {
    let Some(scratch) = Scratch::new().await else { return };
    let log = opened(&scratch.url).await;
    let (first, stop) = take(&scratch.url, 1).await;
    let old = log.writing_under(NAME, first);
    assert_eq!(old.append(vec![append("a", 0, vec![decision(1, 1)])]).await.unwrap(), [appended(1, 1)]);
    stop.cancel();
    let (second, _stop) = take(&scratch.url, 2).await;
    assert!(second > first);
    let new = log.writing_under(NAME, second);
    assert_eq!(new.append(vec![append("a", 1, vec![decision(2, 1)])]).await.unwrap(), [appended(2, 2)]);
    for late in [
        append("a", 2, vec![decision(3, 1)]),
        append("a", 2, vec![decision(3, 0)]),
        append("a", 1, vec![decision(3, 1)]),
        append("a", 1, vec![decision(1, 1)]),
    ] {
        let refused = old.append(vec![late.clone()]).await;
        assert!(matches!(refused, Err(LogError::Deposed)), "{refused:?}: {late:?}");
    }
    assert!(matches!(old.append(vec![]).await, Err(LogError::Deposed)), "also a batch of nothing");
    assert_eq!(new.append(vec![append("a", 2, vec![decision(4, 1)])]).await.unwrap(), [appended(3, 3)]);
    assert_eq!(log.read_all(Position(0), 10).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_lease_that_nobody_ever_had_gives_no_right() {
    let Some(scratch) = Scratch::new().await else { return };
    let log = opened(&scratch.url).await;
    let (_, _stop) = take(&scratch.url, 1).await;
    let refused = log.writing_under("another's", Epoch(1)).append(vec![append("a", 0, vec![decision(1, 1)])]).await;
    assert!(matches!(refused, Err(LogError::Deposed)), "{refused:?}");
}

#[tokio::test]
async fn a_batch_that_waited_for_the_lock_sees_who_took_the_lease_meanwhile() {
    let Some(scratch) = Scratch::new().await else { return };
    let log = opened(&scratch.url).await;
    let (epoch, _stop) = take(&scratch.url, 1).await;
    let log = log.writing_under(NAME, epoch);
    let pool = scratch.connect(2).await;
    let mut taking = pool.begin().await.unwrap();
    lock_log(&mut taking).await.unwrap();
    let (refused, ()) = tokio::join!(log.append(vec![append("a", 0, vec![decision(1, 0)])]), async {
        let deadline = Instant::now() + DEADLINE;
        const WAITING: &str = "
            SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()";
        while sqlx::query_scalar::<_, i64>(WAITING).fetch_one(&pool).await.unwrap() == 0 {
            assert!(Instant::now() < deadline, "nobody waits for the lock");
        }
        sqlx::raw_sql("UPDATE leases SET epoch = epoch + 1").execute(&mut *taking).await.unwrap();
        taking.commit().await.unwrap();
    });
    assert!(matches!(refused, Err(LogError::Deposed)), "{refused:?}");
}

/// Not a test by itself: appends under a lease until it is deposed, and reports each batch that was confirmed.
#[tokio::test]
async fn a_process_that_writes_until_it_is_deposed() {
    let Ok(url) = std::env::var(URL) else { return };
    let log = opened(&url).await;
    let (epoch, _stop) = take(&url, 1).await;
    let log = log.writing_under(NAME, epoch);
    let mut confirmed = String::new();
    for n in 0_u32.. {
        let revision = u64::from(n);
        match log.append(vec![append("first", revision, vec![decision(1 + u128::from(n), 1)])]).await {
            Ok(verdicts) => {
                assert!(matches!(verdicts[..], [Verdict::Appended { .. }]), "{verdicts:?}");
                confirmed += &format!("{n}\n");
            }
            // What was under way when it was stopped.
            Err(LogError::Unavailable(_)) => break,
            Err(LogError::Deposed) => break,
            Err(error) => panic!("{error}"),
        }
    }
    let again = log.append(vec![append("first", 0, vec![decision(u128::MAX >> 32, 0)])]).await;
    assert!(matches!(again, Err(LogError::Deposed)), "{again:?}");
    std::fs::write(std::env::var(REPORT).unwrap(), confirmed).unwrap();
}

/// Whether a session of this application holds the log's lock and waits for its client.
async fn is_caught(pool: &PgPool) -> bool {
    const CAUGHT: &str = "
        SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid)
        WHERE datname = current_database() AND application_name = 'colophon log' AND locktype = 'advisory'
            AND granted AND state = 'idle in transaction'";
    let row = sqlx::query(CAUGHT).fetch_one(pool).await.unwrap();
    row.get::<i64, _>(0) > 0
}

#[tokio::test]
async fn a_process_that_is_stopped_while_it_holds_the_lock_loses_both_in_time() {
    let Some(scratch) = Scratch::new().await else { return };
    let log = opened(&scratch.url).await;
    let pool = scratch.connect(1).await;
    let report = tempfile::NamedTempFile::new().unwrap();
    let variables = [(URL, scratch.url.clone()), (REPORT, report.path().to_str().unwrap().to_owned())];
    let path = "event_log::postgres::tests::lease::a_process_that_writes_until_it_is_deposed";
    let process = Process::run(path, &variables);
    timeout(DEADLINE, log.wait_past(Position(10))).await.unwrap().unwrap();
    let deadline = Instant::now() + DEADLINE;
    let stopped_at = loop {
        process.signal("STOP");
        let stopped_at = Instant::now();
        // What was sent before has been done by then: a statement takes less.
        tokio::time::sleep(Duration::from_millis(50)).await;
        if is_caught(&pool).await {
            break stopped_at;
        }
        process.signal("CONT");
        assert!(Instant::now() < deadline, "it never stood still while it held the lock");
        tokio::time::sleep(Duration::from_millis(3)).await;
    };
    let (epoch, _stop) = take(&scratch.url, 2).await;
    let new = log.writing_under(NAME, epoch);
    assert!(matches!(
        new.append(vec![append("second", 0, vec![decision(1 << 40, 1)])]).await.unwrap()[..],
        [Verdict::Appended { .. }]
    ));
    let taken_over = stopped_at.elapsed();
    assert!(taken_over < TAKEN_OVER_WITHIN, "{taken_over:?}");
    process.signal("CONT");
    process.end(DEADLINE).await;
    let confirmed = std::fs::read_to_string(report.path()).unwrap().lines().count();
    let events = log.read_all(Position(0), 1_000_000).await.unwrap();
    assert_eq!(events.len(), confirmed + 1, "what was confirmed is there, and what was not is not");
    assert_eq!(events.last().unwrap().stream.as_str(), "second");
}
