//! Readers of a log that is written to meanwhile, each by its own way.

use super::*;
use crate::event_log::{EventId, Position};
use sqlx::Row;
use tokio::sync::watch;

/// The ids that each reader saw, in the order it saw them, until all have come to the end.
pub(super) async fn follow(
    scratch: &Scratch,
    end: watch::Receiver<Option<Position>>,
) -> [(&'static str, Vec<EventId>); 3] {
    let (waiting, polling) = (opened(&scratch.url).await, opened(&scratch.url).await);
    let (waited, polled, selected) =
        tokio::join!(wait(&waiting, end.clone()), poll(&polling, end.clone()), select(scratch, end),);
    [("whoever waited", waited), ("whoever polled", polled), ("whoever read the table", selected)]
}

fn is_over(end: &watch::Receiver<Option<Position>>, seen: usize) -> bool {
    end.borrow().is_some_and(|end| seen as u64 >= end.0)
}

/// Takes in a page; sessions are killed, so that one may be missing.
fn take(seen: &mut Vec<EventId>, page: Result<Vec<RecordedEvent>, LogError>) {
    match page {
        Ok(page) => seen.extend(page.iter().map(|event| event.envelope.id)),
        Err(LogError::Unavailable(_)) => {}
        Err(error) => panic!("after {}: {error}", seen.len()),
    }
}

async fn wait(log: &PostgresLog, end: watch::Receiver<Option<Position>>) -> Vec<EventId> {
    let mut seen = Vec::new();
    while !is_over(&end, seen.len()) {
        let after = Position(seen.len() as u64);
        if let Ok(head) = timeout(Duration::from_millis(500), log.wait_past(after)).await {
            let head = head.unwrap();
            let page = log.read_all(after, 1_000).await;
            let whole = page.as_ref().map_or(true, |page| page.len() as u64 >= (head.0 - after.0).min(1_000));
            assert!(whole, "what was announced can be read");
            take(&mut seen, page);
        }
    }
    seen
}

async fn poll(log: &PostgresLog, end: watch::Receiver<Option<Position>>) -> Vec<EventId> {
    let mut seen = Vec::new();
    while !is_over(&end, seen.len()) {
        let page = log.read_all(Position(seen.len() as u64), 500).await;
        take(&mut seen, page);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    seen
}

/// Trusts in nothing but that positions grow: this is who would skip what is committed late.
async fn select(scratch: &Scratch, end: watch::Receiver<Option<Position>>) -> Vec<EventId> {
    const AFTER: &str = "SELECT position, id FROM events WHERE position > $1 ORDER BY position LIMIT 500";
    let pool = scratch.connect(1).await;
    let (mut seen, mut last) = (Vec::new(), 0_i64);
    while end.borrow().is_none_or(|end| last.cast_unsigned() < end.0) {
        for row in sqlx::query(AFTER).bind(last).fetch_all(&pool).await.unwrap() {
            last = row.get(0);
            seen.push(EventId(row.get(1)));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    seen
}
