//! The Postgres engine: conformance, several processes on one log, and what it does not take for an event.

use super::*;
use crate::event_log::conformance::{self, append, decision};
use crate::event_log::sqlite::SqliteLog;
use crate::event_log::sqlite::reader::SqliteLogReader;
use crate::postgres::scratch::Scratch;
use sqlx::AssertSqlSafe;
use tokio::sync::watch;
use tokio::time::Instant;

mod child;
mod lease;
mod lost_commit;
mod proxy;
mod torture;

/// Long enough for whatever is waited for.
const DEADLINE: Duration = Duration::from_secs(20);

async fn opened(url: &str) -> PostgresLog {
    PostgresLog::open(url, &Seam::system()).await.unwrap()
}

fn appended(revision: u64, position: u64) -> Verdict {
    Verdict::Appended { revision: Revision(revision), position: Position(position) }
}

/// A log of three events of one stream and one of another.
async fn four_events(scratch: &Scratch) -> PostgresLog {
    let log = opened(&scratch.url).await.writing_alone();
    let batch = vec![append("a", 0, vec![decision(1, 3)]), append("b", 0, vec![decision(2, 1)])];
    assert_eq!(log.append(batch).await.unwrap(), [appended(3, 3), appended(1, 4)]);
    log
}

#[tokio::test]
async fn conforms() {
    if Scratch::new().await.is_none() {
        return;
    }
    conformance::run(async |_: &str| {
        let scratch = Scratch::new().await.unwrap();
        Arc::new(opened(&scratch.url).await.writing_alone()) as Arc<dyn EventLog>
    })
    .await;
}

#[tokio::test]
async fn of_many_that_open_at_once_one_makes_the_log() {
    let Some(scratch) = Scratch::new().await else { return };
    let logs = futures_util::future::join_all((0..12).map(|_| opened(&scratch.url))).await;
    let id = logs[0].id();
    assert!(logs.iter().all(|log| log.id() == id));
    logs[3].writing_alone().append(vec![append("a", 0, vec![decision(1, 1)])]).await.unwrap();
    assert_eq!(opened(&scratch.url).await.id(), id);
    for log in logs {
        assert_eq!(log.head().await.unwrap(), Position(1));
    }
}

#[tokio::test]
async fn a_handle_without_a_right_only_reads() {
    let Some(scratch) = Scratch::new().await else { return };
    let log = opened(&scratch.url).await;
    let refused = log.append(vec![append("a", 0, vec![decision(1, 1)])]).await.unwrap_err();
    assert!(matches!(&refused, LogError::Unavailable(why) if why.contains("no right to append")), "{refused:?}");
    assert_eq!(log.read_all(Position(0), 10).await.unwrap(), []);
}

#[tokio::test]
async fn two_that_write_in_turns_know_of_each_other() {
    let Some(scratch) = Scratch::new().await else { return };
    let (one, other) = (four_events(&scratch).await, opened(&scratch.url).await.writing_alone());
    // To another stream: both events are there, in one order.
    assert_eq!(other.append(vec![append("c", 0, vec![decision(3, 1)])]).await.unwrap(), [appended(1, 5)]);
    assert_eq!(one.append(vec![append("d", 0, vec![decision(4, 1)])]).await.unwrap(), [appended(1, 6)]);
    // To the same stream: what was decided without knowing the other's event is in conflict, also without events.
    assert_eq!(other.append(vec![append("a", 3, vec![decision(5, 1)])]).await.unwrap(), [appended(4, 7)]);
    assert_eq!(one.append(vec![append("a", 3, vec![decision(6, 1)])]).await.unwrap(), [Verdict::Conflict]);
    assert_eq!(one.append(vec![append("a", 3, vec![decision(7, 0)])]).await.unwrap(), [Verdict::Conflict]);
    // What was decided knowing it fits; a command that the other took is a repeat.
    assert_eq!(one.append(vec![append("a", 4, vec![decision(8, 1)])]).await.unwrap(), [appended(5, 8)]);
    let batch = vec![append("b", 1, vec![decision(5, 1)]), append("e", 0, vec![decision(9, 1)])];
    let verdicts = one.append(batch).await.unwrap();
    assert!(matches!(&verdicts[0], Verdict::Repeated { first } if first.position == Position(7)), "{verdicts:?}");
    assert_eq!(verdicts[1], appended(1, 9));
    assert_eq!(other.read_all(Position(0), 100).await.unwrap().len(), 9);
}

#[tokio::test]
async fn what_another_process_appends_is_heard_of_also_when_the_server_hangs_up() {
    let Some(scratch) = Scratch::new().await else { return };
    let (writer, reader) = (four_events(&scratch).await, opened(&scratch.url).await);
    let hear = async |position: u64| {
        let waited = timeout(DEADLINE, reader.wait_past(Position(position - 1))).await;
        assert_eq!(waited.unwrap().unwrap(), Position(position));
    };
    tokio::join!(hear(5), async { writer.append(vec![append("c", 0, vec![decision(3, 1)])]).await.unwrap() });
    let pool = scratch.connect(1).await;
    for n in 0..3_u8 {
        terminate(&pool, "true").await;
        let batch = vec![append("c", u64::from(n) + 1, vec![decision(10 + u128::from(n), 1)])];
        tokio::join!(hear(6 + u64::from(n)), async { writer.append(batch).await.unwrap() });
    }
}

#[tokio::test]
async fn each_way_to_hear_of_an_append_is_enough_by_itself() {
    let Some(scratch) = Scratch::new().await else { return };
    let log = four_events(&scratch).await;
    let (server, readers) = (log.shared.server.clone(), log.shared.readers.clone());
    let (told, seen) = (watch::Sender::new(Position(0)), watch::Sender::new(Position(0)));
    let (mut hearing, mut seeing) = (told.subscribe(), seen.subscribe());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(tail::listen(server, told));
    tasks.spawn(tail::look(readers, seen));
    for n in 0..4 {
        for (way, announced) in [("told", &mut hearing), ("seen", &mut seeing)] {
            let heard = timeout(DEADLINE, announced.wait_for(|head| head.0 == 4 + n)).await;
            assert!(heard.is_ok(), "{way}: {n}");
        }
        log.append(vec![append("c", n, vec![decision(10 + u128::from(n), 1)])]).await.unwrap();
    }
}

/// Ends the log's sessions for which the condition is true.
async fn terminate(pool: &PgPool, condition: &'static str) {
    let statement = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'colophon log' AND {condition}"
    );
    sqlx::query(AssertSqlSafe(statement)).execute(pool).await.unwrap();
}

#[tokio::test]
async fn a_record_that_was_tampered_with_is_never_served() {
    for (tampering, read_all, read_stream) in [
        ("UPDATE events SET data = '\\x7b7d' WHERE position = 2", true, true),
        ("UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 2", true, true),
        ("UPDATE events SET checksum = checksum + 1 WHERE position = 2", true, true),
        ("UPDATE events SET stream = 'b', revision = 2 WHERE position = 2", true, true),
        ("UPDATE events SET body_hash = '\\x00' WHERE position = 2", true, true),
        ("UPDATE events SET version = 70000 WHERE position = 2", true, true),
        ("DELETE FROM events WHERE position = 2", true, true),
        ("DELETE FROM events WHERE position = 4; UPDATE events SET position = 4 WHERE position = 3", true, true),
        ("UPDATE events SET data = '\\x' WHERE position = 4", true, false),
    ] {
        let Some(scratch) = Scratch::new().await else { return };
        let log = four_events(&scratch).await;
        sqlx::raw_sql(tampering).execute(&scratch.connect(1).await).await.unwrap();
        let all = log.read_all(Position(0), 10).await;
        assert_eq!(matches!(all, Err(LogError::Damaged { .. })), read_all, "{tampering}: {all:?}");
        let stream = log.read_stream(&StreamId::new("a"), Revision(0), 10).await;
        assert_eq!(matches!(stream, Err(LogError::Damaged { .. })), read_stream, "{tampering}: {stream:?}");
    }
}

#[tokio::test]
async fn nothing_follows_on_a_record_that_was_tampered_with() {
    let Some(scratch) = Scratch::new().await else { return };
    let log = four_events(&scratch).await;
    let altered = sqlx::raw_sql("UPDATE events SET checksum = checksum + 1 WHERE position = 3");
    altered.execute(&scratch.connect(1).await).await.unwrap();
    let refused = log.append(vec![append("a", 3, vec![decision(3, 1)])]).await;
    assert!(matches!(refused, Err(LogError::Damaged { position: 3, .. })), "{refused:?}");
    // Other streams go on: one bad record is no reason to close the shop.
    assert_eq!(log.append(vec![append("b", 1, vec![decision(4, 1)])]).await.unwrap(), [appended(2, 5)]);
}

#[tokio::test]
async fn an_append_that_nobody_waits_for_is_carried_through() {
    let Some(scratch) = Scratch::new().await else { return };
    let log = opened(&scratch.url).await.writing_alone();
    let writer = log.shared.writer.lock().await;
    let mut abandoned = log.append(vec![append("a", 0, vec![decision(1, 1)])]);
    assert!((&mut abandoned).now_or_never().is_none());
    drop(abandoned);
    drop(writer);
    assert_eq!(timeout(DEADLINE, log.wait_past(Position(0))).await.unwrap().unwrap(), Position(1));
}

#[tokio::test]
async fn commits_are_synchronous_whatever_the_database_is_set_to() {
    let Some(scratch) = Scratch::new().await else { return };
    let log = four_events(&scratch).await;
    let (_, name) = scratch.url.rsplit_once('/').unwrap();
    let statement = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&scratch.connect(1).await).await.unwrap();
    let mut writer = Writer::new(log.shared.server.clone());
    let mut transaction = writer.begin(Right::Alone).await.unwrap();
    let shown: String = sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&mut transaction).await.unwrap();
    assert_eq!(shown, "on");
}

#[tokio::test]
async fn it_counts_as_sqlite_does() {
    let Some(scratch) = Scratch::new().await else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.sqlite");
    let (sqlite, log) =
        (SqliteLog::open(&path, &Seam::system()).await.unwrap(), opened(&scratch.url).await.writing_alone());
    let compare = async || {
        let of_sqlite = SqliteLogReader::open(&path).await.unwrap().stats().await.unwrap();
        let of_postgres = log.stats().await.unwrap();
        assert!(of_postgres.file_bytes > 0);
        assert_eq!(Stats { file_bytes: of_sqlite.file_bytes, ..of_postgres.clone() }, of_sqlite);
        of_postgres
    };
    assert_eq!(compare().await.events, 0);
    let mut other = decision(9, 3);
    other.events[0].envelope.event_type = "Unmade".to_owned();
    other.events[1].envelope.version = u16::MAX;
    let batch = [("book-2", 1, 2), ("book-1", 2, 2), ("Book-1", 3, 5), ("single", 4, 1), ("order-7-1", 5, 1)]
        .map(|(stream, command, events)| append(stream, 0, vec![decision(command, events)]));
    for log in [&sqlite as &dyn EventLog, &log] {
        log.append(batch.to_vec()).await.unwrap();
        log.append(vec![append("book-10", 0, vec![other.clone()])]).await.unwrap();
    }
    assert_eq!(compare().await.categories.len(), 4);
}

#[tokio::test]
async fn a_closed_log_says_so() {
    let Some(scratch) = Scratch::new().await else { return };
    let log = four_events(&scratch).await;
    EventLog::close(&log).await;
    for failed in [log.append(vec![append("b", 1, vec![decision(4, 1)])]).await.err(), log.head().await.err()] {
        assert!(matches!(&failed, Some(LogError::Unavailable(why)) if why.contains("closed")), "{failed:?}");
    }
}

#[tokio::test]
async fn no_message_has_the_password() {
    for url in [
        "postgres://colophon:geheim@127.0.0.1:1/colophon",
        "postgres://colophon:geheim@127.0.0.1:port/colophon",
        "postgres://colophon:geheim@127.0.0.1:1/colophon?sslmode=geheimer",
        "colophon:geheim@127.0.0.1",
    ] {
        let error = PostgresLog::open(url, &Seam::system()).await.err().unwrap();
        let told = format!("{error} {error:?}");
        assert!(told.contains("cannot be opened") && !told.contains("geheim@"), "{told}");
    }
}
