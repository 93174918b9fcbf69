//! The dispatcher over a log that fails on demand: what is answered is what the log says.

use super::*;
use crate::commands::Refusal;
use domain::book::BookId;
use domain::order::OrderId;
use domain::stock::{self, Copies, Delta, Location, Reason};
use domain::{Command, Rejection, State};
use platform::event_log::fault::{Fault, FaultyLog};
use platform::event_log::memory::MemoryLog;
use platform::event_log::sqlite::SqliteLog;
use platform::event_log::{Append, BodyHash, CommandId, Decision, LogId, RecordedEvent};
use platform::seam::Timestamp;
use proptest::prelude::*;
use std::collections::HashMap;
use tokio::sync::Semaphore;
use uuid::Uuid;

struct Bench {
    log: Arc<FaultyLog>,
    dispatcher: Dispatcher,
    running: JoinHandle<Result<(), LogError>>,
    stop: CancellationToken,
}

fn bench_with(settings: Settings) -> Bench {
    let log = Arc::new(FaultyLog::new(Arc::new(MemoryLog::new(LogId(Uuid::from_u128(1))))));
    let (seam, stop) = (Seam::seeded(1, Timestamp(0)).0, CancellationToken::new());
    let (dispatcher, running) = Dispatcher::start(Arc::clone(&log) as Arc<dyn EventLog>, seam, settings, stop.clone());
    Bench { log, dispatcher, running, stop }
}

fn bench() -> Bench {
    bench_with(Settings::default())
}

type Sent = JoinHandle<Result<Answer, Unavailable>>;

impl Bench {
    /// Sends a command and lets everything happen that can without its answer.
    async fn begin(&self, request: Request) -> Sent {
        let dispatcher = self.dispatcher.clone();
        let sent = tokio::spawn(async move { dispatcher.send(request).await });
        quiet().await;
        sent
    }

    async fn send(&self, request: Request) -> Result<Answer, Unavailable> {
        self.dispatcher.send(request).await
    }

    async fn peek(&self, stream: u128) -> Loaded {
        self.dispatcher.peek(Lane::Customer, vec![name(stream)]).await.unwrap().remove(0)
    }

    async fn events(&self) -> Vec<RecordedEvent> {
        self.log.read_all(Position(0), usize::MAX).await.unwrap()
    }
}

/// Until nothing can happen any more by itself: the runtime has one thread.
async fn quiet() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn name(stream: u128) -> StreamId {
    StreamId::new(&schemas::stream::stock(BookId::from(Uuid::from_u128(stream)), &Location::main()))
}

pub(crate) fn request(id: u128, stream: u128, command: stock::Command) -> Request {
    Request {
        id: CommandId(Uuid::from_u128(id)),
        body_hash: BodyHash([0; 32]),
        stream: name(stream),
        if_match: None,
        lane: Lane::Customer,
        traceparent: String::new(),
        command: Command::Stock(command),
    }
}

pub(crate) fn adjust(id: u128, stream: u128, delta: i64) -> Request {
    let command = stock::Command::Adjust { delta: Delta::new(delta).unwrap(), reason: Reason::parse("test").unwrap() };
    request(id, stream, command)
}

/// What somebody else would append who finds the stream empty and puts so many copies there.
fn foreign(id: u128, stream: u128, delta: i64) -> Append {
    let request = adjust(id, stream, delta);
    let events = domain::decide(&State::Stock(stock::Stock::default()), request.command.clone()).unwrap();
    let events = crate::stream::encode(&request, &events, Timestamp(0));
    Append {
        stream: request.stream,
        expected: Revision(0),
        decisions: vec![Decision { command_id: request.id, events }],
    }
}

/// Copies on hand and revision after an accepted command.
fn figures(answer: &Result<Answer, Unavailable>) -> (u64, u64) {
    let Ok(Answer { outcome: Ok(loaded), .. }) = answer else { panic!("not accepted: {answer:?}") };
    (on_hand(loaded), loaded.revision.0)
}

fn on_hand(loaded: &Loaded) -> u64 {
    let State::Stock(stock) = loaded.state.as_ref() else { panic!("not a stock") };
    stock.figures().on_hand
}

fn not_enough(answer: &Result<Answer, Unavailable>) -> bool {
    matches!(
        answer,
        Ok(Answer { outcome: Err(Refusal::Rejected(Rejection::Stock(stock::Rejection::NotEnoughStock { .. }))), .. })
    )
}

#[tokio::test]
async fn a_failed_append_is_never_answered_as_success() {
    let bench = bench();
    bench.log.then(vec![Fault::Lost]);
    assert_eq!(bench.send(adjust(1, 1, 10)).await, Err(Unavailable::Log));
    assert_eq!(bench.events().await, []);
    assert_eq!(bench.peek(1).await.revision, Revision(0));
    assert_eq!(figures(&bench.send(adjust(1, 1, 10)).await), (10, 1), "its repeat is judged afresh");
}

#[tokio::test]
async fn an_append_of_unknown_outcome_has_one_effect() {
    let bench = bench();
    bench.log.then(vec![Fault::Unanswered]);
    assert_eq!(bench.send(adjust(1, 1, 10)).await, Err(Unavailable::Log));
    assert_eq!(figures(&bench.send(adjust(2, 1, 5)).await), (15, 2), "what is in the log counts");
    let repeat = bench.send(adjust(1, 1, 10)).await;
    assert_eq!((figures(&repeat), repeat.unwrap().position), ((10, 1), Position(1)), "as it was then");
    assert_eq!(bench.events().await.len(), 2);
}

#[tokio::test]
async fn a_refusal_that_rested_on_a_failed_append_is_taken_back() {
    let bench = bench();
    let permits = Arc::new(Semaphore::new(0));
    assert_eq!(figures(&bench.send(adjust(1, 1, 10)).await), (10, 1));
    bench.log.then(vec![Fault::Held(Arc::clone(&permits)), Fault::Lost]);
    let withdrawal = bench.begin(adjust(2, 1, -10)).await;
    // Decided while that one commits: nothing would be left for it.
    let next = bench.begin(adjust(3, 1, -10)).await;
    assert!(!next.is_finished(), "nothing is answered before what it rests on is in the log");
    permits.add_permits(1);
    assert_eq!(withdrawal.await.unwrap(), Err(Unavailable::Log));
    assert_eq!(figures(&next.await.unwrap()), (0, 2), "there were ten copies all the time");
}

#[tokio::test]
async fn a_refusal_is_a_verdict_of_the_log() {
    let bench = bench();
    bench.send(adjust(1, 1, 1)).await.unwrap();
    bench.log.then(vec![Fault::Lost]);
    assert_eq!(bench.send(adjust(2, 1, -5)).await, Err(Unavailable::Log), "the log did not confirm what it rests on");
    assert!(not_enough(&bench.send(adjust(2, 1, -5)).await));
}

#[tokio::test]
async fn a_foreign_event_of_equal_count_does_not_let_a_pipelined_append_fit() {
    let bench = bench();
    let permits = Arc::new(Semaphore::new(0));
    bench.log.then(vec![Fault::Held(Arc::clone(&permits)), Fault::Preceded(foreign(9, 1, 3))]);
    let first = bench.begin(adjust(1, 1, 10)).await;
    // Decided on ten copies at revision 1; the log will be at revision 1, with three.
    let pipelined = bench.begin(adjust(2, 1, -5)).await;
    permits.add_permits(1);
    assert_eq!(figures(&first.await.unwrap()), (13, 2));
    assert_eq!(figures(&pipelined.await.unwrap()), (8, 3));

    // And where the first is lost altogether.
    bench.log.then(vec![Fault::Held(Arc::clone(&permits)), Fault::Preceded(foreign(8, 2, 3)), Fault::Lost]);
    let first = bench.begin(adjust(3, 2, 10)).await;
    let pipelined = bench.begin(adjust(4, 2, -5)).await;
    permits.add_permits(1);
    assert_eq!(first.await.unwrap(), Err(Unavailable::Log));
    assert!(not_enough(&pipelined.await.unwrap()), "three copies are there, not ten");
}

#[tokio::test]
async fn a_stale_cache_costs_a_reload_and_no_answer() {
    let bench = bench();
    assert_eq!(bench.peek(1).await.revision, Revision(0));
    bench.log.then(vec![Fault::Preceded(foreign(9, 1, 3))]);
    assert_eq!(figures(&bench.send(adjust(1, 1, -3)).await), (0, 2));
}

#[tokio::test]
async fn peek_sees_what_is_durable_only() {
    let bench = bench();
    let permits = Arc::new(Semaphore::new(0));
    bench.log.then(vec![Fault::Held(Arc::clone(&permits))]);
    let sent = bench.begin(adjust(1, 1, 10)).await;
    assert_eq!(bench.peek(1).await.revision, Revision(0));
    permits.add_permits(1);
    sent.await.unwrap().unwrap();
    assert_eq!(on_hand(&bench.peek(1).await), 10, "and at once when it is answered");
}

#[tokio::test]
async fn a_cold_load_blocks_nobody_else() {
    let bench = bench();
    let permits = Arc::new(Semaphore::new(0));
    bench.log.hold_reads(name(1), Arc::clone(&permits));
    let cold = bench.begin(adjust(1, 1, 1)).await;
    assert_eq!(figures(&bench.send(adjust(2, 2, 1)).await), (1, 1));
    assert!(!cold.is_finished());
    permits.add_permits(1);
    assert_eq!(figures(&cold.await.unwrap()), (1, 1));
}

#[tokio::test]
async fn a_stream_that_cannot_be_read_is_unavailable_until_it_can() {
    let bench = bench();
    bench.log.fail_reads(true);
    assert_eq!(bench.send(adjust(1, 1, 1)).await, Err(Unavailable::Log));
    bench.log.fail_reads(false);
    assert_eq!(figures(&bench.send(adjust(1, 1, 1)).await), (1, 1));
}

#[tokio::test]
async fn a_full_queue_refuses_and_leaves_the_systems_lane_open() {
    let mut settings = Settings::default();
    settings.limits.queue_depth = 3;
    let bench = bench_with(settings);
    let permits = Arc::new(Semaphore::new(0));
    bench.log.then(vec![Fault::Held(Arc::clone(&permits))]);
    let mut waiting = Vec::new();
    for id in 0..3 {
        waiting.push(bench.begin(adjust(id, id, 1)).await);
    }
    assert_eq!(bench.send(adjust(3, 3, 1)).await, Err(Unavailable::Overloaded));
    let release = stock::Command::Release { order: OrderId::from(Uuid::from_u128(1)) };
    let system = bench.begin(Request { lane: Lane::System, ..request(4, 4, release) }).await;
    permits.add_permits(1);
    for sent in waiting {
        sent.await.unwrap().unwrap();
    }
    assert!(system.await.unwrap().is_ok());
    assert!(bench.send(adjust(5, 5, 1)).await.is_ok(), "once there is room, there is room");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let bench = bench();
    bench.log.then(vec![Fault::Held(Arc::new(Semaphore::new(0)))]);
    assert_eq!(bench.send(adjust(1, 1, 1)).await, Err(Unavailable::TimedOut));
}

#[tokio::test]
async fn a_log_that_takes_no_more_ends_the_dispatcher() {
    let bench = bench();
    let permits = Arc::new(Semaphore::new(0));
    bench.log.then(vec![Fault::Held(Arc::clone(&permits)), Fault::Fatal]);
    let committing = bench.begin(adjust(1, 1, 1)).await;
    let behind_it = bench.begin(adjust(2, 1, 1)).await;
    permits.add_permits(1);
    assert_eq!(committing.await.unwrap(), Err(Unavailable::Log));
    assert_eq!(behind_it.await.unwrap(), Err(Unavailable::Log));
    assert!(matches!(bench.running.await.unwrap(), Err(LogError::Fatal(_))));
    assert_eq!(bench.dispatcher.send(adjust(3, 1, 1)).await, Err(Unavailable::Stopping));
}

#[tokio::test]
async fn a_stopping_dispatcher_answers_what_it_has() {
    let bench = bench();
    let permits = Arc::new(Semaphore::new(0));
    bench.log.then(vec![Fault::Held(Arc::clone(&permits))]);
    let committing = bench.begin(adjust(1, 1, 1)).await;
    let behind_it = bench.begin(adjust(2, 1, 1)).await;
    bench.stop.cancel();
    quiet().await;
    assert_eq!(bench.dispatcher.send(adjust(3, 1, 1)).await, Err(Unavailable::Stopping));
    permits.add_permits(1);
    assert_eq!(figures(&committing.await.unwrap()), (1, 1));
    assert_eq!(figures(&behind_it.await.unwrap()), (2, 2));
    assert!(bench.running.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_stop_that_comes_while_the_loop_is_busy_ends_it_all_the_same() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(LogId(Uuid::from_u128(1))));
    let stop = CancellationToken::new();
    stop.cancel();
    let seam = Seam::seeded(1, Timestamp(0)).0;
    let (dispatcher, running) = Dispatcher::start(log, seam, Settings::default(), stop);
    tokio::time::timeout(Duration::from_secs(10), running).await.expect("it ends").unwrap().unwrap();
    drop(dispatcher);
}

#[tokio::test]
async fn parallel_repeats_have_one_effect_and_one_answer() {
    let bench = bench();
    let mut repeats = tokio::task::JoinSet::new();
    for n in 0..20 {
        let dispatcher = bench.dispatcher.clone();
        let body_hash = BodyHash([u8::from(n == 19); 32]);
        repeats.spawn(async move { dispatcher.send(Request { body_hash, ..adjust(1, 1, 10) }).await });
    }
    let answers = repeats.join_all().await;
    let same = answers.iter().filter(|answer| matches!(answer, Ok(Answer { outcome: Ok(_), .. }))).count();
    let reused =
        |answer: &&Result<Answer, Unavailable>| matches!(answer, Ok(Answer { outcome: Err(Refusal::KeyReused), .. }));
    assert_eq!((same, answers.iter().filter(reused).count()), (19, 1));
    assert!(answers.iter().filter(|answer| !reused(answer)).all(|answer| figures(answer) == (10, 1)));
    assert_eq!(bench.events().await.len(), 1);
}

/// What a command of the simulation does, and which fault meets the append after it.
#[derive(Debug, Clone)]
struct Happening {
    stream: u128,
    delta: i64,
    fault: u32,
    patience: usize,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = (0..3_u128, (-8..12_i64).prop_filter("not 0", |delta| *delta != 0), 0..12_u32, 0..6_usize);
    let one = one.prop_map(|(stream, delta, fault, patience)| Happening { stream, delta, fault, patience });
    proptest::collection::vec(one, 1..80)
}

/// Many customers at once, each sending its command again until it is answered, over a log that fails as it likes.
async fn simulate(happenings: &[Happening]) {
    let mut settings = Settings::default();
    settings.limits.cached_streams = 2;
    settings.limits.batch_commands = 3;
    let bench = bench_with(settings);
    let mut foreign_deltas: HashMap<u128, i64> = HashMap::new();
    let mut customers = Vec::new();
    for (id, Happening { stream, delta, fault, patience }) in (100..).zip(happenings.iter().cloned()) {
        bench.log.then(match fault {
            0 => vec![Fault::Lost],
            1 => vec![Fault::Unanswered],
            // Somebody else can be first on each stream once.
            2 if !foreign_deltas.contains_key(&stream) => {
                foreign_deltas.insert(stream, 4);
                vec![Fault::Preceded(foreign(stream + 1, stream, 4))]
            }
            _ => vec![],
        });
        let dispatcher = bench.dispatcher.clone();
        customers.push(tokio::spawn(async move {
            let request = adjust(id, stream, delta);
            loop {
                match dispatcher.send(request.clone()).await {
                    Err(_) => tokio::task::yield_now().await,
                    Ok(answer) => return (id, stream, delta, answer),
                }
            }
        }));
        for _ in 0..patience {
            tokio::task::yield_now().await;
        }
    }
    let mut accepted = HashMap::new();
    for customer in customers {
        let (id, stream, delta, answer) = customer.await.unwrap();
        if let Ok(loaded) = answer.outcome {
            accepted.insert(CommandId(Uuid::from_u128(id)), (stream, delta, loaded, answer.position));
        }
    }
    let events = bench.events().await;
    let mut sums: HashMap<u128, i64> = HashMap::new();
    for event in &events {
        let Some((stream, delta, loaded, position)) = accepted.remove(&event.envelope.command_id) else {
            assert!(event.envelope.command_id.0.as_u128() < 100, "{event:?} was not acknowledged, or is there twice");
            let stream = event.envelope.command_id.0.as_u128() - 1;
            *sums.entry(stream).or_default() += 4;
            continue;
        };
        let sum = sums.entry(stream).or_default();
        *sum += delta;
        assert!(*sum >= 0, "oversold");
        assert_eq!(
            (on_hand(&loaded).cast_signed(), loaded.revision),
            (*sum, event.revision),
            "the answer is the log's"
        );
        assert_eq!(position, event.position);
    }
    assert!(accepted.is_empty(), "acknowledged, and not in the log: {accepted:?}");
    bench.stop.cancel();
    bench.running.await.unwrap().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_fails_answers_and_log_agree(happenings in happenings()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(simulate(&happenings));
    }
}

#[tokio::test]
async fn holds_are_copies_that_others_cannot_have() {
    let bench = bench();
    bench.send(adjust(1, 1, 2)).await.unwrap();
    let reserve = |id: u128| {
        let order = OrderId::from(Uuid::from_u128(id));
        bench.send(request(id, 1, stock::Command::Reserve { order, copies: Copies::new(1).unwrap() }))
    };
    let (first, second, third) = tokio::join!(reserve(2), reserve(3), reserve(4));
    assert!(first.unwrap().outcome.is_ok() && second.unwrap().outcome.is_ok());
    assert!(not_enough(&third));
}

/// The real log, whose commits take their time: what is decided meanwhile shares the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_writers_to_one_book_share_commits() {
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let seam = platform::seam::Seam::system();
    let log = SqliteLog::open(&directory.path().join("log"), &seam).await.unwrap();
    let (dispatcher, _) = Dispatcher::start(Arc::new(log), seam, Settings::default(), CancellationToken::new());
    let mut writers = JoinSet::new();
    for writer in 0..64 {
        let dispatcher = dispatcher.clone();
        writers.spawn(async move {
            for n in 0..50 {
                let answer = dispatcher.send(adjust(1 + writer * 50 + n, 1, 1)).await.unwrap();
                assert!(answer.outcome.is_ok());
            }
        });
    }
    writers.join_all().await;
    let text = metrics.render();
    let count = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let (events, commits) = (count("log_events_total "), count("log_commits_total "));
    assert_eq!(events, 64 * 50);
    assert!(events >= commits * 8, "{events} events in {commits} commits");
}
