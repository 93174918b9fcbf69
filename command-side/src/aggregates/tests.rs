//! The machine step by step: what is handed to the log, what is answered, and what waits.

use super::*;
use domain::Command;
use domain::book::BookId;
use domain::stock::{self, Copies, Delta, Location, Reason, Stock};
use platform::event_log::{BodyHash, Envelope, EventId};
use platform::seam::{Seam, Timestamp};
use uuid::Uuid;

type Machine = Aggregates<&'static str, &'static str>;

fn machine(limits: Limits) -> Machine {
    let (seam, _) = Seam::seeded(1, Timestamp(0));
    Aggregates::new(limits, seam.clock)
}

fn stream(n: u128) -> StreamId {
    StreamId::new(&schemas::stream::stock(BookId::from(Uuid::from_u128(n)), &Location::main()))
}

fn adjust(id: u128, stream_number: u128, delta: i64) -> Request {
    let delta = Delta::new(delta).unwrap();
    Request {
        id: CommandId(Uuid::from_u128(id)),
        body_hash: BodyHash([0; 32]),
        stream: stream(stream_number),
        if_match: None,
        lane: Lane::Customer,
        traceparent: String::new(),
        command: Command::Stock(stock::Command::Adjust { delta, reason: Reason::parse("test").unwrap() }),
    }
}

/// A stock of so many copies after so many events.
fn stocked(on_hand: u64, revision: u64) -> Loaded {
    let count = |taken_at| stock::Event {
        movement: stock::Movement::Counted { taken_at },
        after: stock::Figures { on_hand, reserved: 0 },
    };
    let events: Vec<_> = (0..revision).map(count).collect();
    let state = domain::decider::fold::<Stock>(&events);
    Loaded { state: Arc::new(State::Stock(state)), revision: Revision(revision) }
}

fn on_hand(loaded: &Loaded) -> u64 {
    let State::Stock(stock) = loaded.state.as_ref() else { panic!("not a stock") };
    stock.figures().on_hand
}

/// Offers a command and has its cold stream loaded.
fn offer_cold(machine: &mut Machine, request: Request, reply: &'static str, loaded: Loaded) {
    let stream = request.stream.clone();
    assert_eq!(machine.offer(request, reply), Offer::Queued);
    assert_eq!(machine.loads(), std::slice::from_ref(&stream));
    let step = machine.loaded(&stream, Position(0), Ok(loaded));
    assert!(step.answers.is_empty());
}

/// Expected revision and number of events per decision, by append.
fn shape(batch: &[Append]) -> Vec<(u64, Vec<usize>)> {
    let counts = |append: &Append| append.decisions.iter().map(|decision| decision.events.len()).collect();
    batch.iter().map(|append| (append.expected.0, counts(append))).collect()
}

fn appended(revision: u64, position: u64) -> Verdict {
    Verdict::Appended { revision: Revision(revision), position: Position(position) }
}

/// The replies with the copies on hand, or why there is no answer.
fn replies(step: &Step<&'static str, &'static str>) -> Vec<(&'static str, Result<u64, String>)> {
    let outcome = |result: &Result<Answer, Unavailable>| match result {
        Ok(Answer { outcome: Ok(loaded), .. }) => Ok(on_hand(loaded)),
        Ok(Answer { outcome: Err(Refusal::Rejected(rejection)), .. }) => Err(rejection.to_string()),
        Ok(Answer { outcome: Err(refusal), .. }) => Err(format!("{refusal:?}")),
        Err(unavailable) => Err(unavailable.to_string()),
    };
    step.answers.iter().map(|(reply, result)| (*reply, outcome(result))).collect()
}

fn first_event(command: u128, body: u8, stream_number: u128, position: u64) -> RecordedEvent {
    let command_id = CommandId(Uuid::from_u128(command));
    RecordedEvent {
        stream: stream(stream_number),
        revision: Revision(1),
        position: Position(position),
        envelope: Envelope {
            id: EventId::of(command_id, 0),
            command_id,
            body_hash: BodyHash([body; 32]),
            event_type: "StockAdjusted".to_owned(),
            version: 1,
            recorded_at: Timestamp(0),
            traceparent: String::new(),
        },
        data: Vec::new().into(),
        previous_checksum: 0,
        checksum: 0,
    }
}

#[test]
fn a_command_to_a_cold_stream_is_answered_once_the_log_has_it() {
    let mut machine = machine(Limits::default());
    offer_cold(&mut machine, adjust(1, 1, 5), "a", stocked(10, 3));
    assert_eq!(shape(&machine.next_batch()), [(3, vec![1])]);
    assert_eq!(replies(&machine.settle(vec![appended(4, 9)])), [("a", Ok(15))]);
    assert!(machine.is_idle());
}

#[test]
fn a_refusal_is_a_verdict_of_the_log_too() {
    let mut machine = machine(Limits::default());
    offer_cold(&mut machine, adjust(1, 1, -11), "a", stocked(10, 3));
    assert_eq!(shape(&machine.next_batch()), [(3, vec![0])]);
    let step = machine.settle(vec![appended(3, 9)]);
    assert_eq!(replies(&step), [("a", Err("11 copies were asked for, 10 are available".to_owned()))]);
}

#[test]
fn many_commands_of_one_stream_share_one_append_in_their_order() {
    let mut machine = machine(Limits::default());
    offer_cold(&mut machine, adjust(1, 1, -6), "a", stocked(10, 1));
    assert_eq!(shape(&machine.next_batch()), [(1, vec![1])]);
    for (id, delta, reply) in [(2, -6, "b"), (3, -4, "c"), (4, -1, "d"), (5, 2, "e")] {
        machine.offer(adjust(id, 1, delta), reply);
    }
    assert!(machine.next_batch().is_empty(), "a batch waits for the verdicts on the one before");
    let step = machine.settle(vec![appended(2, 20)]);
    assert_eq!(replies(&step), [("a", Ok(4))]);
    assert_eq!(shape(&machine.next_batch()), [(2, vec![0, 1, 0, 1])]);
    let step = machine.settle(vec![appended(4, 40)]);
    let not_enough = |asked, available| Err(format!("{asked} copies were asked for, {available} are available"));
    assert_eq!(replies(&step), [("b", not_enough(6, 4)), ("c", Ok(0)), ("d", not_enough(1, 0)), ("e", Ok(2))]);
    let positions: Vec<_> = step.answers.iter().map(|(_, answer)| answer.as_ref().unwrap().position.0).collect();
    assert_eq!(positions, [40, 39, 40, 40], "an event's own position, or the newest that the refusal may rest on");
}

#[test]
fn what_rested_on_a_conflict_is_decided_again_from_the_log() {
    let mut machine = machine(Limits::default());
    offer_cold(&mut machine, adjust(1, 1, -6), "a", stocked(10, 1));
    machine.next_batch();
    machine.offer(adjust(2, 1, -4), "b");
    // Somebody else appended one event too: the stream is at the revision that the prepared batch expects.
    let step = machine.settle(vec![Verdict::Conflict]);
    assert!(step.answers.is_empty());
    assert!(machine.next_batch().is_empty(), "an append that rested on a refused one must not go out");
    assert_eq!(machine.loads(), [stream(1)]);
    machine.loaded(&stream(1), Position(0), Ok(stocked(7, 2)));
    assert_eq!(shape(&machine.next_batch()), [(2, vec![1, 0])]);
    let step = machine.settle(vec![appended(3, 12)]);
    assert_eq!(replies(&step), [("a", Ok(1)), ("b", Err("4 copies were asked for, 1 are available".to_owned()))]);
}

#[test]
fn a_conflict_leaves_its_neighbours_alone() {
    let mut machine = machine(Limits::default());
    offer_cold(&mut machine, adjust(1, 1, 1), "a", stocked(0, 0));
    machine.next_batch();
    offer_cold(&mut machine, adjust(2, 2, 1), "b", stocked(0, 0));
    offer_cold(&mut machine, adjust(3, 3, 1), "c", stocked(0, 0));
    machine.settle(vec![appended(1, 1)]);
    assert_eq!(machine.next_batch().len(), 2);
    let step = machine.settle(vec![Verdict::Conflict, appended(1, 3)]);
    assert_eq!(replies(&step), [("c", Ok(1))]);
}

#[test]
fn a_failed_append_answers_nothing_as_success_nor_a_refusal_that_rested_on_it() {
    let mut machine = machine(Limits::default());
    offer_cold(&mut machine, adjust(1, 1, -10), "a", stocked(10, 1));
    machine.next_batch();
    machine.offer(adjust(2, 1, -1), "b");
    let step = machine.failed(&Unavailable::Log);
    assert_eq!(replies(&step), [("a", Err(Unavailable::Log.to_string()))]);
    assert!(machine.next_batch().is_empty());
    assert_eq!(machine.loads(), [stream(1)]);
    machine.loaded(&stream(1), Position(0), Ok(stocked(10, 1)));
    machine.next_batch();
    assert_eq!(replies(&machine.settle(vec![appended(2, 2)])), [("b", Ok(9))]);
}

#[test]
fn a_repeat_waits_for_the_first_and_is_answered_from_the_log() {
    let mut machine = machine(Limits::default());
    offer_cold(&mut machine, adjust(1, 1, 5), "a", stocked(0, 0));
    machine.next_batch();
    machine.offer(adjust(1, 1, 5), "again");
    assert!(machine.settle(vec![appended(1, 7)]).recalls.is_empty());
    assert_eq!(shape(&machine.next_batch()), [(1, vec![1])], "the log finds out that it is a repeat");
    let first = first_event(1, 0, 1, 7);
    let step = machine.settle(vec![Verdict::Repeated { first: first.clone() }]);
    assert!(step.answers.is_empty());
    assert_eq!(step.recalls, [("again", first)]);
    assert!(machine.is_idle());
}

#[test]
fn a_key_with_another_body_is_refused_and_its_neighbours_are_decided_again() {
    let mut machine = machine(Limits::default());
    offer_cold(&mut machine, adjust(9, 1, 1), "warm", stocked(10, 1));
    machine.next_batch();
    machine.offer(adjust(2, 1, -4), "b");
    machine.offer(Request { body_hash: BodyHash([1; 32]), ..adjust(1, 1, 5) }, "other body");
    machine.offer(adjust(3, 1, -1), "c");
    machine.settle(vec![appended(2, 3)]);
    assert_eq!(shape(&machine.next_batch()), [(2, vec![1, 1, 1])]);
    machine.offer(adjust(4, 1, -1), "d");
    let step = machine.settle(vec![Verdict::Repeated { first: first_event(1, 0, 1, 2) }]);
    assert_eq!(replies(&step), [("other body", Err("KeyReused".to_owned()))]);
    assert_eq!(shape(&machine.next_batch()), [(2, vec![1, 1, 1])]);
    let step = machine.settle(vec![appended(5, 6)]);
    assert_eq!(replies(&step), [("b", Ok(7)), ("c", Ok(6)), ("d", Ok(5))]);
}

#[test]
fn the_system_s_commands_go_first_and_have_room_of_their_own() {
    let mut machine = machine(Limits { queue_depth: 2, batch_commands: 1, ..Limits::default() });
    offer_cold(&mut machine, adjust(1, 1, 1), "a", stocked(0, 0));
    machine.next_batch();
    machine.offer(adjust(2, 1, 1), "b");
    assert_eq!(machine.offer(adjust(3, 1, 1), "c"), Offer::Full("c"));
    let system = |id| Request { lane: Lane::System, ..adjust(id, 1, 1) };
    assert_eq!(machine.offer(system(4), "d"), Offer::Queued);
    assert_eq!((machine.depth(Lane::Customer), machine.depth(Lane::System)), (2, 1));
    machine.settle(vec![appended(1, 1)]);
    machine.next_batch();
    machine.offer(adjust(5, 1, 1), "e");
    let second = replies(&machine.settle(vec![appended(2, 2)]));
    machine.next_batch();
    let third = replies(&machine.settle(vec![appended(3, 3)]));
    assert_eq!((second, third), (vec![("b", Ok(2))], vec![("d", Ok(3))]), "b was decided before d came, e after it");
}

#[test]
fn an_outdated_if_match_is_refused_with_the_current_revision() {
    let mut machine = machine(Limits::default());
    let request = Request { if_match: Some(Revision(2)), ..adjust(1, 1, 1) };
    offer_cold(&mut machine, request, "a", stocked(10, 3));
    assert_eq!(shape(&machine.next_batch()), [(3, vec![0])]);
    let step = machine.settle(vec![appended(3, 9)]);
    assert_eq!(replies(&step), [("a", Err("Outdated(Revision(3))".to_owned()))]);
}

#[test]
fn a_peek_sees_what_is_durable_only() {
    let mut machine = machine(Limits::default());
    offer_cold(&mut machine, adjust(1, 1, 5), "a", stocked(10, 1));
    machine.next_batch();
    let (_, step) = machine.peek(stream(1), "p");
    assert_eq!(on_hand(step.peeked[0].1.as_ref().unwrap()), 10);
    machine.settle(vec![appended(2, 2)]);
    let (_, step) = machine.peek(stream(1), "p");
    assert_eq!(on_hand(step.peeked[0].1.as_ref().unwrap()), 15);
}

#[test]
fn a_stream_without_events_is_looked_up_again_unless_something_is_under_way_for_it() {
    let mut machine = machine(Limits::default());
    machine.peek(stream(1), "p");
    machine.loads();
    machine.loaded(&stream(1), Position(0), Ok(stocked(0, 0)));
    assert_eq!(machine.offer(adjust(1, 1, -5), "refused"), Offer::Queued);
    assert_eq!(shape(&machine.next_batch()), [(0, vec![0])]);
    let (_, step) = machine.peek(stream(1), "q");
    assert_eq!((step.peeked.len(), machine.loads()), (1, vec![]), "what its batch comes to is awaited");
    let step = machine.settle(vec![appended(0, 0)]);
    assert_eq!(step.answers.len(), 1);
    let (_, step) = machine.peek(stream(1), "r");
    assert_eq!((step.peeked.len(), machine.loads()), (0, vec![stream(1)]));
    let step = machine.loaded(&stream(1), Position(3), Ok(stocked(7, 3)));
    assert_eq!(on_hand(step.peeked[0].1.as_ref().unwrap()), 7, "an import brought it");
}

#[test]
fn peeks_and_commands_of_a_cold_stream_share_one_load() {
    let mut machine = machine(Limits { queue_depth: 1, ..Limits::default() });
    assert_eq!(machine.peek(stream(1), "p").0, Offer::Queued);
    assert_eq!(machine.peek(stream(1), "q").0, Offer::Full("q"));
    machine.offer(adjust(1, 1, 5), "a");
    assert_eq!(machine.loads(), [stream(1)]);
    assert!(machine.loads().is_empty());
    let step = machine.loaded(&stream(1), Position(0), Err(Unavailable::Log));
    assert_eq!(step.peeked, [("p", Err(Unavailable::Log))]);
    assert_eq!(replies(&step), [("a", Err(Unavailable::Log.to_string()))]);
    assert!(machine.is_idle(), "a stream that could not be read is read again for the next command");
    machine.offer(adjust(1, 1, 5), "a");
    assert_eq!(machine.loads(), [stream(1)]);
}

#[test]
fn a_cold_stream_blocks_no_other() {
    let mut machine = machine(Limits::default());
    machine.offer(adjust(1, 1, 1), "cold");
    offer_second(&mut machine);
    assert_eq!(shape(&machine.next_batch()), [(0, vec![1])]);
    assert_eq!(replies(&machine.settle(vec![appended(1, 1)])), [("warm", Ok(1))]);
    assert!(!machine.is_idle());
}

fn offer_second(machine: &mut Machine) {
    machine.offer(adjust(2, 2, 1), "warm");
    assert_eq!(machine.loads(), [stream(1), stream(2)]);
    machine.loaded(&stream(2), Position(0), Ok(stocked(0, 0)));
}

#[test]
fn the_cache_is_bounded_and_keeps_what_is_in_a_batch() {
    let mut machine = machine(Limits { cached_streams: 2, ..Limits::default() });
    offer_cold(&mut machine, adjust(1, 1, 1), "a", stocked(0, 0));
    machine.next_batch();
    for n in 2..=4 {
        let (_, step) = machine.peek(stream(n), "p");
        assert!(step.peeked.is_empty());
        machine.loads();
        machine.loaded(&stream(n), Position(0), Ok(stocked(0, 0)));
        assert!(machine.entries.len() <= 3, "the bound, and what is in a batch");
    }
    assert_eq!(replies(&machine.settle(vec![appended(1, 1)])), [("a", Ok(1))]);
    let (_, step) = machine.peek(stream(1), "p");
    assert_eq!(on_hand(step.peeked[0].1.as_ref().unwrap()), 1, "it was in a batch and stayed");
    let (_, step) = machine.peek(stream(2), "p");
    assert!(step.peeked.is_empty(), "it was used longest ago and went");
}

#[test]
fn a_batch_is_bounded_in_commands_and_bytes() {
    let mut machine = machine(Limits { batch_commands: 2, ..Limits::default() });
    offer_cold(&mut machine, adjust(1, 1, 1), "a", stocked(0, 0));
    (2..=5).for_each(|id| assert_eq!(machine.offer(adjust(id, 1, 1), "more"), Offer::Queued));
    assert_eq!(shape(&machine.next_batch()), [(0, vec![1, 1])]);
    machine.settle(vec![appended(2, 2)]);
    assert_eq!(shape(&machine.next_batch()), [(2, vec![1, 1])]);

    let mut machine = self::machine(Limits { batch_bytes: 1, ..Limits::default() });
    offer_cold(&mut machine, adjust(1, 1, 1), "a", stocked(0, 0));
    machine.offer(adjust(2, 1, 1), "b");
    assert_eq!(shape(&machine.next_batch()), [(0, vec![1])]);
}

#[test]
fn a_log_that_is_given_up_leaves_nobody_waiting() {
    let mut machine = machine(Limits { batch_commands: 1, ..Limits::default() });
    offer_cold(&mut machine, adjust(1, 1, 1), "committing", stocked(0, 0));
    machine.next_batch();
    machine.offer(adjust(2, 1, 1), "prepared");
    machine.offer(adjust(3, 1, 1), "queued");
    machine.offer(adjust(3, 1, 1), "repeat");
    machine.offer(adjust(4, 2, 1), "loading");
    machine.peek(stream(3), "peek");
    let step = machine.abandon(&Unavailable::Log);
    let mut names: Vec<_> = replies(&step).into_iter().map(|(reply, _)| reply).collect();
    names.sort_unstable();
    assert_eq!(names, ["committing", "loading", "prepared", "queued", "repeat"]);
    assert_eq!(step.peeked.len(), 1);
    assert!(machine.is_idle());
}

#[test]
fn a_count_is_compared_by_the_domain_too() {
    let mut machine = machine(Limits::default());
    let count = stock::Command::Count { on_hand: Copies::new(4).unwrap(), taken_at: 1 };
    let request = Request { command: Command::Stock(count), ..adjust(1, 1, 1) };
    offer_cold(&mut machine, request, "a", stocked(10, 2));
    machine.next_batch();
    let step = machine.settle(vec![appended(2, 2)]);
    assert_eq!(replies(&step), [("a", Err("the count was taken at revision 1, the stock is at 2".to_owned()))]);
}
