//! Sealing: what holds for any batches, and what an altered record looks like.

use super::*;
use crate::event_log::conformance::{append, command_id, decision, event};
use proptest::collection::vec;
use proptest::prelude::*;

/// A log as a list, which seals through its own heads.
#[derive(Default)]
struct Model(Vec<RecordedEvent>);

impl Model {
    fn append(&mut self, batch: Vec<Append>) -> Vec<Verdict> {
        let mut heads = Heads { position: Position(self.0.len() as u64), ..Heads::default() };
        for event in &self.0 {
            heads.streams.insert(event.stream.clone(), Head { revision: event.revision, checksum: event.checksum });
            heads.recorded.insert(event.envelope.id, event.clone());
        }
        let (verdicts, events) = seal(&heads, batch);
        self.0.extend(events);
        verdicts
    }
}

/// Appends of few streams, revisions and commands, so that conflicts and repeats are frequent.
fn batches() -> impl Strategy<Value = Vec<Vec<Append>>> {
    let one_append = ("[ab]", 0..4_u64, vec((0..12_u128, 0..3_u32), 0..3)).prop_map(|(stream, expected, commands)| {
        append(&stream, expected, commands.into_iter().map(|(command, events)| decision(command, events)).collect())
    });
    vec(vec(one_append, 0..5), 0..12)
}

proptest! {
    #[test]
    fn any_batches_leave_a_log_without_gaps_or_repeats(batches in batches()) {
        let mut model = Model::default();
        for batch in batches {
            let before = model.0.len();
            let appends = batch.len();
            let expected: Vec<_> = batch.iter().map(|append| append.decisions.iter().map(|decision| decision.events.len()).sum::<usize>()).collect();
            let verdicts = model.append(batch);
            prop_assert_eq!(verdicts.len(), appends);
            let written: usize = verdicts.iter().zip(expected).filter(|(verdict, _)| matches!(verdict, Verdict::Appended { .. })).map(|(_, events)| events).sum();
            prop_assert_eq!(model.0.len() - before, written, "an append is written whole or not at all");
        }
        prop_assert!(verify_all(Position(0), &model.0).is_ok());
        for stream in ["a", "b"] {
            let events: Vec<_> = model.0.iter().filter(|event| event.stream.as_str() == stream).cloned().collect();
            prop_assert!(verify_stream(Head::default(), &events).is_ok());
        }
        let mut ids = HashSet::new();
        prop_assert!(model.0.iter().all(|event| ids.insert(event.envelope.id)), "an event id came twice");
    }
}

/// Five events: three of one stream, two of another between them.
fn five() -> Vec<RecordedEvent> {
    let mut model = Model::default();
    for (stream, expected, command) in [("a", 0, 1), ("b", 0, 2), ("a", 1, 3), ("b", 1, 4), ("a", 2, 5)] {
        model.append(vec![append(stream, expected, vec![decision(command, 1)])]);
    }
    model.0
}

#[test]
fn every_field_is_under_the_checksum() {
    let [original, ..] = &five()[..] else { unreachable!() };
    let alterations: [fn(&mut RecordedEvent); 13] = [
        |event| event.stream = StreamId::new("c"),
        |event| event.revision.0 += 1,
        |event| event.position.0 += 1,
        |event| event.envelope.id = EventId::of(event.envelope.command_id, 9),
        |event| event.envelope.command_id = command_id(9),
        |event| event.envelope.body_hash.0[31] ^= 1,
        |event| event.envelope.event_type.push(' '),
        |event| event.envelope.version += 1,
        |event| event.envelope.recorded_at.0 += 1,
        |event| event.envelope.traceparent.push('0'),
        |event| event.data = b"{}".as_slice().into(),
        |event| event.previous_checksum ^= 1,
        |event| event.checksum ^= 1,
    ];
    assert!(verify(original).is_ok());
    for (place, alter) in alterations.into_iter().enumerate() {
        let mut altered = original.clone();
        alter(&mut altered);
        assert!(matches!(verify(&altered), Err(LogError::Damaged { .. })), "alteration {place}");
    }
}

#[test]
fn text_cannot_move_from_one_field_to_the_next() {
    let mut one = five().remove(0);
    let mut other = one.clone();
    (one.envelope.event_type, one.envelope.traceparent) = ("Ab".to_owned(), "c".to_owned());
    (other.envelope.event_type, other.envelope.traceparent) = ("A".to_owned(), "bc".to_owned());
    assert_ne!(checksum(&one), checksum(&other));
}

#[test]
fn what_is_missing_swapped_or_doubled_is_found() {
    let original = five();
    assert!(verify_all(Position(0), &original).is_ok());
    for place in 0..original.len() - 1 {
        let mut missing = original.clone();
        missing.remove(place);
        assert!(verify_all(Position(0), &missing).is_err(), "without {place}");
        let mut swapped = original.clone();
        swapped.swap(place, place + 1);
        assert!(verify_all(Position(0), &swapped).is_err(), "{place} swapped with the next");
        let mut doubled = original.clone();
        doubled.insert(place, original[place].clone());
        assert!(verify_all(Position(0), &doubled).is_err(), "{place} doubled");
    }
    let of_a: Vec<_> = original.iter().filter(|event| event.stream.as_str() == "a").cloned().collect();
    assert!(verify_stream(Head::default(), &of_a).is_ok());
    assert!(verify_stream(Head::default(), &of_a[1..]).is_err());
    assert!(verify_stream(Head::default(), &[of_a[0].clone(), of_a[2].clone()]).is_err());
}

#[test]
fn a_forged_event_with_a_checksum_of_its_own_breaks_the_chain() {
    let mut events = five();
    events[2].data = b"{\"forged\":true}".as_slice().into();
    events[2].checksum = checksum(&events[2]);
    let error = verify_all(Position(0), &events).unwrap_err().to_string();
    assert!(error.contains("position 5") && error.contains("stream a"), "{error}");
}

#[test]
fn a_command_twice_in_one_append_is_decided_again() {
    let twice = vec![append("a", 0, vec![decision(1, 1), decision(1, 1)])];
    assert_eq!(seal(&Heads::default(), twice), (vec![Verdict::Conflict], vec![]));
}

/// The first bytes of the form that is on the disk: a change of it is a change of format.
#[test]
fn the_checksum_stays_what_it_is() {
    let event = seal(
        &Heads::default(),
        vec![append("a", 0, vec![Decision { command_id: command_id(1), events: vec![event(1, 0, b"{}")] }])],
    )
    .1
    .remove(0);
    assert_eq!(format!("{:016x}", event.checksum), "dd2540353b8b8248");
}
