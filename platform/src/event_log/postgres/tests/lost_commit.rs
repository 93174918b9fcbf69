//! Commits whose answer is lost: the engine finds out by itself what became of them.

use super::proxy::{Cut, Proxy};
use super::*;

/// Makes each commit to the log take so long that whoever does not wait for its end looks too early.
const SLOW_COMMITS: &str = "
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION slow()";

/// A log that is reached through a proxy, and one that is reached directly.
async fn through_proxy(scratch: &Scratch) -> (Proxy, PostgresLog, PostgresLog) {
    let direct = four_events(scratch).await;
    let proxy = Proxy::before(&scratch.url).await;
    let log = opened(&proxy.url).await.writing_alone();
    assert_eq!(log.append(vec![append("c", 0, vec![decision(3, 0)])]).await.unwrap(), [appended(0, 4)]);
    (proxy, log, direct)
}

fn batch() -> Vec<Append> {
    vec![
        append("c", 0, vec![decision(4, 2)]),
        append("b", 7, vec![decision(5, 1)]),
        append("d", 0, vec![decision(6, 0)]),
    ]
}

#[tokio::test]
async fn a_commit_that_took_place_stands() {
    for cut in [Cut::AfterCommit, Cut::DuringCommit] {
        let Some(scratch) = Scratch::new().await else { return };
        let (proxy, log, direct) = through_proxy(&scratch).await;
        sqlx::raw_sql(SLOW_COMMITS).execute(&scratch.connect(1).await).await.unwrap();
        proxy.cut(Some(cut));
        let verdicts = log.append(batch()).await.unwrap();
        assert_eq!(verdicts, [appended(2, 6), Verdict::Conflict, appended(0, 6)], "{cut:?}");
        assert_eq!(direct.read_all(Position(4), 10).await.unwrap().len(), 2, "{cut:?}");
        assert_eq!(log.append(vec![append("c", 2, vec![decision(7, 1)])]).await.unwrap(), [appended(3, 7)]);
    }
}

#[tokio::test]
async fn a_commit_that_did_not_take_place_is_told() {
    let Some(scratch) = Scratch::new().await else { return };
    let (proxy, log, direct) = through_proxy(&scratch).await;
    proxy.cut(Some(Cut::BeforeCommit));
    let failed = log.append(batch()).await;
    assert!(matches!(&failed, Err(LogError::Unavailable(why)) if why.contains("before the commit")), "{failed:?}");
    assert_eq!(direct.read_all(Position(4), 10).await.unwrap(), []);
    assert_eq!(log.append(batch()).await.unwrap(), [appended(2, 6), Verdict::Conflict, appended(0, 6)]);
}

#[tokio::test]
async fn the_same_command_taken_elsewhere_meanwhile_is_no_commit_of_this_batch() {
    let Some(scratch) = Scratch::new().await else { return };
    let (proxy, log, direct) = through_proxy(&scratch).await;
    proxy.cut(Some(Cut::Dead));
    let mut cuts = proxy.cuts();
    let (failed, ()) = tokio::join!(log.append(batch()), async {
        timeout(DEADLINE, cuts.wait_for(|cuts| *cuts > 0)).await.unwrap().unwrap();
        // As soon as the lost transaction has given up the lock.
        direct.append(vec![append("x", 0, vec![decision(8, 1)])]).await.unwrap();
        direct.append(vec![append("c", 0, vec![decision(4, 2)])]).await.unwrap();
        proxy.cut(None);
    });
    assert!(matches!(&failed, Err(LogError::Unavailable(_))), "{failed:?}");
    let verdicts = log.append(batch()).await.unwrap();
    assert_eq!(verdicts[0], Verdict::Conflict, "what was taken elsewhere is not confirmed as if it were this");
}

#[tokio::test]
async fn a_server_that_stays_away_fails_the_batch_within_a_bound_and_the_next_one_goes_on() {
    let Some(scratch) = Scratch::new().await else { return };
    let (proxy, log, direct) = through_proxy(&scratch).await;
    proxy.cut(Some(Cut::Dead));
    let started = Instant::now();
    let failed = log.append(batch()).await;
    assert!(matches!(&failed, Err(LogError::Unavailable(why)) if why.contains("not to be known")), "{failed:?}");
    assert!(started.elapsed() < DEADLINE);
    proxy.cut(None);
    assert_eq!(log.append(batch()).await.unwrap(), [appended(2, 6), Verdict::Conflict, appended(0, 6)]);
    assert_eq!(direct.read_all(Position(4), 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_verdict_without_events_needs_no_commit() {
    let Some(scratch) = Scratch::new().await else { return };
    let (proxy, log, _) = through_proxy(&scratch).await;
    proxy.cut(Some(Cut::BeforeCommit));
    let refusals = vec![append("a", 3, vec![decision(7, 0)]), append("b", 0, vec![decision(8, 0)])];
    assert_eq!(log.append(refusals).await.unwrap(), [appended(3, 4), Verdict::Conflict]);
}

#[tokio::test]
async fn a_session_that_ended_while_nobody_used_it_is_replaced() {
    let Some(scratch) = Scratch::new().await else { return };
    let log = four_events(&scratch).await;
    let pool = scratch.connect(1).await;
    for n in 0..5_u8 {
        terminate(&pool, "true").await;
        let batch = vec![append("c", u64::from(n), vec![decision(10 + u128::from(n), 1)])];
        assert_eq!(log.append(batch).await.unwrap(), [appended(u64::from(n) + 1, u64::from(n) + 5)]);
    }
}
