//! The process under simulation, and the world around it that loses, doubles, delays and breaks things.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Request, StatusCode};
use command_side::commands::Commands;
use command_side::dispatcher::{Dispatcher, Settings};
use command_side::routes::{CommandApi, routes};
use domain::order::OrderId;
use futures_util::future::{BoxFuture, FutureExt};
use platform::bus::{Checkpoint, Delivery, Fit};
use platform::event_log::memory::MemoryLog;
use platform::event_log::{Append, EventLog, LogError, LogId, Position, RecordedEvent, Revision, StreamId, Verdict};
use platform::identity::{Principal, Reach};
use platform::seam::{Chance, Clock, Seam, Timestamp};
use platform::vault::memory::MemoryVault;
use platform::webhook::Secret;
use projections::purchase::Purchases;
use projections::view::{Fact, View};
use reactors::agenda::{Agenda, AgendaError, Due};
use reactors::purchase::Saga;
use schemas::views::purchase::PurchaseRow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

/// How long an order waits for its payment.
const HOLD: Duration = Duration::from_secs(5);

/// The secret of the payment provider.
pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A clock that goes with the runtime's.
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_795_588_200_000_000 + i64::try_from(self.0.elapsed().as_micros()).unwrap())
    }
}

/// Chance from the seed.
#[derive(Clone)]
pub(super) struct Dice(Arc<dyn Chance>);

impl Dice {
    pub(super) fn below(&self, most: u64) -> u64 {
        u64::from_le_bytes(*self.0.bytes().first_chunk().unwrap()) % most
    }

    /// True once in so many times.
    pub(super) fn once_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Lets some time pass, up to so many microseconds.
    pub(super) async fn pause(&self, most_us: u64) {
        sleep(Duration::from_micros(self.below(most_us))).await;
    }
}

/// A log whose commits take their time and fail: before they are there, or after.
struct SlowLog {
    log: MemoryLog,
    dice: Dice,
    war: Arc<AtomicBool>,
}

impl EventLog for SlowLog {
    fn id(&self) -> LogId {
        self.log.id()
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Vec<Verdict>, LogError>> {
        async move {
            self.dice.pause(3_000).await;
            let war = self.war.load(Ordering::SeqCst);
            let unavailable = || LogError::Unavailable("as the dice fell".to_owned());
            if war && self.dice.once_in(40) {
                return Err(unavailable());
            }
            let verdicts = self.log.append(batch).await?;
            self.dice.pause(2_000).await;
            if war && self.dice.once_in(40) { Err(unavailable()) } else { Ok(verdicts) }
        }
        .boxed()
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        let read = self.log.read_stream(stream, after, limit);
        async move {
            self.dice.pause(1_000).await;
            read.await
        }
        .boxed()
    }

    fn read_all(&self, after: Position, limit: usize) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        self.log.read_all(after, limit)
    }

    fn wait_past(&self, position: Position) -> BoxFuture<'_, Result<Position, LogError>> {
        self.log.wait_past(position)
    }

    fn import(&self, last: Position, pages: mpsc::Receiver<Vec<RecordedEvent>>) -> BoxFuture<'_, Result<(), LogError>> {
        self.log.import(last, pages)
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        self.log.head()
    }
}

/// The view of purchases in memory: the same fold, and the same rule of what fits, as in the store.
struct MemoryAgenda {
    rows: Mutex<BTreeMap<String, PurchaseRow>>,
    position: watch::Sender<Position>,
}

impl MemoryAgenda {
    fn take(&self, checkpoint: &mut Checkpoint, delivery: &Delivery) {
        if checkpoint.fit(delivery) != Fit::Next {
            return;
        }
        checkpoint.position = delivery.position;
        if let Some(recorded) = &delivery.event {
            let owner = schemas::stream::parse(recorded.stream.as_str()).unwrap();
            if Purchases::takes(&owner) {
                let envelope = &recorded.envelope;
                let event = schemas::events::decode(&envelope.event_type, envelope.version, &recorded.data).unwrap();
                let fact = Fact { owner: &owner, event: &event, recorded, partition: 0, skipped: &[] };
                let mut rows = self.rows.lock().unwrap();
                for key in Purchases::keys(&fact) {
                    let id = key[0].as_str().unwrap().to_owned();
                    let row = Purchases::evolve(rows.remove(&id), &key, &fact).unwrap();
                    rows.extend(row.map(|row| (id, row)));
                }
            }
        }
        self.position.send_replace(delivery.position);
    }
}

impl Agenda for MemoryAgenda {
    fn first(&self, limit: u32) -> BoxFuture<'_, Result<(Vec<Due>, Position), AgendaError>> {
        let mut due: Vec<_> = self.rows.lock().unwrap().values().cloned().collect();
        due.sort_by_key(|row| row.due_at);
        let order =
            |row: &PurchaseRow| Due { order: OrderId::from(Uuid::try_parse(&row.order_id).unwrap()), at: row.due_at() };
        let due = due.iter().take(limit as usize).map(order).collect();
        std::future::ready(Ok((due, *self.position.borrow()))).boxed()
    }

    fn reached(&self, position: Position) -> BoxFuture<'_, ()> {
        let mut positions = self.position.subscribe();
        async move {
            positions.wait_for(|reached| *reached >= position).await.unwrap();
        }
        .boxed()
    }
}

/// Delivers the log to the agenda: late, twice, out of order, or not at all until it is asked again.
async fn deliver(log: Arc<SlowLog>, agenda: Arc<MemoryAgenda>, dice: Dice) {
    let mut checkpoint = Checkpoint::start(log.id(), "purchases".to_owned(), 0);
    loop {
        log.wait_past(checkpoint.position).await.unwrap();
        dice.pause(2_000).await;
        let after = Position(checkpoint.position.0.saturating_sub(dice.below(3)));
        let events = log.read_all(after, 20).await.unwrap();
        let mut deliveries = Vec::new();
        let mut last = after;
        for event in events {
            let delivery =
                Delivery { log: log.id(), partition: 0, after: last, position: event.position, event: Some(event) };
            last = delivery.position;
            match log.war.load(Ordering::SeqCst).then(|| dice.below(12)) {
                Some(0) => continue,
                Some(1) => deliveries.insert(0, delivery),
                Some(2) => deliveries.extend([delivery.clone(), delivery]),
                _ => deliveries.push(delivery),
            }
        }
        for delivery in &deliveries {
            agenda.take(&mut checkpoint, delivery);
        }
    }
}

/// What a crash ends.
struct Process {
    api: Router,
    agenda: Arc<MemoryAgenda>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    requests: Vec<AbortHandle>,
}

/// What outlives a crash, and the process.
pub(super) struct World {
    log: Arc<SlowLog>,
    vault: Arc<MemoryVault>,
    pub(super) dice: Dice,
    pub(super) seam: Seam,
    process: Mutex<Option<Process>>,
}

impl World {
    pub(super) async fn new(seed: u64) -> Self {
        let (seeded, _) = Seam::seeded(seed, Timestamp(0));
        let dice = Dice(Seam::seeded(seed ^ 0x5eed, Timestamp(0)).0.chance);
        let seam = Seam { clock: Arc::new(PausedClock(Instant::now())), chance: seeded.chance };
        let log = MemoryLog::new(LogId(Uuid::from_u128(1)));
        let log = Arc::new(SlowLog { log, dice: dice.clone(), war: Arc::new(AtomicBool::new(false)) });
        let world = Self { log, vault: Arc::default(), dice, seam, process: Mutex::new(None) };
        world.start().await;
        world
    }

    async fn start(&self) {
        let log: Arc<dyn EventLog> = Arc::clone(&self.log) as Arc<dyn EventLog>;
        let stop = CancellationToken::new();
        let (dispatcher, deciding) = Dispatcher::start(log, self.seam.clone(), Settings::default(), stop.clone());
        let commands: Arc<dyn Commands> = Arc::new(dispatcher);
        let agenda = Arc::new(MemoryAgenda { rows: Mutex::default(), position: watch::Sender::new(Position(0)) });
        let saga = Saga {
            commands: Arc::clone(&commands),
            agenda: Arc::clone(&agenda) as Arc<dyn Agenda>,
            seam: self.seam.clone(),
        };
        let head = self.log.head().await.unwrap();
        let api = CommandApi {
            commands,
            seam: self.seam.clone(),
            vault: Arc::clone(&self.vault) as Arc<dyn platform::vault::Vault>,
            hold: HOLD,
            webhook_secret: Arc::new(Secret::parse(SECRET).unwrap()),
        };
        let tasks = vec![
            tokio::spawn(async move { deciding.await.unwrap().unwrap() }),
            tokio::spawn(deliver(Arc::clone(&self.log), Arc::clone(&agenda), self.dice.clone())),
            tokio::spawn(saga.run(head, stop)),
        ];
        let process = Process { api: routes(api).into(), agenda, tasks, requests: Vec::new() };
        *self.process.lock().unwrap() = Some(process);
    }

    /// Ends the process wherever each of its tasks is, and starts it again.
    pub(super) async fn crash(&self) {
        let process = self.process.lock().unwrap().take();
        let Some(process) = process else { return };
        process.requests.iter().for_each(AbortHandle::abort);
        for task in process.tasks {
            task.abort();
            let _ = task.await;
        }
        drop(process.api);
        self.dice.pause(500_000).await;
        self.start().await;
    }

    pub(super) fn make_war(&self, war: bool) {
        self.log.war.store(war, Ordering::SeqCst);
    }

    /// Ends all faults, with one last crash.
    pub(super) async fn peace(&self) {
        self.make_war(false);
        self.crash().await;
    }

    /// An answer, unless the process ended or says that it cannot tell.
    pub(super) async fn call(
        &self,
        who: Option<(&str, Reach)>,
        build: impl Fn() -> axum::http::request::Builder,
        body: Vec<u8>,
    ) -> Option<(StatusCode, Bytes)> {
        let mut request: Request<Body> = build().header("content-type", "application/json").body(body.into()).unwrap();
        if let Some((subject, reach)) = who {
            let principal =
                Principal { issuer: "simulation".to_owned(), subject: subject.to_owned(), roles: Vec::new() };
            request.extensions_mut().insert(principal);
            request.extensions_mut().insert(reach);
        }
        let answering = {
            let mut process = self.process.lock().unwrap();
            let process = process.as_mut()?;
            let api = process.api.clone();
            let answering = tokio::spawn(async move {
                let response = api.oneshot(request).await.unwrap();
                let status = response.status();
                (status, to_bytes(response.into_body(), usize::MAX).await.unwrap())
            });
            process.requests.push(answering.abort_handle());
            answering
        };
        let answer = answering.await.ok()?;
        assert_ne!(answer.0, StatusCode::INTERNAL_SERVER_ERROR);
        (answer.0 != StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
    }

    pub(super) fn nothing_is_due(&self) -> bool {
        self.process.lock().unwrap().as_ref().unwrap().agenda.rows.lock().unwrap().is_empty()
    }

    pub(super) async fn events(&self) -> Vec<RecordedEvent> {
        self.log.log.read_all(Position(0), usize::MAX).await.unwrap()
    }
}
