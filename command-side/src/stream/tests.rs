//! Reading streams with snapshots: the same as without, whatever the snapshots are.

use super::*;
use crate::commands::Lane;
use domain::book::BookId;
use domain::order::OrderId;
use domain::stock::{self, Copies, Delta, Location, Reason, Stock};
use domain::{Command, State};
use platform::event_log::fault::FaultyLog;
use platform::event_log::memory::MemoryLog;
use platform::event_log::{Append, BodyHash, CommandId, Decision, LogId};
use platform::snapshot_store::Snapshot;
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

const LOG: LogId = LogId(Uuid::from_u128(1));

struct Shelf {
    directory: TempDir,
    log: Arc<FaultyLog>,
    store: Arc<SnapshotStore>,
}

impl Shelf {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = SnapshotStore::open(&directory.path().join("snapshots"), LOG).await.unwrap();
        let log = Arc::new(FaultyLog::new(Arc::new(MemoryLog::new(LOG))));
        Self { directory, log, store: Arc::new(store) }
    }

    /// A stock to which the commands happened, as far as it took them.
    async fn of(commands: &[stock::Command]) -> Self {
        let shelf = Self::new().await;
        let (mut state, mut revision) = (State::Stock(Stock::default()), 0);
        for (id, command) in (1..).zip(commands) {
            let Ok(events) = domain::decide(&state, Command::Stock(command.clone())) else { continue };
            state = events.iter().fold(state, domain::evolve);
            shelf.append(id, revision, &events).await;
            revision += events.len() as u64;
        }
        shelf
    }

    async fn append(&self, id: u128, expected: u64, events: &[Event]) {
        let request = request(id);
        let decision = Decision { command_id: request.id, events: encode(&request, events, Timestamp(0)) };
        let append = Append { stream: name(), expected: Revision(expected), decisions: vec![decision] };
        self.log.append(vec![append]).await.unwrap();
    }

    fn without(&self) -> Streams {
        Streams { log: Arc::clone(&self.log) as Arc<dyn EventLog>, snapshots: None }
    }

    fn with(&self) -> Streams {
        Streams { snapshots: Some(Arc::clone(&self.store)), ..self.without() }
    }

    async fn events(&self) -> Vec<RecordedEvent> {
        self.log.read_stream(&name(), Revision(0), usize::MAX).await.unwrap()
    }

    /// Keeps a snapshot as of an event, and answers with it.
    async fn keep(&self, event: &RecordedEvent) -> Snapshot {
        let then = self.without().recall(event).await.unwrap();
        snapshot::take(self.log.as_ref(), &self.store, &name(), &then.loaded).await;
        self.store.load(&name()).await.unwrap()
    }
}

fn name() -> StreamId {
    StreamId::new(&schemas::stream::stock(BookId::from(Uuid::from_u128(7)), &Location::main()))
}

fn request(id: u128) -> Request {
    Request {
        id: CommandId(Uuid::from_u128(id << 32)),
        body_hash: BodyHash([0; 32]),
        stream: name(),
        if_match: None,
        lane: Lane::Customer,
        traceparent: String::new(),
        command: Command::Stock(adjust(1)),
    }
}

fn adjust(delta: i64) -> stock::Command {
    stock::Command::Adjust { delta: Delta::new(delta).unwrap(), reason: Reason::parse("test").unwrap() }
}

fn five() -> Vec<stock::Command> {
    (1..=5).map(adjust).collect()
}

fn command() -> impl Strategy<Value = stock::Command> {
    let order = || (0..4_u128).prop_map(|n| OrderId::from(Uuid::from_u128(n)));
    let copies = || (1..5_u64).prop_map(|copies| Copies::new(copies).unwrap());
    prop_oneof![
        (-9..20_i64).prop_filter("not 0", |delta| *delta != 0).prop_map(adjust),
        (0..40_u64, 0..30_u64)
            .prop_map(|(n, taken_at)| stock::Command::Count { on_hand: Copies::new(n).unwrap(), taken_at }),
        (order(), copies()).prop_map(|(order, copies)| stock::Command::Reserve { order, copies }),
        order().prop_map(|order| stock::Command::Commit { order }),
        order().prop_map(|order| stock::Command::Release { order }),
        (order(), copies()).prop_map(|(order, copies)| stock::Command::TakeBack { order, copies }),
    ]
}

/// What was read, and where its fold began.
fn told(read: Result<Read, LoadError>) -> (Loaded, Position, Revision) {
    let Read { loaded, last, begun_at } = read.unwrap();
    (loaded, last, begun_at)
}

async fn same_with_and_without(commands: &[stock::Command], place: usize) {
    let shelf = Shelf::of(commands).await;
    let events = shelf.events().await;
    let Some(event) = events.get(place % events.len().max(1)) else { return };
    shelf.keep(event).await;
    let (loaded, last, _) = told(shelf.without().load(&name()).await);
    assert_eq!(told(shelf.with().load(&name()).await), (loaded, last, event.revision));
    for first in &events {
        let (loaded, last, _) = told(shelf.without().recall(first).await);
        let begun_at = if event.revision < first.revision { event.revision } else { Revision(0) };
        assert_eq!(told(shelf.with().recall(first).await), (loaded, last, begun_at));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_and_what_follows_tell_what_all_events_do(commands in vec(command(), 1..60), place: usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(same_with_and_without(&commands, place));
    }
}

#[tokio::test]
async fn a_snapshot_that_does_not_fit_is_not_used() {
    let shelf = Shelf::of(&five()).await;
    let events = shelf.events().await;
    let right = shelf.keep(&events[2]).await;
    let expected = told(shelf.without().load(&name()).await);
    assert_eq!(told(shelf.with().load(&name()).await).2, Revision(3), "this one fits");
    let last = shelf.keep(&events[4]).await;
    for (wrong, what) in [
        (Snapshot { fold_version: right.fold_version + 1, ..right.clone() }, "of another fold"),
        (Snapshot { fold_version: right.fold_version - 1, ..right.clone() }, "of an older fold"),
        (Snapshot { checksum: right.checksum + 1, ..right.clone() }, "after an event with another checksum"),
        (Snapshot { position: Position(4), ..right.clone() }, "after an event that lies elsewhere"),
        (Snapshot { revision: Revision(2), ..right.clone() }, "after another event"),
        (Snapshot { revision: Revision(6), ..last.clone() }, "ahead of the log"),
        (Snapshot { revision: Revision(0), ..right.clone() }, "after no event"),
        (Snapshot { state: b"{}".to_vec(), ..right.clone() }, "that is no state"),
    ] {
        shelf.store.save(&wrong).await.unwrap();
        assert_eq!(told(shelf.with().load(&name()).await), expected, "a snapshot {what}");
    }
}

#[tokio::test]
async fn a_snapshot_of_another_log_is_not_used() {
    let shelf = Shelf::of(&five()).await;
    let expected = told(shelf.without().load(&name()).await);
    let (events, path) = (shelf.events().await, shelf.directory.path().join("snapshots"));
    let kept = shelf.keep(&events[2]).await;
    let foreign = SnapshotStore::open(&path, LogId(Uuid::from_u128(2))).await.unwrap();
    foreign.save(&kept).await.unwrap();
    assert_eq!(told(shelf.with().load(&name()).await), expected);
}

#[tokio::test]
async fn snapshots_of_what_stays_short_are_neither_kept_nor_used() {
    let shelf = Shelf::of(&five()).await;
    let stream = StreamId::new(&schemas::stream::book(BookId::from(Uuid::from_u128(7))));
    let read = shelf.with().load(&stream).await.unwrap();
    snapshot::take(shelf.log.as_ref(), &shelf.store, &stream, &read.loaded).await;
    assert_eq!(shelf.store.load(&stream).await, None);
    let of_a_stock = shelf.keep(&shelf.events().await[2]).await;
    shelf.store.save(&Snapshot { stream: stream.clone(), ..of_a_stock }).await.unwrap();
    assert_eq!(told(shelf.with().load(&stream).await), told(Ok(read)));
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_an_error_whatever_snapshots_say() {
    let shelf = Shelf::of(&five()).await;
    let events = shelf.events().await;
    shelf.keep(&events[2]).await;
    shelf.log.fail_reads(true);
    assert!(matches!(shelf.with().load(&name()).await, Err(LoadError::Log(_))));
}
