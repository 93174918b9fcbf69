//! A process of writers: each with a log of its own, on streams of its own and on some that all write to.

use super::book::Entry;
use super::*;
use crate::event_log::{Append, Decision};
use crate::seam::Timestamp;
use crate::telemetry;

/// Writers of a process.
pub(super) const WRITERS: usize = 12;

/// What tells the process what to do.
const URL: &str = "TORTURE_URL";
const PROCESS: &str = "TORTURE_PROCESS";
const SHARE: &str = "TORTURE_SHARE";
const REPORT: &str = "TORTURE_REPORT";

/// Starts a process that appends at least so many events and writes its book to a file.
pub(super) fn start(url: &str, process: u8, events: usize, report: &Path) -> Process {
    let variables = [
        (URL, url.to_owned()),
        (PROCESS, process.to_string()),
        (SHARE, events.to_string()),
        (REPORT, report.to_str().unwrap().to_owned()),
    ];
    Process::run("event_log::postgres::tests::torture::writers::a_process_of_writers", &variables)
}

/// Not a test by itself: what [`start`] starts.
#[tokio::test]
async fn a_process_of_writers() {
    let Ok(url) = std::env::var(URL) else { return };
    let variable = |name| std::env::var(name).unwrap();
    let metrics = telemetry::install_metrics().unwrap();
    let process: u64 = variable(PROCESS).parse().unwrap();
    let share = variable(SHARE).parse::<usize>().unwrap().div_ceil(WRITERS);
    let books = join_all((0..WRITERS as u64).map(|n| Writing::begin(&url, process * 100 + n, share))).await;
    let mut book = Book::default();
    for written in books {
        book.extend(written);
    }
    let counted = metrics.render();
    let counted = counted
        .lines()
        .filter(|line| line.starts_with("log_commits_total") || line.starts_with("log_settlements_total"));
    book.notes.extend(counted.map(str::to_owned));
    book.write(Path::new(&variable(REPORT)));
}

/// One writer.
struct Writing {
    log: PostgresLog,
    name: u64,
    seam: Seam,
    commands: u128,
    revisions: HashMap<String, u64>,
    book: Book,
    written: usize,
}

impl Writing {
    async fn begin(url: &str, name: u64, share: usize) -> Book {
        let log = loop {
            // The connection may be cut already.
            if let Ok(log) = PostgresLog::open(url, &Seam::system()).await {
                break log.writing_alone();
            }
        };
        let (seam, _) = Seam::seeded(name, Timestamp(0));
        let (revisions, book) = (HashMap::new(), Book::default());
        let mut writing = Self { log, name, seam, commands: 0, revisions, book, written: 0 };
        while writing.written < share {
            let batch = writing.batch();
            writing.send(batch).await;
        }
        writing.book
    }

    fn throw(&self, sides: u128) -> u128 {
        u128::from_ne_bytes(self.seam.chance.bytes()) % sides
    }

    /// Up to three streams, up to a dozen commands for each.
    fn batch(&mut self) -> Vec<Append> {
        let own = format!("own-{}-{}", self.name, self.throw(5));
        let mut streams = vec![own, format!("hot-{}", self.throw(4)), format!("hot-{}", 4 + self.throw(4))];
        streams.truncate(1 + usize::try_from(self.throw(8)).unwrap() / 3);
        streams.iter().map(|stream| append(stream, 0, self.decisions())).collect()
    }

    fn decisions(&mut self) -> Vec<Decision> {
        let count = self.throw(12);
        let decide = |_| {
            self.commands += 1;
            let command = (u128::from(self.name) + 1) << 64 | self.commands;
            decision(command, u32::try_from(self.throw(4)).unwrap())
        };
        (0..=count).map(decide).collect()
    }

    /// Sends a batch until each of its appends is in the log or given up.
    async fn send(&mut self, mut batch: Vec<Append>) {
        let mut may_be_there = false;
        while !batch.is_empty() {
            for append in &mut batch {
                append.expected = Revision(self.revisions.get(append.stream.as_str()).copied().unwrap_or_default());
            }
            match self.log.append(batch.clone()).await {
                Ok(verdicts) => batch = self.take(batch, verdicts, may_be_there).await,
                Err(LogError::Unavailable(_)) if self.throw(3) == 0 => {
                    for append in batch.drain(..) {
                        self.note(&append, Fate::Unknown, None);
                        self.reload(&append.stream).await;
                    }
                }
                Err(LogError::Unavailable(_)) => may_be_there = true,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// What is to be sent again.
    async fn take(&mut self, batch: Vec<Append>, verdicts: Vec<Verdict>, may_be_there: bool) -> Vec<Append> {
        let mut again = Vec::new();
        for (append, verdict) in batch.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Appended { revision, position } => {
                    self.revisions.insert(append.stream.to_string(), revision.0);
                    self.note(&append, Fate::Acknowledged, Some(revision.0));
                    if self.throw(4) == 0 {
                        let head = self.log.head().await;
                        assert!(!head.is_ok_and(|head| head < position), "what was acknowledged can be read");
                    }
                }
                Verdict::Conflict => {
                    self.reload(&append.stream).await;
                    again.push(append);
                }
                Verdict::Repeated { first } => {
                    let is_own =
                        append.decisions.iter().any(|decision| decision.command_id == first.envelope.command_id);
                    assert!(may_be_there && is_own, "{first:?} was not sent before: {append:?}");
                    self.reload(&append.stream).await;
                    self.note(&append, Fate::Acknowledged, None);
                }
            }
        }
        again
    }

    fn note(&mut self, append: &Append, fate: Fate, revision: Option<u64>) {
        let mut last_revision = revision;
        for decision in append.decisions.iter().rev() {
            let events = u32::try_from(decision.events.len()).unwrap();
            let entry = Entry { stream: append.stream.to_string(), events, fate, last_revision };
            assert!(self.book.entries.insert(decision.command_id, entry).is_none());
            last_revision = last_revision.map(|revision| revision - u64::from(events));
            self.written += if fate == Fate::Acknowledged { decision.events.len() } else { 0 };
        }
    }

    async fn reload(&mut self, stream: &StreamId) {
        let known = self.revisions.entry(stream.to_string()).or_default();
        loop {
            match self.log.read_stream(stream, Revision(*known), 1_000).await {
                Ok(events) if events.is_empty() => return,
                Ok(events) => *known = events.last().unwrap().revision.0,
                Err(LogError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}
