//! What stands in the writers' way: slow transactions, rollbacks, and a server that ends sessions.

use super::super::writer::judge_and_write;
use super::book::Entry;
use super::*;
use crate::seam::Timestamp;

/// Between two sessions that are killed: events, so that a slow machine comes to an end too.
const KILL_EVERY: u64 = 80;

/// Ends a session of the log now and then, often the one that is about to commit; says how many.
pub(super) async fn kill(scratch: &Scratch, over: CancellationToken) -> usize {
    const KILL: &str = "
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'colophon log'
        ORDER BY EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = pg_stat_activity.pid AND locktype = 'advisory' AND granted)
            AND random() < 0.5 DESC, random() LIMIT 1";
    let pool = scratch.connect(1).await;
    let (mut killed, mut next) = (0, KILL_EVERY);
    while over.run_until_cancelled(tokio::time::sleep(Duration::from_millis(10))).await.is_some() {
        let head = rows::head(&mut pool.acquire().await.unwrap()).await.unwrap();
        if head.0 >= next {
            killed += sqlx::query(KILL).fetch_all(&pool).await.unwrap().len();
            next = head.0 + KILL_EVERY;
        }
    }
    killed
}

/// Holds the log's lock for longer than others, and then takes back every other batch.
pub(super) async fn slow_and_rolled_back(url: &str, name: u8, over: CancellationToken) -> Book {
    let (seam, _) = Seam::seeded(u64::from(name), Timestamp(0));
    let server = Server::at(url).unwrap();
    let mut writer = Writer::new(server);
    let (mut book, mut commands, mut revision) = (Book::default(), 0_u128, 0);
    let stream = format!("slow-{name}");
    while !over.is_cancelled() {
        commands += 1;
        let command = decision((1_000 + u128::from(name)) << 64 | commands, 2);
        let (command_id, mut entry) = (
            command.command_id,
            Entry { stream: stream.clone(), events: 2, fate: Fate::RolledBack, last_revision: None },
        );
        let thrown = u64::from(seam.chance.bytes()[0]);
        let Ok(mut transaction) = writer.begin(Right::Alone).await else { continue };
        let judged = judge_and_write(&mut transaction, vec![append(&stream, revision, vec![command])]).await;
        tokio::time::sleep(Duration::from_millis(1 + thrown % 6)).await;
        let (Ok(judged), true) = (judged, thrown >= 128) else {
            if thrown >= 64 {
                let _ = sqlx::raw_sql("ROLLBACK").execute(&mut transaction).await;
            }
            book.entries.insert(command_id, entry);
            continue;
        };
        match &judged.verdicts[..] {
            [Verdict::Appended { revision: reached, .. }] => {
                let committed = sqlx::raw_sql("COMMIT").execute(&mut transaction).await;
                entry.fate = if committed.is_ok() { Fate::Acknowledged } else { Fate::Unknown };
                if committed.is_ok() {
                    (revision, entry.last_revision) = (reached.0, Some(reached.0));
                }
            }
            // What was not answered took place.
            _ => revision += 2,
        }
        book.entries.insert(command_id, entry);
    }
    book
}
