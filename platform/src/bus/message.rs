//! A delivery as a Kafka message: a CloudEvent in binary mode, from which the record comes back as it was written.
//!
//! Key, payload and the attributes that CloudEvents 1.0 names are for whoever else reads the topic. The extension
//! attributes carry the rest of the record and the fact, each under its checksum. All numbers are written as text, for
//! an integer of CloudEvents has 32 bits only.

use super::Delivery;
use super::partition::partition;
use crate::event_log::seal::{self, CRC};
use crate::event_log::{BodyHash, CommandId, Envelope, EventId, LogId, Position, RecordedEvent, Revision, StreamId};
use crate::seam::Timestamp;
use bytes::Bytes;
use std::fmt::Write;
use thiserror::Error;
use uuid::Uuid;

#[cfg(test)]
mod tests;

/// What the topic's `ce_source` begins with; the log's id follows.
const SOURCE: &str = "/colophon/logs/";

/// What an event's `ce_type` begins with; the type's name and `.v` with its version follow.
const TYPE: &str = "colophon.";

/// The `ce_type` of a message without event: readers that are not workers skip it.
const PROGRESS: &str = "colophon.Progress";

/// A message as it is handed to a producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Into which partition it goes.
    pub partition: u16,
    /// The stream's id.
    pub key: Option<StreamId>,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// The event's data.
    pub payload: Option<Bytes>,
}

impl Message {
    /// The message that says what a delivery says.
    pub fn of(delivery: &Delivery) -> Self {
        let Delivery { log, partition, after, position, event } = delivery;
        let mut headers = vec![
            ("ce_specversion", "1.0".to_owned()),
            ("ce_source", format!("{SOURCE}{}", log.0)),
            ("ce_after", after.0.to_string()),
            ("ce_position", position.0.to_string()),
            ("ce_factchecksum", format!("{:016x}", fact_checksum(delivery))),
        ];
        match event {
            Some(event) => describe(event, &mut headers),
            None => {
                headers.push(("ce_type", PROGRESS.to_owned()));
                headers.push(("ce_id", format!("{partition}-{}-{}", after.0, position.0)));
            }
        }
        let key = event.as_ref().map(|event| event.stream.clone());
        let payload = event.as_ref().map(|event| event.data.clone());
        Self { partition: *partition, key, headers, payload }
    }
}

fn describe(event: &RecordedEvent, headers: &mut Vec<(&'static str, String)>) {
    let Envelope { id, command_id, body_hash, event_type, version, recorded_at, traceparent } = &event.envelope;
    headers.extend([
        ("ce_type", format!("{TYPE}{event_type}.v{version}")),
        ("ce_id", id.0.to_string()),
        ("ce_subject", event.stream.to_string()),
        ("ce_dataschema", format!("/schemas/{event_type}.v{version}.json")),
        ("content-type", "application/json".to_owned()),
        ("ce_revision", event.revision.0.to_string()),
        ("ce_commandid", command_id.0.to_string()),
        ("ce_bodyhash", hex(&body_hash.0)),
        ("ce_recordedat", recorded_at.0.to_string()),
        ("ce_previouschecksum", format!("{:016x}", event.previous_checksum)),
        ("ce_checksum", format!("{:016x}", event.checksum)),
    ]);
    // A moment that RFC 3339 cannot write is told in microseconds only.
    if let Ok(time) = jiff::Timestamp::from_microsecond(recorded_at.0) {
        headers.push(("ce_time", time.to_string()));
    }
    if !traceparent.is_empty() {
        headers.push(("traceparent", traceparent.clone()));
    }
}

/// CRC-64/NVME over what a delivery says besides its event, and over the event's own checksum.
fn fact_checksum(delivery: &Delivery) -> u64 {
    let mut digest = CRC.digest();
    digest.update(delivery.log.0.as_bytes());
    digest.update(&delivery.partition.to_be_bytes());
    let event = delivery.event.as_ref().map_or(0, |event| event.checksum);
    for number in [delivery.after.0, delivery.position.0, event] {
        digest.update(&number.to_be_bytes());
    }
    digest.finalize()
}

/// Why a message is not taken: it is not one of these, or not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the message at {topic}, partition {partition}, offset {offset}: expected {expected} as {part}, found {found}")]
pub struct MessageError {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Where in the partition.
    pub offset: i64,
    /// Which part of the message is wrong.
    pub part: &'static str,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

/// A message as it was found in a topic.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// Where in the partition.
    pub offset: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// Names and values.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// The payload.
    pub payload: Option<&'a [u8]>,
}

impl Found<'_> {
    /// What the message says of its partition, one of so many; checked against its checksums.
    pub fn delivery(&self, partitions: u16) -> Result<Delivery, MessageError> {
        self.same("ce_specversion", "1.0", self.header("ce_specversion")?)?;
        let source = self.header("ce_source")?;
        let log = source.strip_prefix(SOURCE).and_then(|log| log.parse().ok());
        let log = LogId(log.ok_or_else(|| self.wrong("ce_source", "/colophon/logs/ and a log's id", source))?);
        let (after, position) = (Position(self.number("ce_after")?), Position(self.number("ce_position")?));
        let place = u16::try_from(self.partition).ok().filter(|partition| *partition < partitions);
        let place = place.ok_or_else(|| self.wrong("partition", format!("one of {partitions}"), self.partition))?;
        let event = match self.header("ce_type")? {
            PROGRESS => None,
            event_type => Some(self.event(event_type, position)?),
        };
        let belongs = |event: &RecordedEvent| partition(event.stream.as_str(), partitions);
        if let Some(belongs) = event.as_ref().map(belongs).filter(|belongs| *belongs != place) {
            return Err(self.wrong("partition", belongs, place));
        }
        let delivery = Delivery { log, partition: place, after, position, event };
        self.same("ce_factchecksum", &format!("{:016x}", fact_checksum(&delivery)), self.header("ce_factchecksum")?)?;
        Ok(delivery)
    }

    fn event(&self, event_type: &str, position: Position) -> Result<RecordedEvent, MessageError> {
        let versioned = |name: &str| {
            let (name, version) = name.strip_prefix(TYPE)?.rsplit_once(".v")?;
            Some((name.to_owned(), version.parse().ok()?))
        };
        let (name, version) = versioned(event_type)
            .ok_or_else(|| self.wrong("ce_type", "colophon., an event's type, .v and its version", event_type))?;
        let stream = self.key.and_then(|key| std::str::from_utf8(key).ok());
        let stream = stream.ok_or_else(|| self.wrong("key", "a stream's id", "none, or bytes that are no text"))?;
        let envelope = Envelope {
            id: EventId(self.uuid("ce_id")?),
            command_id: CommandId(self.uuid("ce_commandid")?),
            body_hash: BodyHash(self.bytes("ce_bodyhash")?),
            event_type: name,
            version,
            recorded_at: Timestamp(self.number("ce_recordedat")?),
            traceparent: self.optional("traceparent")?.unwrap_or_default().to_owned(),
        };
        let event = RecordedEvent {
            stream: StreamId::new(stream),
            revision: Revision(self.number("ce_revision")?),
            position,
            envelope,
            data: Bytes::copy_from_slice(self.payload.unwrap_or_default()),
            previous_checksum: u64::from_be_bytes(self.bytes("ce_previouschecksum")?),
            checksum: u64::from_be_bytes(self.bytes("ce_checksum")?),
        };
        self.same("ce_checksum", &format!("{:016x}", seal::checksum(&event)), self.header("ce_checksum")?)?;
        Ok(event)
    }

    fn optional(&self, name: &'static str) -> Result<Option<&str>, MessageError> {
        let Some((_, value)) = self.headers.iter().find(|(found, _)| *found == name) else { return Ok(None) };
        let text = std::str::from_utf8(value);
        text.map(Some).map_err(|_| self.wrong(name, "text", value.escape_ascii()))
    }

    fn header(&self, name: &'static str) -> Result<&str, MessageError> {
        self.optional(name)?.ok_or_else(|| self.wrong(name, "a header", "none"))
    }

    fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, MessageError> {
        let text = self.header(name)?;
        text.parse().map_err(|_| self.wrong(name, "a number", text))
    }

    fn uuid(&self, name: &'static str) -> Result<Uuid, MessageError> {
        let text = self.header(name)?;
        text.parse().map_err(|_| self.wrong(name, "a UUID", text))
    }

    fn bytes<const N: usize>(&self, name: &'static str) -> Result<[u8; N], MessageError> {
        let text = self.header(name)?;
        from_hex(text).ok_or_else(|| self.wrong(name, format!("{} hexadecimal digits", 2 * N), text))
    }

    fn same(&self, part: &'static str, expected: &str, found: &str) -> Result<(), MessageError> {
        if expected == found { Ok(()) } else { Err(self.wrong(part, expected, found)) }
    }

    fn wrong(&self, part: &'static str, expected: impl ToString, found: impl ToString) -> MessageError {
        let (topic, expected, found) = (self.topic.to_owned(), expected.to_string(), found.to_string());
        MessageError { topic, partition: self.partition, offset: self.offset, part, expected, found }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes whatever is written to it");
        text
    })
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes?.try_into().ok()
}
