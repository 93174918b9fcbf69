//! Two processes of twelve writers each, while sessions are killed, connections cut and transactions slow or rolled back:
//! nothing is skipped, doubled or out of order, and what was acknowledged is there.

use super::child::Process;
use super::proxy::{Cut, Proxy};
use super::*;
use crate::event_log::{CommandId, EventId};
use book::{Book, Fate};
use futures_util::future::join_all;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use tokio_util::sync::CancellationToken;

mod book;
mod disturbance;
mod readers;
mod writers;

/// How many events are appended, at least; the short form without it.
const EVENTS: &str = "TORTURE_EVENTS";
const EVENTS_IN_SHORT: usize = 8_000;

const PROCESSES: u8 = 2;

/// Sessions beside the writers whose transactions are slow, or rolled back.
const DISTURBERS: u8 = 2;

/// How often connections are cut.
const CUTS: Cut = Cut::Anywhere { chunks: 600, commits: 30 };

#[expect(clippy::print_stdout, reason = "the figures are what the long form is run for")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_skipped_doubled_or_out_of_order() {
    let Some(scratch) = Scratch::new().await else { return };
    let events: usize = std::env::var(EVENTS).map_or(EVENTS_IN_SHORT, |events| events.parse().unwrap());
    let started = Instant::now();
    let log = opened(&scratch.url).await;
    let proxy = Proxy::before(&scratch.url).await;
    proxy.cut(Some(CUTS));
    let (over, end) = (CancellationToken::new(), tokio::sync::watch::Sender::new(None));
    let (killed, slow, read, mut books) = tokio::join!(
        disturbance::kill(&scratch, over.clone()),
        join_all((0..DISTURBERS).map(|n| disturbance::slow_and_rolled_back(&scratch.url, n, over.clone()))),
        readers::follow(&scratch, end.subscribe()),
        async {
            let books = write(&proxy.url, events / usize::from(PROCESSES)).await;
            over.cancel();
            // Nobody writes any more, and the lock is free.
            tokio::time::sleep(Duration::from_millis(100)).await;
            end.send_replace(Some(log.head().await.unwrap()));
            books
        },
    );
    let cuts = *proxy.cuts().borrow();
    books.extend(slow);
    let all = everything(&log).await;
    let elapsed = started.elapsed();
    for (reader, ids) in read {
        assert!(ids == all.iter().map(|event| event.envelope.id).collect::<Vec<_>>(), "{reader} saw something else");
    }
    let summary = compare(&all, &books);
    println!(
        "{} events by {} writers in {PROCESSES} processes in {elapsed:.1?}: {summary}; {killed} sessions killed, {cuts} \
         connections cut; 0 skipped, 0 doubled, 0 out of order for 3 readers",
        all.len(),
        usize::from(PROCESSES) * writers::WRITERS,
    );
    assert!(all.len() >= events && killed > 0 && cuts > 0);
}

/// Lets processes of their own write, and gives what they wrote down.
async fn write(url: &str, events: usize) -> Vec<Book> {
    let directory = tempfile::tempdir().unwrap();
    let path = |process: u8| directory.path().join(process.to_string());
    let processes: Vec<_> =
        (0..PROCESSES).map(|process| writers::start(url, process, events, &path(process))).collect();
    let within = Duration::from_secs(60) + Duration::from_millis(20) * u32::try_from(events).unwrap();
    for process in processes {
        process.end(within).await;
    }
    (0..PROCESSES).map(|process| Book::read(&path(process))).collect()
}

/// The whole log, verified from its first event on.
async fn everything(log: &PostgresLog) -> Vec<RecordedEvent> {
    let (mut all, mut chain) = (Vec::new(), crate::event_log::seal::Chain::default());
    loop {
        let page = log.read_all(chain.position(), 1_000).await.unwrap();
        if page.is_empty() {
            return all;
        }
        for event in &page {
            chain.follow(event).unwrap();
        }
        all.extend(page);
    }
}

/// Holds what is in the log against what its writers were told.
fn compare(all: &[RecordedEvent], books: &[Book]) -> String {
    let mut found: HashMap<CommandId, Vec<&RecordedEvent>> = HashMap::new();
    let mut ids = HashSet::new();
    for event in all {
        assert!(ids.insert(event.envelope.id), "{event:?} is there twice");
        found.entry(event.envelope.command_id).or_default().push(event);
    }
    let mut count: HashMap<Fate, usize> = HashMap::new();
    let mut known = HashSet::new();
    for (command, entry) in books.iter().flat_map(|book| &book.entries) {
        *count.entry(entry.fate).or_default() += 1;
        known.insert(*command);
        let there = found.get(command).map_or(&[][..], Vec::as_slice);
        let is_whole = there.len() == entry.events as usize;
        let as_told = match entry.fate {
            Fate::Acknowledged => is_whole,
            Fate::Unknown => is_whole || there.is_empty(),
            Fate::RolledBack => there.is_empty(),
        };
        assert!(as_told, "{command:?} {entry:?}: {there:?}");
        for (n, event) in (0..).zip(there) {
            assert_eq!(event.envelope.id, EventId::of(*command, n), "the events of a command are in order");
            assert_eq!(event.position.0, there[0].position.0 + u64::from(n), "and side by side");
            assert_eq!(event.stream.as_str(), entry.stream);
            if let Some(revision) = entry.last_revision {
                let last = revision - u64::from(entry.events) + 1 + u64::from(n);
                assert_eq!(event.revision.0, last, "{command:?} is where its verdict said");
            }
        }
    }
    assert!(found.keys().all(|command| known.contains(command)), "nothing is there that nobody sent");
    let of = |fate| count.get(&fate).copied().unwrap_or_default();
    let notes: Vec<_> = books.iter().flat_map(|book| &book.notes).map(String::as_str).collect();
    format!(
        "{} commands acknowledged, {} given up without an answer, {} rolled back; {}",
        of(Fate::Acknowledged),
        of(Fate::Unknown),
        of(Fate::RolledBack),
        notes.join(", ")
    )
}
