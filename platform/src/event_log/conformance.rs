//! What every event log engine has to do, as one suite that each of them runs.

use super::*;
use std::time::Duration;
use tokio::time::timeout;

/// Runs every case on a log of its own, which `open` makes for a name.
pub(super) async fn run(open: impl AsyncFn(&str) -> Arc<dyn EventLog>) {
    an_empty_log_is_at_zero(open("empty").await).await;
    what_is_appended_is_read_back(open("append").await).await;
    a_conflict_fails_its_own_append_only(open("conflict").await).await;
    a_command_is_taken_once(open("repeat").await).await;
    a_decision_without_events_is_judged_too(open("eventless").await).await;
    large_batches_and_any_bytes_fit(open("large").await).await;
    one_of_many_writers_to_a_revision_wins(open("race").await).await;
    a_reader_of_the_tail_misses_nothing(open("tail").await).await;
    an_import_is_the_log_that_it_came_from(open("import").await).await;
    an_import_is_taken_whole_or_refused(open("refused").await).await;
}

/// An event of a command.
pub(super) fn event(command: u128, n: u32, data: &[u8]) -> NewEvent {
    let command_id = command_id(command);
    NewEvent {
        envelope: Envelope {
            id: EventId::of(command_id, n),
            command_id,
            body_hash: BodyHash([u8::try_from(command % 256).unwrap(); 32]),
            event_type: "Happened".to_owned(),
            version: 1,
            recorded_at: Timestamp(i64::try_from(command % 1_000).unwrap() - 500),
            traceparent: String::new(),
        },
        data: Bytes::copy_from_slice(data),
    }
}

/// A command with so many events.
pub(super) fn decision(command: u128, events: u32) -> Decision {
    let data = format!("{{\"command\":{command}}}");
    let events = (0..events).map(|n| event(command, n, data.as_bytes())).collect();
    Decision { command_id: command_id(command), events }
}

/// Ids of commands that are no more alike than real ones.
pub(super) fn command_id(command: u128) -> CommandId {
    CommandId(Uuid::from_u128(command << 32))
}

pub(super) fn append(stream: &str, expected: u64, decisions: Vec<Decision>) -> Append {
    Append { stream: StreamId::new(stream), expected: Revision(expected), decisions }
}

fn appended(revision: u64, position: u64) -> Verdict {
    Verdict::Appended { revision: Revision(revision), position: Position(position) }
}

async fn stream(log: &dyn EventLog, stream: &str, after: u64, limit: usize) -> Vec<RecordedEvent> {
    log.read_stream(&StreamId::new(stream), Revision(after), limit).await.unwrap()
}

async fn an_empty_log_is_at_zero(log: Arc<dyn EventLog>) {
    assert_eq!(log.head().await.unwrap(), Position(0));
    assert_eq!(log.read_all(Position(0), 10).await.unwrap(), []);
    assert_eq!(log.read_all(Position(u64::MAX), 10).await.unwrap(), []);
    assert_eq!(stream(log.as_ref(), "a", 0, 10).await, []);
    assert_eq!(stream(log.as_ref(), "a", 7, 10).await, []);
    assert_eq!(log.append(vec![]).await.unwrap(), []);
}

async fn what_is_appended_is_read_back(log: Arc<dyn EventLog>) {
    let batch = vec![append("a", 0, vec![decision(1, 2), decision(2, 1)]), append("书", 0, vec![decision(3, 1)])];
    assert_eq!(log.append(batch.clone()).await.unwrap(), [appended(3, 3), appended(1, 4)]);
    assert_eq!(log.append(vec![append("a", 3, vec![decision(4, 1)])]).await.unwrap(), [appended(4, 5)]);
    assert_eq!(log.head().await.unwrap(), Position(5));

    let all = log.read_all(Position(0), 10).await.unwrap();
    let sent: Vec<_> =
        batch.into_iter().flat_map(|append| append.decisions).flat_map(|decision| decision.events).collect();
    let read: Vec<_> =
        all.iter().map(|event| NewEvent { envelope: event.envelope.clone(), data: event.data.clone() }).collect();
    assert_eq!(read[..4], sent);
    let places: Vec<_> = all.iter().map(|event| (event.stream.as_str(), event.revision.0, event.position.0)).collect();
    assert_eq!(places, [("a", 1, 1), ("a", 2, 2), ("a", 3, 3), ("书", 1, 4), ("a", 4, 5)]);
    let previous = |event: &RecordedEvent| event.previous_checksum;
    assert_eq!((previous(&all[0]), previous(&all[3])), (0, 0));
    assert_eq!(previous(&all[4]), all[2].checksum);

    assert_eq!(log.read_all(Position(2), 2).await.unwrap(), all[2..4]);
    assert_eq!(log.read_all(Position(5), 2).await.unwrap(), []);
    let of_a: Vec<_> = all.iter().filter(|event| event.stream.as_str() == "a").cloned().collect();
    assert_eq!(stream(log.as_ref(), "a", 0, 10).await, of_a);
    assert_eq!(stream(log.as_ref(), "a", 1, 2).await, of_a[1..3]);
    assert_eq!(stream(log.as_ref(), "a", 4, 2).await, []);
    assert_eq!(stream(log.as_ref(), "a", 9, 2).await, []);
    assert_eq!(stream(log.as_ref(), "a", 1, 0).await, []);
}

async fn a_conflict_fails_its_own_append_only(log: Arc<dyn EventLog>) {
    log.append(vec![append("a", 0, vec![decision(1, 1)])]).await.unwrap();
    let batch = vec![
        append("b", 0, vec![decision(2, 1)]),
        append("a", 0, vec![decision(3, 1), decision(4, 1)]),
        append("c", 1, vec![decision(5, 1)]),
        append("d", 0, vec![decision(6, 1)]),
        // A second append to a stream of the batch.
        append("d", 1, vec![decision(7, 1)]),
    ];
    let verdicts = log.append(batch).await.unwrap();
    assert_eq!(verdicts, [appended(1, 2), Verdict::Conflict, Verdict::Conflict, appended(1, 3), Verdict::Conflict]);
    assert_eq!(log.head().await.unwrap(), Position(3));
    assert_eq!(stream(log.as_ref(), "a", 0, 10).await.len(), 1);
}

async fn a_command_is_taken_once(log: Arc<dyn EventLog>) {
    log.append(vec![append("a", 0, vec![decision(1, 2)])]).await.unwrap();
    let first = stream(log.as_ref(), "a", 0, 1).await.remove(0);
    let repeated = Verdict::Repeated { first: first.clone() };
    // Nothing of an append with a repeat in it is written, and its neighbours are.
    let batch = vec![append("a", 2, vec![decision(2, 1), decision(1, 2)]), append("b", 0, vec![decision(3, 1)])];
    assert_eq!(log.append(batch).await.unwrap(), [repeated.clone(), appended(1, 3)]);
    // Also where the new decision has no events, and on whatever stream it comes.
    for again in [append("a", 2, vec![decision(1, 0)]), append("c", 0, vec![decision(1, 1)])] {
        assert_eq!(log.append(vec![again]).await.unwrap(), std::slice::from_ref(&repeated));
    }
    // A writer that does not know the stream's state cannot be told anything but that.
    assert_eq!(log.append(vec![append("a", 0, vec![decision(1, 2)])]).await.unwrap(), [Verdict::Conflict]);
    // Twice in one batch, on two streams: the first has it.
    let verdicts =
        log.append(vec![append("d", 0, vec![decision(4, 1)]), append("e", 0, vec![decision(4, 1)])]).await.unwrap();
    let first = stream(log.as_ref(), "d", 0, 1).await.remove(0);
    assert_eq!(verdicts, [appended(1, 4), Verdict::Repeated { first }]);
    assert_eq!(log.head().await.unwrap(), Position(4));
}

async fn a_decision_without_events_is_judged_too(log: Arc<dyn EventLog>) {
    assert_eq!(log.append(vec![append("a", 0, vec![decision(1, 0)])]).await.unwrap(), [appended(0, 0)]);
    log.append(vec![append("a", 0, vec![decision(2, 1)])]).await.unwrap();
    let batch = vec![append("b", 0, vec![decision(3, 2)]), append("a", 1, vec![decision(4, 0)])];
    assert_eq!(log.append(batch).await.unwrap(), [appended(2, 3), appended(1, 3)]);
    assert_eq!(log.append(vec![append("a", 0, vec![decision(5, 0)])]).await.unwrap(), [Verdict::Conflict]);
    assert_eq!(log.head().await.unwrap(), Position(3));
}

async fn large_batches_and_any_bytes_fit(log: Arc<dyn EventLog>) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let mut odd = decision(1, 1);
    odd.events[0].data = every_byte.into();
    odd.events[0].envelope.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned();
    let mut empty = decision(2, 1);
    empty.events[0].data = Bytes::new();
    empty.events[0].envelope.recorded_at = Timestamp(i64::MIN);
    empty.events[0].envelope.version = u16::MAX;
    let mut batch = vec![append("odd", 0, vec![odd.clone(), empty.clone()])];
    batch.extend((0..600).map(|n| append(&format!("s-{n}"), 0, vec![decision(10 + n, 1)])));
    batch.push(append("long", 0, vec![decision(5, 101)]));
    let verdicts = log.append(batch).await.unwrap();
    assert_eq!(verdicts.last(), Some(&appended(101, 703)));
    let all = log.read_all(Position(0), 1_000).await.unwrap();
    assert_eq!(all.len(), 703);
    assert_eq!((&all[0].envelope, &all[0].data), (&odd.events[0].envelope, &odd.events[0].data));
    assert_eq!((&all[1].envelope, &all[1].data), (&empty.events[0].envelope, &empty.events[0].data));
    // A repeat in a large batch leaves the others as they are, and the log in order.
    let mut batch: Vec<_> = (0..300).map(|n| append(&format!("t-{n}"), 0, vec![decision(1_000 + n, 1)])).collect();
    batch.push(append("s-7", 1, vec![decision(17, 1)]));
    let verdicts = log.append(batch).await.unwrap();
    assert!(matches!(&verdicts[300], Verdict::Repeated { first } if first.stream.as_str() == "s-7"), "{verdicts:?}");
    assert_eq!(verdicts[299], appended(1, 1_003));
    assert_eq!(log.append(vec![append("s-7", 1, vec![decision(2_000, 1)])]).await.unwrap(), [appended(2, 1_004)]);
    assert_eq!(log.read_all(Position(0), 2_000).await.unwrap().len(), 1_004);
}

async fn one_of_many_writers_to_a_revision_wins(log: Arc<dyn EventLog>) {
    let mut writers = tokio::task::JoinSet::new();
    for command in 0..16 {
        let log = Arc::clone(&log);
        writers.spawn(async move {
            log.append(vec![append("hot", 0, vec![decision(command, 1)])]).await.unwrap().remove(0)
        });
    }
    let verdicts = writers.join_all().await;
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == appended(1, 1)).count(), 1);
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Conflict).count(), 15);
}

async fn a_reader_of_the_tail_misses_nothing(log: Arc<dyn EventLog>) {
    const EVENTS: u64 = 200;
    let nothing_yet = timeout(Duration::from_millis(20), log.wait_past(Position(0))).await;
    assert!(nothing_yet.is_err(), "an empty log is past nothing");
    let reader = {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut seen = Position(0);
            while seen.0 < EVENTS {
                let head = log.wait_past(seen).await.unwrap();
                let events = log.read_all(seen, 1_000).await.unwrap();
                assert!(head > seen && events.len() as u64 >= head.0 - seen.0, "what was announced can be read");
                seen = events.last().unwrap().position;
            }
        })
    };
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let log = Arc::clone(&log);
        writers.spawn(async move {
            for n in 0..EVENTS / 4 {
                let command = u128::from(writer * EVENTS + n + 1);
                log.append(vec![append(&format!("w-{writer}"), n, vec![decision(command, 1)])]).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    timeout(Duration::from_secs(10), reader).await.unwrap().unwrap();
    assert_eq!(log.wait_past(Position(EVENTS - 1)).await.unwrap(), Position(EVENTS));
}

/// Events of another log: five of `a` and `b`, as it has them.
async fn exported() -> Vec<RecordedEvent> {
    let other = memory::MemoryLog::new(LogId(Uuid::from_u128(99)));
    other.append(vec![append("a", 0, vec![decision(1, 2)]), append("b", 0, vec![decision(2, 2)])]).await.unwrap();
    other.append(vec![append("a", 2, vec![decision(3, 1)])]).await.unwrap();
    other.read_all(Position(0), 10).await.unwrap()
}

/// Imports pages that have to end with position `last`.
async fn import(log: &dyn EventLog, last: u64, pages: Vec<Vec<RecordedEvent>>) -> Result<(), LogError> {
    let (sender, receiver) = mpsc::channel(1);
    let sent = async move {
        for page in pages {
            if sender.send(page).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(log.import(Position(last), receiver), sent).0
}

async fn an_import_is_the_log_that_it_came_from(log: Arc<dyn EventLog>) {
    let events = exported().await;
    // What was asked before is not remembered as it was then.
    assert_eq!(log.append(vec![append("a", 0, vec![decision(9, 0)])]).await.unwrap(), [appended(0, 0)]);
    let waiting = tokio::spawn({
        let log = Arc::clone(&log);
        async move { log.wait_past(Position(0)).await.unwrap() }
    });
    import(log.as_ref(), 5, vec![events[..2].to_vec(), vec![], events[2..].to_vec()]).await.unwrap();
    assert_eq!(timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap(), Position(5));
    assert_eq!(log.read_all(Position(0), 10).await.unwrap(), events);
    assert_eq!(stream(log.as_ref(), "b", 1, 10).await, events[3..4]);
    let verdicts = log.append(vec![append("a", 0, vec![decision(4, 1)]), append("b", 2, vec![decision(2, 1)])]).await;
    let verdicts = verdicts.unwrap();
    assert_eq!(verdicts[0], Verdict::Conflict);
    assert!(matches!(&verdicts[1], Verdict::Repeated { first } if *first == events[2]), "{verdicts:?}");
    assert_eq!(log.append(vec![append("a", 3, vec![decision(4, 1)])]).await.unwrap(), [appended(4, 6)]);
    let all = log.read_all(Position(0), 10).await.unwrap();
    assert_eq!(all[5].previous_checksum, events[4].checksum);
}

async fn an_import_is_taken_whole_or_refused(log: Arc<dyn EventLog>) {
    let events = exported().await;
    let mut altered = events.clone();
    altered[3].data = Bytes::from_static(b"{}");
    let mut twice = events.clone();
    twice[4].envelope.id = events[0].envelope.id;
    twice[4].checksum = seal::checksum(&twice[4]);
    let without = |position: usize| {
        let mut events = events.clone();
        events.remove(position - 1);
        events
    };
    for (last, pages, at) in [
        (6, vec![events.clone()], None),
        (4, vec![events.clone()], None),
        (5, vec![events[..3].to_vec()], None),
        (5, vec![], None),
        (5, vec![events[..2].to_vec(), altered[2..].to_vec()], Some(4)),
        (5, vec![without(2)], Some(2)),
        (5, vec![without(1)], Some(1)),
        (5, vec![events[1..].to_vec()], Some(1)),
        (5, vec![twice], None),
    ] {
        let refused = import(log.as_ref(), last, pages.clone()).await;
        let as_it_should = match &refused {
            Err(LogError::Refused(_)) => at.is_none(),
            Err(LogError::Damaged { position, .. }) => at == Some(*position),
            _ => false,
        };
        assert!(as_it_should, "{refused:?}: {pages:?}");
        assert_eq!(log.head().await.unwrap(), Position(0));
        assert_eq!(log.read_all(Position(0), 10).await.unwrap(), []);
    }
    assert_eq!(log.append(vec![append("c", 0, vec![decision(7, 1)])]).await.unwrap(), [appended(1, 1)]);
    let refused = import(log.as_ref(), 5, vec![events]).await.unwrap_err();
    assert!(refused.to_string().contains("the log has events up to position 1"), "{refused}");
    assert_eq!(log.read_all(Position(0), 10).await.unwrap().len(), 1);
    assert_eq!(log.append(vec![append("c", 1, vec![decision(8, 1)])]).await.unwrap(), [appended(2, 2)]);
}
