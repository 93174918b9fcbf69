//! An event of the log as a line of JSON, and back: nothing of the record is lost, and the same record is the same bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use platform::event_log::seal::Chain;
use platform::event_log::{BodyHash, CommandId, Envelope, EventId, Position, RecordedEvent, Revision, StreamId};
use platform::seam::Timestamp;
use schemas::timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use uuid::Uuid;

/// The keys of a line, in their order. The checksum of the stream's event before is not among them: it is on that one's
/// own line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    position: u64,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    revision: u64,
    id: Uuid,
    command_id: Uuid,
    #[serde(borrow)]
    body_hash: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    version: u16,
    #[serde(borrow)]
    recorded_at: Cow<'a, str>,
    #[serde(borrow)]
    traceparent: Cow<'a, str>,
    /// As stored, byte by byte.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    /// Data that are no JSON on one line.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    data_base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    checksum: Cow<'a, str>,
}

/// Why an event cannot be written as a line.
#[derive(Debug, thiserror::Error)]
#[error("position {position}, stream {stream}: its time lies outside the years that can be written")]
pub struct Unwritable {
    position: u64,
    stream: StreamId,
}

/// The line of an event, without its end.
pub fn write(event: &RecordedEvent) -> Result<Vec<u8>, Unwritable> {
    let RecordedEvent { envelope, .. } = event;
    let recorded_at = super::output::time(envelope.recorded_at);
    if timestamp::parse(&recorded_at).map(|at| at.0) != Some(envelope.recorded_at.0) {
        return Err(Unwritable { position: event.position.0, stream: event.stream.clone() });
    }
    let data = on_one_line(&event.data);
    let line = Line {
        position: event.position.0,
        stream: event.stream.as_str().into(),
        revision: event.revision.0,
        id: envelope.id.0,
        command_id: envelope.command_id.0,
        body_hash: hex(&envelope.body_hash.0).into(),
        event_type: envelope.event_type.as_str().into(),
        version: envelope.version,
        recorded_at: recorded_at.into(),
        traceparent: envelope.traceparent.as_str().into(),
        data,
        data_base64: data.is_none().then(|| STANDARD.encode(&event.data).into()),
        checksum: format!("{:016x}", event.checksum).into(),
    };
    Ok(serde_json::to_vec(&line).expect("strings and numbers can be written as JSON"))
}

/// Reads a line that comes after the events of `chain`. Whether it follows on them is not checked.
pub fn read(line: &[u8], chain: &Chain) -> Result<RecordedEvent, String> {
    let line: Line<'_> =
        serde_json::from_slice(line).map_err(|error| format!("expected an event, found: {}", without_place(&error)))?;
    let expected = |what: &str, found: &str| format!("expected {what}, found {found:?}");
    let data = match (line.data, line.data_base64) {
        (Some(data), None) => data.get().as_bytes().to_vec(),
        (None, Some(data)) => {
            STANDARD.decode(data.as_bytes()).map_err(|_| expected("`data_base64` as base64", &data))?
        }
        _ => return Err("expected one of `data` and `data_base64`, found both or none".to_owned()),
    };
    let body_hash = unhex(&line.body_hash).ok_or_else(|| expected("`body_hash` of 64 hex digits", &line.body_hash))?;
    let checksum = hex_u64(&line.checksum).ok_or_else(|| expected("`checksum` of 16 hex digits", &line.checksum))?;
    let recorded_at = timestamp::parse(&line.recorded_at);
    let recorded_at = recorded_at.ok_or_else(|| expected("`recorded_at` in RFC 3339", &line.recorded_at))?;
    let stream = StreamId::new(&line.stream);
    Ok(RecordedEvent {
        previous_checksum: chain.head(&stream).checksum,
        stream,
        revision: Revision(line.revision),
        position: Position(line.position),
        envelope: Envelope {
            id: EventId(line.id),
            command_id: CommandId(line.command_id),
            body_hash: BodyHash(body_hash),
            event_type: line.event_type.into_owned(),
            version: line.version,
            recorded_at: Timestamp(recorded_at.0),
            traceparent: line.traceparent.into_owned(),
        },
        data: data.into(),
        checksum,
    })
}

/// What is wrong with JSON, but for the place: whoever names the file's line would name another one.
fn without_place(error: &serde_json::Error) -> String {
    let (text, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// Data as JSON, if they are JSON without anything around it and without a line break in it. A bare null is left out: a
/// key with null says the same as none.
pub fn on_one_line(data: &[u8]) -> Option<&RawValue> {
    let json: &RawValue = serde_json::from_slice(data).ok()?;
    let whole = json.get().len() == data.len()
        && json.get() != "null"
        && !data.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    whole.then_some(json)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(is_hex_digit) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn hex_u64(text: &str) -> Option<u64> {
    let fits = text.len() == 16 && text.bytes().all(is_hex_digit);
    if fits { u64::from_str_radix(text, 16).ok() } else { None }
}

/// One record has one text, so capitals are none.
fn is_hex_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::event_log::seal;

    fn event(data: &[u8]) -> RecordedEvent {
        let mut event = RecordedEvent {
            stream: StreamId::new("book-\"书\""),
            revision: Revision(1),
            position: Position(1),
            envelope: Envelope {
                id: EventId(Uuid::from_u128(1)),
                command_id: CommandId(Uuid::from_u128(2)),
                body_hash: BodyHash([0xab; 32]),
                event_type: "Happened".to_owned(),
                version: 3,
                recorded_at: Timestamp(1_795_588_200_000_123),
                traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
            },
            data: data.to_vec().into(),
            previous_checksum: 0,
            checksum: 0,
        };
        event.checksum = seal::checksum(&event);
        event
    }

    #[test]
    fn any_record_is_read_back_from_one_line() {
        let odd: [&[u8]; 8] = [
            b"{\"a\":1}",
            b"",
            b" {}",
            b"{\"a\":\n1}",
            b"{\"a\": 1e400, \"a\":\"\\u0000\"}",
            b"\xff\x00",
            b"null",
            b"nonsense",
        ];
        for data in odd {
            let event = event(data);
            let line = write(&event).unwrap();
            assert!(!line.contains(&b'\n'), "{data:?}");
            let read = read(&line, &Chain::default()).unwrap();
            assert_eq!(read, event, "{data:?}");
            assert_eq!(write(&read).unwrap(), line);
        }
    }

    #[test]
    fn a_line_has_its_keys_in_order() {
        let line = String::from_utf8(write(&event(b"{\"b\":1,\"a\":2}")).unwrap()).unwrap();
        let checksum = format!("{:016x}", event(b"{\"b\":1,\"a\":2}").checksum);
        let hash = "ab".repeat(32);
        let expected = format!(
            "{{\"position\":1,\"stream\":\"book-\\\"书\\\"\",\"revision\":1,\"id\":\"00000000-0000-0000-0000-000000000001\",\
             \"command_id\":\"00000000-0000-0000-0000-000000000002\",\"body_hash\":\"{hash}\",\"type\":\"Happened\",\
             \"version\":3,\"recorded_at\":\"2026-11-25T06:30:00.000123Z\",\"traceparent\":\
             \"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\",\"data\":{{\"b\":1,\"a\":2}},\"checksum\":\"{checksum}\"}}"
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn what_is_no_event_is_told() {
        let good = String::from_utf8(write(&event(b"{}")).unwrap()).unwrap();
        for (from, to, says) in [
            ("\"position\":1", "\"position\":-1", "expected an event"),
            ("\"data\":{}", "\"data\":{},\"more\":1", "unknown field `more`"),
            ("\"data\":{},", "", "one of `data` and `data_base64`"),
            ("\"data\":{}", "\"data_base64\":\"?\"", "`data_base64` as base64"),
            ("abab", "zzab", "`body_hash` of 64 hex digits"),
            ("2026-11-25T", "2026-11-25 at ", "`recorded_at` in RFC 3339"),
            ("\"checksum\":\"", "\"checksum\":\"0", "`checksum` of 16 hex digits"),
        ] {
            let broken = good.replacen(from, to, 1);
            assert_ne!(broken, good);
            let error = read(broken.as_bytes(), &Chain::default()).unwrap_err();
            assert!(error.contains(says) && !error.contains("column"), "{error}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_written_is_no_other_time() {
        let mut far = event(b"{}");
        far.envelope.recorded_at = Timestamp(i64::MAX);
        assert!(write(&far).is_err());
    }
}
