//! Histories for tests: a log that is filled by commands, the views that are built from it, and what a plain fold makes of it.

use crate::any_view::AnyView;
use crate::book::Books;
use crate::projector;
use crate::rebuild::{Progress, Rebuild};
use crate::search::{self, Search};
use crate::stock::{Stock, StockLedger};
use crate::view::{Fact, View, table};
use crate::worker::Worker;
use domain::Command;
use domain::book::description::{Authors, Changes, Description, Language, Subjects, Title};
use domain::book::isbn::Isbn;
use domain::book::{self, BookId, Listing};
use domain::money::{Currency, Money};
use domain::stock::{self as stocks, Copies, Delta, Location, Reason};
use platform::bus::log_tail::Recent;
use platform::event_log::memory::MemoryLog;
use platform::event_log::{
    Append, BodyHash, CommandId, Decision, Envelope, EventId, EventLog, LogId, NewEvent, Position, RecordedEvent,
    Revision, StreamId,
};
use platform::read_store::{Access, ReadStore, Table};
use platform::seam::Timestamp;
use platform::search_index::SearchIndexes;
use platform::view_store::{self, Generations, Key, SetAside, Source, Stage, ViewStore, compare_keys};
use schemas::views::Row;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const ISBNS: [&str; 5] = ["9780306406157", "9780140328721", "9780439023481", "9781491950357", "9780262033848"];

/// How long a condition may take to come true.
const DEADLINE: Duration = Duration::from_mins(2);

/// A log that is filled by deciding commands, as the dispatcher does it, without its haste.
pub struct History {
    pub log: Arc<MemoryLog>,
    commands: u128,
    /// What each stream's aggregate is, and its revision.
    pub states: BTreeMap<String, (domain::State, u64)>,
}

impl History {
    pub fn new() -> Self {
        Self { log: Arc::new(MemoryLog::new(LogId(Uuid::from_u128(1)))), commands: 0, states: BTreeMap::new() }
    }

    pub async fn decide(&mut self, stream: &str, command: Command) {
        let (state, _) = self.state(stream);
        // A refusal leaves nothing behind.
        let events = domain::decide(state, command).unwrap_or_default();
        for event in &events {
            let (state, revision) = self.states.remove(stream).unwrap();
            self.states.insert(stream.to_owned(), (domain::evolve(state, event), revision + 1));
            let encoded = schemas::events::encode(event);
            self.append(stream, encoded.event_type, encoded.version, encoded.data, self.states[stream].1 - 1).await;
        }
    }

    /// Appends an event that nobody can read; what comes after it is decided as if it were not there.
    pub async fn poison(&mut self, stream: &str) {
        let (_, revision) = self.state(stream);
        *revision += 1;
        let expected = *revision - 1;
        self.append(stream, "BookRepriced", 99, b"{}".to_vec(), expected).await;
    }

    fn state(&mut self, stream: &str) -> &mut (domain::State, u64) {
        let empty = || (schemas::stream::empty(&schemas::stream::parse(stream).unwrap()), 0);
        self.states.entry(stream.to_owned()).or_insert_with(empty)
    }

    pub async fn append(&mut self, stream: &str, event_type: &str, version: u16, data: Vec<u8>, expected: u64) {
        self.commands += 1;
        let command_id = CommandId(Uuid::from_u128(self.commands));
        let envelope = Envelope {
            id: EventId::of(command_id, 0),
            command_id,
            body_hash: BodyHash([0; 32]),
            event_type: event_type.to_owned(),
            version,
            recorded_at: Timestamp(i64::try_from(self.commands).unwrap()),
            traceparent: String::new(),
        };
        let decisions = vec![Decision { command_id, events: vec![NewEvent { envelope, data: data.into() }] }];
        let append = Append { stream: StreamId::new(stream), expected: Revision(expected), decisions };
        self.log.append(vec![append]).await.unwrap();
    }

    pub async fn events(&self) -> Vec<RecordedEvent> {
        self.log.read_all(Position(0), usize::MAX).await.unwrap()
    }
}

fn listing(isbn: &str) -> Listing {
    Listing {
        isbn: Isbn::parse(isbn).unwrap(),
        description: Description {
            title: Title::parse("A title").unwrap(),
            authors: Authors::parse(&["A name"]).unwrap(),
            language: Language::parse("en").unwrap(),
            subjects: Subjects::default(),
            published_on: None,
            edition: None,
            format: None,
        },
        price: None,
    }
}

pub fn book_id(place: usize) -> BookId {
    BookId::of(&Isbn::parse(ISBNS[place]).unwrap())
}

pub fn book_stream(place: usize) -> String {
    schemas::stream::book(book_id(place))
}

pub fn stock_stream(place: usize) -> String {
    schemas::stream::stock(book_id(place), &Location::main())
}

/// Does the `what`-th thing to the `place`-th book or its stock.
pub async fn happen(history: &mut History, place: usize, what: u32, n: u64) {
    let book = |command| (book_stream(place), Command::Book(command));
    let stock = |command| (stock_stream(place), Command::Stock(command));
    let order = || domain::order::OrderId::from(Uuid::from_u128(u128::from(n % 4)));
    let (stream, command) = match what {
        0 => book(book::Command::Register(listing(ISBNS[place]))),
        1 => book(book::Command::Revise(Changes {
            title: Some(Title::parse(&format!("title {n}")).unwrap()),
            ..Changes::default()
        })),
        2 => book(book::Command::Revise(Changes {
            price: Some(Some(Money::new(n, Currency::parse("CNY").unwrap()).unwrap())),
            ..Changes::default()
        })),
        3 => book(book::Command::Retire),
        4 => stock(stocks::Command::Adjust {
            delta: Delta::new(i64::try_from(n).unwrap() + 1).unwrap(),
            reason: Reason::parse("delivery").unwrap(),
        }),
        5 => stock(stocks::Command::Reserve { order: order(), copies: Copies::new(n % 3 + 1).unwrap() }),
        6 => stock(stocks::Command::Commit { order: order() }),
        _ => stock(stocks::Command::Release { order: order() }),
    };
    history.decide(&stream, command).await;
}

/// Five books, each registered, revised and retired, and copies of each.
pub async fn some_history() -> History {
    let mut history = History::new();
    for what in [0, 4, 1, 5, 2, 6, 3] {
        for place in 0..ISBNS.len() {
            happen(&mut history, place, what, 7).await;
        }
    }
    history
}

/// Five books in the catalogue, and copies of each.
pub async fn catalogue() -> History {
    let mut history = History::new();
    for what in [0, 4, 1, 2] {
        for place in 0..ISBNS.len() {
            happen(&mut history, place, what, 7).await;
        }
    }
    history
}

/// Goes on with a history until it is stopped: books are revised and priced, copies delivered.
pub fn keep_happening(mut history: History, stop: CancellationToken) -> JoinHandle<History> {
    tokio::spawn(async move {
        for n in 0.. {
            if stop.is_cancelled() {
                break;
            }
            for place in 0..ISBNS.len() {
                happen(&mut history, place, [1, 4, 2][n as usize % 3], n % 20).await;
            }
            // So much load, and no more.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        history
    })
}

/// The rows as a plain fold makes them, without what is set aside.
pub fn folded<V: View>(events: &[RecordedEvent], set_aside: &SetAside) -> Vec<(Key, V::Row)> {
    let mut rows: BTreeMap<String, (Key, V::Row)> = BTreeMap::new();
    for recorded in events {
        let stream = recorded.stream.as_str();
        let Some(owner) = schemas::stream::parse(stream).filter(V::takes) else { continue };
        let waits = set_aside.parked.get(stream).is_some_and(|parked| parked.revision <= recorded.revision.0);
        if waits || set_aside.skips(stream, recorded.revision) {
            continue;
        }
        let Envelope { event_type, version, .. } = &recorded.envelope;
        let event = schemas::events::decode(event_type, *version, &recorded.data).unwrap();
        let skipped = set_aside.skipped.get(stream).map_or(&[][..], Vec::as_slice);
        let fact = Fact { owner: &owner, event: &event, recorded, partition: 0, skipped };
        for key in V::keys(&fact) {
            let name = serde_json::to_string(&key).unwrap();
            let row = rows.remove(&name).map(|(_, row)| row);
            if let Some(row) = V::evolve(row, &key, &fact).unwrap() {
                rows.insert(name, (key, row));
            }
        }
    }
    let mut rows: Vec<_> = rows.into_values().collect();
    rows.sort_by(|(one, _), (other, _)| compare_keys(one, other));
    rows
}

pub type Rows = Vec<(Key, Value)>;

fn values<V: View>(events: &[RecordedEvent], set_aside: &SetAside) -> Rows {
    let value = |(key, row)| (key, serde_json::to_value::<V::Row>(row).unwrap());
    folded::<V>(events, set_aside).into_iter().map(value).collect()
}

/// The stores of four views in a directory.
pub struct Stores {
    pub tables: Arc<ReadStore>,
    pub indexes: Arc<SearchIndexes>,
    stop: CancellationToken,
    keeping: JoinHandle<()>,
}

impl Stores {
    pub async fn open(directory: &Path, history: &History) -> Self {
        let tables = ReadStore::open(&directory.join("views"), &Self::tables(), Self::source(history)).await;
        Self::of(tables.unwrap(), directory, history)
    }

    /// With the tables in a database, which other processes have too.
    pub async fn open_postgres(directory: &Path, url: &str, history: &History) -> Self {
        let access = Access::Builder(history.log.as_ref());
        let tables = ReadStore::open_postgres(url, &Self::tables(), Self::source(history), access).await;
        Self::of(tables.unwrap(), directory, history)
    }

    fn tables() -> [Table; 3] {
        [table::<Books>(), table::<Stock>(), table::<StockLedger>()]
    }

    fn source(history: &History) -> Source {
        Source { log: history.log.id(), head: Position(1_000_000), partitions: 1 }
    }

    fn of(tables: ReadStore, directory: &Path, history: &History) -> Self {
        let (tables, source) = (Arc::new(tables), Self::source(history));
        let indexes = Arc::new(SearchIndexes::open(&directory.join("search"), &search::LAYOUT, source).unwrap());
        let stop = CancellationToken::new();
        let keeping = tokio::spawn(Arc::clone(&indexes).keep(stop.clone()));
        Self { tables, indexes, stop, keeping }
    }

    /// Lets go of the files, so that they can be opened again.
    pub async fn close(self) {
        self.stop.cancel();
        self.keeping.await.unwrap();
    }

    pub fn views(&self, history: &History) -> [Viewed; 4] {
        [self.table::<Books>(&Books, history), self.table::<Stock>(&Stock, history), self.ledger(history), {
            let generations = Arc::clone(&self.indexes) as Arc<dyn Generations>;
            Viewed { view: &Search, generations, log: Arc::clone(&history.log), reference: values::<Search> }
        }]
    }

    pub fn ledger(&self, history: &History) -> Viewed {
        self.table::<StockLedger>(&StockLedger, history)
    }

    fn table<V: View>(&self, view: &'static dyn AnyView, history: &History) -> Viewed {
        let generations = self.tables.generations(V::Row::NAME);
        Viewed { view, generations, log: Arc::clone(&history.log), reference: values::<V> }
    }
}

/// A view, its generations, and what is right.
#[derive(Clone)]
pub struct Viewed {
    pub view: &'static dyn AnyView,
    pub generations: Arc<dyn Generations>,
    pub log: Arc<MemoryLog>,
    pub reference: fn(&[RecordedEvent], &SetAside) -> Rows,
}

impl Viewed {
    pub fn live(&self) -> Arc<dyn ViewStore> {
        self.generations.live_generation().store
    }

    pub fn stages(&self) -> Vec<(u32, Stage)> {
        self.generations.all().borrow().iter().map(|generation| (generation.number, generation.stage)).collect()
    }

    pub async fn position(&self) -> Position {
        view_store::position(&self.live().checkpoints().await.unwrap())
    }

    /// Takes the log to its end into the live generation, at once.
    pub async fn catch_up(&self) {
        let head = self.log.head().await.unwrap();
        let mut worker = Worker::open(self.view, self.live()).await.unwrap();
        let to = worker.everywhere(head);
        while worker.advance(self.log.as_ref(), &to).await.unwrap().is_some() {}
    }

    /// A rebuild of it that tells how it goes.
    pub fn rebuild(&self, tell: mpsc::Sender<Progress>) -> Rebuild {
        let (generations, log) = (Arc::clone(&self.generations), Arc::clone(&self.log) as Arc<dyn EventLog>);
        Rebuild { view: self.view, generations, log, tell }
    }

    /// Feeds all generations, as a process does it.
    pub fn feed(&self) -> Feeding {
        let stop = CancellationToken::new();
        let log = Arc::clone(&self.log) as Arc<dyn EventLog>;
        let source = projector::Source { deliveries: Recent::of(Arc::clone(&log)), log };
        let feeding = tokio::spawn(projector::run(self.view, Arc::clone(&self.generations), source, stop.clone()));
        Feeding { stop, feeding }
    }

    /// Waits until all generations have come to the log's end.
    pub async fn level(&self) {
        let head = self.log.head().await.unwrap();
        let all = self.generations.all().borrow().clone();
        for generation in all {
            let store = generation.store;
            until(async || view_store::position(&store.checkpoints().await.unwrap()) >= head).await;
        }
    }

    /// All rows of a generation, in the order of their keys.
    pub async fn rows(&self, number: u32) -> Rows {
        self.generations.freeze(number).await.unwrap().rows(None, 1_000_000).await.unwrap()
    }

    pub async fn live_rows(&self) -> Rows {
        self.rows(self.generations.live_generation().number).await
    }

    /// The rows as they should be at the log's end.
    pub async fn expected(&self) -> Rows {
        let events = self.log.read_all(Position(0), usize::MAX).await.unwrap();
        (self.reference)(&events, &self.live().set_aside())
    }
}

/// A view that is being fed.
pub struct Feeding {
    stop: CancellationToken,
    feeding: JoinHandle<()>,
}

impl Feeding {
    pub async fn end(self) {
        self.stop.cancel();
        self.feeding.await.unwrap();
    }
}

/// Waits for a condition.
pub async fn until(condition: impl AsyncFn() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(DEADLINE, met).await.expect("the condition comes true");
}
