//! The purchase saga, ended before and after each of its commands, on the real log and the real read store.

use command_side::commands::{Answer, Commands, Lane, Loaded, Request, Unavailable};
use command_side::dispatcher::{Dispatcher, Settings};
use domain::Command;
use domain::book::description::{Authors, Description, Language, Subjects, Title};
use domain::book::isbn::Isbn;
use domain::book::{self, BookId, Listing};
use domain::money::{Currency, Money};
use domain::order::lines::{Lines, Quantity, Wanted};
use domain::order::settlement::{Outcome, PaymentId};
use domain::order::{self, CancellationReason, CustomerId, OrderId, Placement};
use domain::stock::{self, Delta, Location, Reason};
use domain::timestamp::Timestamp;
use futures_util::future::{BoxFuture, FutureExt};
use platform::bus::log_tail::Recent;
use platform::event_log::sqlite::SqliteLog;
use platform::event_log::{EventLog, Position, RecordedEvent, Revision, StreamId};
use platform::read_store::ReadStore;
use platform::seam::Seam;
use platform::view_store::Source;
use projections::projector;
use projections::purchase::Purchases;
use projections::rebuild::{Rebuild, Then};
use projections::view::table;
use reactors::agenda::Agenda;
use reactors::purchase::Saga;
use schemas::views::Row;
use schemas::views::purchase::PurchaseRow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const ORDER: Uuid = Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef);

/// Passes so many of the saga's commands on; the one after them is the last thing that the process does, or does not.
struct Failpoint {
    commands: Arc<dyn Commands>,
    left: AtomicU32,
    /// How many there were.
    calls: Arc<AtomicU32>,
    after: bool,
    dead: CancellationToken,
}

impl Commands for Failpoint {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Answer, Unavailable>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        async move {
            let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if left.is_ok() {
                return self.commands.send(request).await;
            }
            if self.after && !self.dead.is_cancelled() {
                self.commands.send(request).await?;
            }
            self.dead.cancel();
            std::future::pending().await
        }
        .boxed()
    }

    fn peek(&self, lane: Lane, streams: Vec<StreamId>) -> BoxFuture<'_, Result<Vec<Loaded>, Unavailable>> {
        self.commands.peek(lane, streams)
    }

    fn follow(&self, stream: StreamId, after: Revision) -> BoxFuture<'_, Result<Answer, Unavailable>> {
        self.commands.follow(stream, after)
    }
}

/// A process on a directory, from its start to its end.
struct Life {
    log: Arc<SqliteLog>,
    store: Arc<ReadStore>,
    commands: Arc<dyn Commands>,
    /// How many commands the saga has sent.
    calls: Arc<AtomicU32>,
    seam: Seam,
    dead: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Life {
    async fn begin(directory: &Path, commands_left: u32, after: bool) -> Self {
        let (seam, stop, dead) = (Seam::system(), CancellationToken::new(), CancellationToken::new());
        let log = Arc::new(SqliteLog::open(&directory.join("log.sqlite"), &seam).await.unwrap());
        let engine: Arc<dyn EventLog> = Arc::clone(&log) as Arc<dyn EventLog>;
        let head = log.head().await.unwrap();
        let source = Source { log: log.id(), head, partitions: 1 };
        let store = ReadStore::open(&directory.join("views.sqlite"), &[table::<Purchases>()], source).await;
        let store = Arc::new(store.unwrap());
        let (dispatcher, deciding) =
            Dispatcher::start(Arc::clone(&engine), seam.clone(), Settings::default(), stop.clone());
        let commands: Arc<dyn Commands> = Arc::new(dispatcher);
        let generations = store.generations(PurchaseRow::NAME);
        let calls = Arc::new(AtomicU32::new(0));
        let failpoint = Failpoint {
            calls: Arc::clone(&calls),
            commands: Arc::clone(&commands),
            left: AtomicU32::new(commands_left),
            after,
            dead: dead.clone(),
        };
        let saga =
            Saga { commands: Arc::new(failpoint), agenda: Arc::clone(&store) as Arc<dyn Agenda>, seam: seam.clone() };
        let source = projector::Source { deliveries: Recent::of(Arc::clone(&engine)), log: engine };
        let tasks = vec![
            tokio::spawn(async move { deciding.await.unwrap().unwrap() }),
            tokio::spawn(projector::run(&Purchases, generations, source, stop.clone())),
            tokio::spawn(saga.run(head, stop)),
        ];
        Self { log, store, commands, calls, seam, dead, tasks }
    }

    async fn send(&self, stream: String, command: Command) {
        let request = Request::unkeyed(StreamId::new(&stream), command, &self.seam);
        self.commands.send(request).await.unwrap().outcome.unwrap();
    }

    async fn to_order(&self, command: order::Command) {
        self.send(schemas::stream::order(ORDER.into()), Command::Order(command)).await;
    }

    /// Until nothing is due, as far as the log goes.
    async fn quiet(&self) {
        let quiet = async {
            loop {
                let (due, seen) = self.store.first(1).await.unwrap();
                let waits = due.iter().all(|due| due.at.0 > self.seam.clock.now().0);
                if waits && seen == self.log.head().await.unwrap() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), quiet).await.expect("the saga comes to rest");
    }

    /// Until the process died, or nothing is due; whether it died. Then it is ended, wherever it is.
    async fn end(self) -> bool {
        let died = tokio::select! {
            () = self.dead.cancelled() => true,
            () = self.quiet() => false,
        };
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
        died
    }
}

fn cny(amount: u64) -> Money {
    Money::new(amount, Currency::parse("CNY").unwrap()).unwrap()
}

fn listing(isbn: &str) -> Listing {
    let description = Description {
        title: Title::parse("A title").unwrap(),
        authors: Authors::parse(&["A name"]).unwrap(),
        language: Language::parse("en").unwrap(),
        subjects: Subjects::default(),
        published_on: None,
        edition: None,
        format: None,
    };
    Listing { isbn: Isbn::parse(isbn).unwrap(), description, price: Some(cny(10)) }
}

/// Two copies of each of two books, of the second of which there are so many.
async fn stock_up(life: &Life, of_second: i64) -> Placement {
    let listings = ["9780306406157", "9780140328721"].map(listing);
    let quantity = Quantity::new(2).unwrap();
    for (listing, copies) in listings.iter().zip([5, of_second]) {
        let id = BookId::of(&listing.isbn);
        life.send(schemas::stream::book(id), Command::Book(book::Command::Register(listing.clone()))).await;
        let (delta, reason) = (Delta::new(copies).unwrap(), Reason::parse("test").unwrap());
        let stock = schemas::stream::stock(id, &Location::main());
        life.send(stock, Command::Stock(stock::Command::Adjust { delta, reason })).await;
    }
    let books = listings.map(|listing| (BookId::of(&listing.isbn), book::Book::Listed(listing)));
    let wanted = books.each_ref().map(|(id, book)| Wanted { id: *id, book, revision: 1, quantity });
    let lines = Lines::of(&wanted).unwrap();
    Placement { customer: CustomerId(Uuid::from_u128(1)), lines, pay_by: Timestamp(i64::MAX) }
}

/// Ends the process at the `n`-th command of every life; whether any life was long enough for that.
async fn ended_at(n: u32, after: bool, of_second: i64, acts: &[order::Command], ends: &[&str]) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let life = Life::begin(directory.path(), u32::MAX, after).await;
    let placement = stock_up(&life, of_second).await;
    life.end().await;
    let place = [order::Command::Place(placement)];
    let mut died = false;
    for act in place.iter().chain(acts) {
        let life = Life::begin(directory.path(), n, after).await;
        life.to_order(act.clone()).await;
        died |= life.end().await;
    }
    let life = Life::begin(directory.path(), u32::MAX, after).await;
    let log = Arc::clone(&life.log);
    life.end().await;
    let events: Vec<RecordedEvent> = log.read_all(Position(0), usize::MAX).await.unwrap();
    let orders = crate::simulation::checker::add_up(&events);
    let status = orders[&OrderId::from(ORDER).to_string()].status.as_str();
    assert!(ends.contains(&status), "ended at command {n}, after it: {after}: {status}");
    died
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_that_is_cut_off_anywhere_comes_to_its_end() {
    let pay =
        order::Command::RecordPayment { payment: PaymentId::parse("a").unwrap(), outcome: Outcome::Succeeded(cny(40)) };
    let fail = order::Command::RecordPayment { payment: PaymentId::parse("a").unwrap(), outcome: Outcome::Failed };
    let cancel = order::Command::Cancel { reason: CancellationReason::Other };
    for (of_second, acts, ends) in [
        (5, vec![pay.clone()], &["paid"] as &[&str]),
        // Whoever cancels before the stocks have answered cancels an order whose payment is only kept.
        (5, vec![pay.clone(), cancel.clone()], &["refunded", "cancelled"]),
        (5, vec![cancel], &["cancelled"]),
        (5, vec![fail], &["payment_failed"]),
        (1, vec![], &["rejected"]),
    ] {
        for after in [false, true] {
            let mut commands = 0;
            while ended_at(commands, after, of_second, &acts, ends).await {
                commands += 1;
            }
            assert!(commands >= 3, "a purchase takes at least three commands");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn building_what_the_saga_looks_at_anew_has_it_do_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let life = Life::begin(directory.path(), u32::MAX, false).await;
    let placement = stock_up(&life, 5).await;
    life.to_order(order::Command::Place(placement)).await;
    life.quiet().await;
    let (calls, head) = (life.calls.load(Ordering::SeqCst), life.log.head().await.unwrap());
    assert!(calls >= 2, "the saga asked both stocks");

    // Every purchase is due again, in every generation, while it is folded from its first event on.
    let generations = life.store.generations(PurchaseRow::NAME);
    let (tell, mut told) = tokio::sync::mpsc::channel(16);
    let listening = tokio::spawn(async move { while told.recv().await.is_some() {} });
    let log = Arc::clone(&life.log) as Arc<dyn EventLog>;
    let rebuild = Rebuild { view: &Purchases, generations, log, tell };
    for _ in 0..5 {
        assert!(rebuild.run(Then::SwitchIfEqual).await.unwrap().switched);
        rebuild.roll_back().await.unwrap();
        life.quiet().await;
    }
    drop(rebuild);
    listening.await.unwrap();
    assert_eq!((life.calls.load(Ordering::SeqCst), life.log.head().await.unwrap()), (calls, head));

    // The saga has not gone deaf over it.
    let payment = PaymentId::parse("a").unwrap();
    life.to_order(order::Command::RecordPayment { payment, outcome: Outcome::Succeeded(cny(40)) }).await;
    life.quiet().await;
    assert!(life.calls.load(Ordering::SeqCst) > calls);
    life.end().await;
}
