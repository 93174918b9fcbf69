//! Deliveries as messages, and back.

use super::*;
use proptest::prelude::*;

const PARTITIONS: u16 = 12;

fn sealed(stream: &str, position: u64, data: &[u8]) -> RecordedEvent {
    let command_id = CommandId(Uuid::from_u128(0x0190_b5a2_7c3e_7d4f_8a5b_6c7d_8e9f_a0b1));
    let envelope = Envelope {
        id: EventId::of(command_id, 1),
        command_id,
        body_hash: BodyHash(std::array::from_fn(|place| place as u8)),
        event_type: "BookRegistered".to_owned(),
        version: 2,
        recorded_at: Timestamp(1_720_000_000_123_456),
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
    };
    let mut event = RecordedEvent {
        stream: StreamId::new(stream),
        revision: Revision(3),
        position: Position(position),
        envelope,
        data: Bytes::copy_from_slice(data),
        previous_checksum: 0x0123_4567_89ab_cdef,
        checksum: 0,
    };
    event.checksum = seal::checksum(&event);
    event
}

fn delivery(event: RecordedEvent, after: u64) -> Delivery {
    Delivery {
        log: LogId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)),
        partition: partition(event.stream.as_str(), PARTITIONS),
        after: Position(after),
        position: event.position,
        event: Some(event),
    }
}

fn found(message: &Message) -> Found<'_> {
    Found {
        topic: "colophon.events",
        partition: message.partition.into(),
        offset: 7,
        key: message.key.as_ref().map(|key| key.as_str().as_bytes()),
        headers: message.headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect(),
        payload: message.payload.as_deref(),
    }
}

/// Whoever else reads the topic relies on these: a change in them is a change of contract.
#[test]
fn the_headers_are_these() {
    let message = Message::of(&delivery(sealed("book-1", 42, br#"{"title":"Emma"}"#), 40));
    let headers: Vec<_> = message.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let expected = "\
ce_specversion: 1.0
ce_source: /colophon/logs/01900000-0000-7000-8000-000000000001
ce_after: 40
ce_position: 42
ce_factchecksum: 46ec4cc2693ff41c
ce_type: colophon.BookRegistered.v2
ce_id: 0190b5a2-7c3e-7d4f-8a5b-6c7d8e9fa0b0
ce_subject: book-1
ce_dataschema: /schemas/BookRegistered.v2.json
content-type: application/json
ce_revision: 3
ce_commandid: 0190b5a2-7c3e-7d4f-8a5b-6c7d8e9fa0b1
ce_bodyhash: 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
ce_recordedat: 1720000000123456
ce_previouschecksum: 0123456789abcdef
ce_checksum: b5c660876eedd6eb
ce_time: 2024-07-03T09:46:40.123456Z
traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_eq!(headers.join("\n"), expected);
    assert_eq!(message.key.as_ref().map(StreamId::as_str), Some("book-1"));
    assert_eq!(message.payload.as_deref(), Some(br#"{"title":"Emma"}"#.as_slice()));

    let quiet = Message::of(&Delivery { event: None, ..delivery(sealed("book-1", 42, b""), 40) });
    let headers: Vec<_> = quiet.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let expected = "\
ce_specversion: 1.0
ce_source: /colophon/logs/01900000-0000-7000-8000-000000000001
ce_after: 40
ce_position: 42
ce_factchecksum: 77c8bb702befcb5f
ce_type: colophon.Progress
ce_id: 2-40-42";
    assert_eq!(headers.join("\n"), expected);
    assert_eq!((quiet.key, quiet.payload), (None, None));
}

proptest! {
    #[test]
    fn a_delivery_comes_back_as_it_was(
        stream in "\\PC{0,40}",
        position in 1..u64::MAX,
        after in any::<u64>(),
        texts in ("[A-Za-z.]{1,30}", "\\PC{0,60}"),
        numbers in any::<(u16, u64, i64, u64, u128, u128, [u8; 32])>(),
        data in prop::collection::vec(any::<u8>(), 0..200),
        quiet in any::<bool>(),
    ) {
        let mut event = sealed(&stream, position, &data);
        let (version, revision, recorded_at, previous_checksum, id, command_id, body_hash) = numbers;
        event.envelope = Envelope {
            id: EventId(Uuid::from_u128(id)),
            command_id: CommandId(Uuid::from_u128(command_id)),
            body_hash: BodyHash(body_hash),
            event_type: texts.0,
            version,
            recorded_at: Timestamp(recorded_at),
            traceparent: texts.1,
        };
        event.revision = Revision(revision);
        event.previous_checksum = previous_checksum;
        event.checksum = seal::checksum(&event);
        let mut delivery = delivery(event, after);
        if quiet {
            delivery.event = None;
        }
        let message = Message::of(&delivery);
        prop_assert_eq!(found(&message).delivery(PARTITIONS), Ok(delivery));
    }

    /// Whatever byte of what is restored is another, it is noticed.
    #[test]
    fn an_altered_message_is_refused(quiet in any::<bool>(), part in 0..20_usize, place in any::<usize>(), bit in 0..8_u8) {
        let mut delivery = delivery(sealed("book-1", 42, br#"{"title":"Emma"}"#), 40);
        if quiet {
            delivery.event = None;
        }
        let message = Message::of(&delivery);
        // What repeats or explains the rest is for others: nothing is restored from it.
        let (told, restored): (Vec<_>, Vec<_>) = message.headers.iter().partition(|(name, _)| {
            ["ce_subject", "ce_dataschema", "content-type", "ce_time"].contains(name) || quiet && *name == "ce_id"
        });
        let mut values: Vec<Vec<u8>> = restored.iter().map(|(_, value)| value.clone().into_bytes()).collect();
        values.extend(message.key.iter().map(|key| key.as_str().as_bytes().to_vec()));
        values.extend(message.payload.iter().map(|payload| payload.to_vec()));
        let part = part % values.len();
        let place = place % values[part].len();
        let before = values[part].clone();
        values[part][place] ^= 1 << bit;
        // The digits of a number may be written in capitals: it is the same number.
        prop_assume!(!values[part].eq_ignore_ascii_case(&before));
        let mut altered = found(&message);
        altered.headers = restored.iter().zip(&values).map(|((name, _), value)| (*name, value.as_slice())).collect();
        altered.headers.extend(told.iter().map(|(name, value)| (*name, value.as_bytes())));
        if !quiet {
            altered.key = Some(&values[restored.len()]);
            altered.payload = Some(&values[restored.len() + 1]);
        }
        prop_assert!(altered.delivery(PARTITIONS).is_err(), "{altered:?}");
    }
}

#[test]
fn a_message_that_is_not_ours_is_refused_with_its_place() {
    let stranger = Found { topic: "t", partition: 3, offset: 9, key: None, headers: Vec::new(), payload: Some(b"{}") };
    let refused = stranger.delivery(PARTITIONS).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the message at t, partition 3, offset 9: expected a header as ce_specversion, found none"
    );
    let message = Message::of(&delivery(sealed("book-1", 42, b"{}"), 40));
    let elsewhere = Found { partition: i32::from(message.partition) + 1, ..found(&message) };
    assert_eq!(elsewhere.delivery(PARTITIONS).unwrap_err().part, "partition");
    let beyond = Found { partition: 12, ..found(&message) };
    assert_eq!(beyond.delivery(PARTITIONS).unwrap_err().expected, "one of 12");
    let fewer = found(&message).delivery(5);
    assert!(fewer.is_err(), "the number of partitions is another: {fewer:?}");
}
