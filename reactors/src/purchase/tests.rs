//! Two runners that drive the same orders at once, over commands that take their time: it ends as with one.

use super::*;
use command_side::dispatcher::{Dispatcher, Settings};
use domain::book::description::Title;
use domain::money::{Currency, Money};
use domain::order::holds::Holds;
use domain::order::lines::{Line, Lines, Quantity};
use domain::order::settlement::{Outcome, PaymentId};
use domain::order::{CancellationReason, CustomerId, Placement, Status};
use domain::stock::{Copies, Delta, Reason};
use domain::timestamp::Timestamp;
use futures_util::future::FutureExt;
use platform::event_log::memory::MemoryLog;
use platform::event_log::{EventLog, LogId, Revision};
use std::collections::BTreeMap;
use uuid::Uuid;

const BOOKS: u128 = 3;
const ORDERS: u128 = 6;

/// Commands that are on their way for a while, there and back.
struct Slow {
    writer: Dispatcher,
    seam: Seam,
}

impl Slow {
    async fn travel(&self) {
        let [first, second, ..] = self.seam.chance.bytes();
        sleep(Duration::from_millis(u64::from(first % 8) * u64::from(second % 8))).await;
    }
}

impl Commands for Slow {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Answer, Unavailable>> {
        async move {
            self.travel().await;
            let answer = self.writer.send(request).await;
            self.travel().await;
            answer
        }
        .boxed()
    }

    fn peek(&self, lane: Lane, streams: Vec<StreamId>) -> BoxFuture<'_, Result<Vec<Loaded>, Unavailable>> {
        async move {
            let found = self.writer.peek(lane, streams).await;
            self.travel().await;
            found
        }
        .boxed()
    }

    fn follow(&self, stream: StreamId, after: Revision) -> BoxFuture<'_, Result<Answer, Unavailable>> {
        self.writer.follow(stream, after)
    }
}

struct World {
    log: Arc<MemoryLog>,
    slow: Arc<Slow>,
    seam: Seam,
}

fn book(n: u128) -> BookId {
    BookId::from(Uuid::from_u128(n))
}

fn stock_of(book: BookId) -> StreamId {
    StreamId::new(&schemas::stream::stock(book, &Location::main()))
}

fn order_id(n: u128) -> OrderId {
    OrderId::from(Uuid::from_u128(n << 64))
}

impl World {
    fn new(seed: u64) -> Self {
        let log = Arc::new(MemoryLog::new(LogId(Uuid::from_u128(1))));
        let seam = Seam::seeded(seed, platform::seam::Timestamp(0)).0;
        let stop = CancellationToken::new();
        let (writer, _) =
            Dispatcher::start(Arc::clone(&log) as Arc<dyn EventLog>, seam.clone(), Settings::default(), stop);
        let slow = Arc::new(Slow { writer, seam: seam.clone() });
        Self { log, slow, seam }
    }

    fn below(&self, most: u128) -> u128 {
        u128::from_le_bytes(self.seam.chance.bytes()) % most
    }

    async fn send(&self, stream: StreamId, command: Command) -> Answer {
        self.slow.send(Request::unkeyed(stream, command, &self.seam)).await.unwrap()
    }

    async fn adjust(&self, book: BookId, delta: i64) {
        let reason = Reason::parse("test").unwrap();
        let command = stock::Command::Adjust { delta: Delta::new(delta).unwrap(), reason };
        // Copies that are not there cannot go.
        let _ = self.send(stock_of(book), Command::Stock(command)).await;
    }

    async fn tell(&self, id: OrderId, command: order::Command) {
        let _ = self.send(StreamId::new(&schemas::stream::order(id)), Command::Order(command)).await;
    }

    /// A customer who orders, and may pay, and may change his mind.
    async fn buy(&self, id: OrderId) {
        let line = |n| Line {
            book: book(n),
            book_revision: 1,
            title: Title::parse("Plain").unwrap(),
            unit_price: Money::new(100, Currency::parse("CNY").unwrap()).unwrap(),
            quantity: Quantity::new(1 + u64::try_from(self.below(2)).unwrap()).unwrap(),
        };
        let lines = Lines::recorded((0..BOOKS).map(line).collect()).unwrap();
        let outcome = Outcome::Succeeded(lines.total());
        let placement = Placement { customer: CustomerId(Uuid::nil()), lines, pay_by: Timestamp(i64::MAX) };
        self.tell(id, order::Command::Place(placement)).await;
        sleep(Duration::from_millis(self.below(200) as u64)).await;
        if self.below(2) == 0 {
            let payment = PaymentId::parse("payment").unwrap();
            self.tell(id, order::Command::RecordPayment { payment, outcome }).await;
        }
        if self.below(2) == 0 {
            sleep(Duration::from_millis(self.below(200) as u64)).await;
            self.tell(id, order::Command::Cancel { reason: CancellationReason::ChangedMind }).await;
        }
    }

    /// A runner that looks at an order again and again.
    async fn run(&self, id: OrderId) {
        for _ in 0..20 {
            sleep(Duration::from_millis(self.below(50) as u64)).await;
            match steps(self.slow.as_ref(), &self.seam, id).await {
                Ok(_) | Err(Stuck::NoOrder) => {}
                Err(stuck) => panic!("{id}: {stuck}"),
            }
        }
    }

    async fn peek(&self, stream: StreamId) -> Arc<State> {
        self.slow.writer.peek(Lane::System, vec![stream]).await.unwrap().remove(0).state
    }

    /// Every hold is an order's that waits for its payment, and what left the stocks is what the paid orders have.
    async fn check(&self, seed: u64) -> BTreeMap<String, u32> {
        let mut ended: BTreeMap<String, u32> = BTreeMap::new();
        for n in 0..BOOKS {
            let State::Stock(stock) = &*self.peek(stock_of(book(n))).await else { panic!("not a stock") };
            for m in 1..=ORDERS {
                let stream = StreamId::new(&schemas::stream::order(order_id(m)));
                let State::Order(order) = &*self.peek(stream).await else { panic!("not an order") };
                let placed = order.placed().unwrap();
                let waits = placed.status == Status::AwaitingPayment;
                let expected = waits.then(|| Copies::new(placed.placement.lines.copies_of(book(n))).unwrap());
                assert_eq!(stock.hold(order_id(m)), expected, "seed {seed}: {:?}", placed.status);
                assert_eq!(purchase::next(order), None, "seed {seed}: {:?}", placed.status);
                if let Holds::Held { except } = &placed.holds {
                    assert!(except.is_empty(), "seed {seed}: who waits for his payment holds all");
                }
            }
        }
        let events = self.log.read_all(Position(0), usize::MAX).await.unwrap();
        for m in 1..=ORDERS {
            let stream = schemas::stream::order(order_id(m));
            let own: Vec<_> = events.iter().filter(|event| event.stream.as_str() == stream).collect();
            for answer in ["OrderStockCommitted", "OrderStockReleased", "OrderPaid"] {
                let count = own.iter().filter(|event| event.envelope.event_type == answer).count();
                assert!(count <= 1, "seed {seed}: {answer} is there {count} times");
                *ended.entry(answer.to_owned()).or_default() += count as u32;
            }
            let reserved = ["OrderStockReserved", "OrderStockRefused"];
            let count = own.iter().filter(|event| reserved.contains(&event.envelope.event_type.as_str())).count();
            assert_eq!(count, 1, "seed {seed}: the stocks answered {count} times");
        }
        ended
    }
}

async fn simulate(seed: u64) -> BTreeMap<String, u32> {
    let world = World::new(seed);
    for n in 0..BOOKS {
        world.adjust(book(n), 1 + world.below(6) as i64).await;
    }
    let staff = async {
        for _ in 0..12 {
            sleep(Duration::from_millis(world.below(60) as u64)).await;
            let delta = if world.below(3) == 0 { -1 } else { 2 };
            world.adjust(book(world.below(BOOKS)), delta).await;
        }
    };
    let buyers = (1..=ORDERS).map(|n| world.buy(order_id(n)));
    let runners = (1..=ORDERS).flat_map(|n| [world.run(order_id(n)), world.run(order_id(n))]);
    tokio::join!(staff, join_all(buyers), join_all(runners));
    for n in 1..=ORDERS {
        world.run(order_id(n)).await;
    }
    world.check(seed).await
}

#[test]
fn two_runners_end_as_one_does() {
    let mut ended: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..200 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        for (what, count) in runtime.block_on(simulate(seed)) {
            *ended.entry(what).or_default() += count;
        }
    }
    assert!(ended.values().all(|count| *count > 50), "the seeds have some of each: {ended:?}");
}
