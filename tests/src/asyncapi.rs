//! Messages are as the AsyncAPI document says, and it leaves out no header of theirs.

use crate::architecture::root;
use bytes::Bytes;
use platform::bus::Delivery;
use platform::bus::message::Message;
use platform::event_log::{BodyHash, CommandId, Envelope, EventId, LogId, Position, RecordedEvent, Revision, StreamId};
use platform::seam::Timestamp;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use uuid::Uuid;

fn schemas() -> PathBuf {
    root().join("schemas")
}

fn document() -> Value {
    serde_json::from_slice(&std::fs::read(schemas().join("asyncapi.json")).unwrap()).unwrap()
}

fn delivery(event: Option<RecordedEvent>) -> Delivery {
    let log = LogId(Uuid::from_u128(0x3a86_290a_a908_55b8_a3b5_2185_ef25_51fd));
    Delivery { log, partition: 0, after: Position(6), position: Position(7), event }
}

fn event(event_type: &str, version: u16, data: Vec<u8>) -> RecordedEvent {
    RecordedEvent {
        stream: StreamId::new("book-3a86290a-a908-55b8-a3b5-2185ef2551fd"),
        revision: Revision(1),
        position: Position(7),
        envelope: Envelope {
            id: EventId(Uuid::from_u128(7)),
            command_id: CommandId(Uuid::from_u128(7)),
            body_hash: BodyHash([7; 32]),
            event_type: event_type.to_owned(),
            version,
            recorded_at: Timestamp(1_795_588_200_000_000),
            traceparent: "00-588f5f2a101339d01f1e697e229fb88a-588f5f2a101339d0-01".to_owned(),
        },
        data: Bytes::from(data),
        previous_checksum: 0,
        checksum: 7,
    }
}

/// What the document says of a message's headers, by itself.
fn schema(document: &Value, name: &str) -> Value {
    let headers = &document["components"]["messages"][name]["headers"];
    assert!(headers.is_object(), "the document has no message {name}");
    json!({"allOf": [headers], "components": {"schemas": document["components"]["schemas"]}})
}

fn follows(document: &Value, name: &str, message: &Message) {
    let headers: Map<_, _> =
        message.headers.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect();
    let schema = schema(document, name);
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    if let Err(wrong) = validator.validate(&Value::Object(headers.clone())) {
        panic!("{name}: {}: {wrong}", wrong.instance_path());
    }
    let own = &document["components"]["messages"][name]["headers"]["properties"];
    let common = &document["components"]["schemas"]["eventHeaders"]["properties"];
    for header in headers.keys() {
        let known = own.get(header).or_else(|| common.get(header).filter(|_| name != "Progress"));
        assert!(known.is_some(), "the document does not know the header {header} of {name}");
    }
}

#[test]
fn every_message_is_as_the_document_says() {
    let document = document();
    let names = document["channels"]["events"]["messages"].as_object().unwrap().keys();
    let mut events = 0;
    for name in names.filter(|name| *name != "Progress") {
        let (event_type, version) = name.split_once(".v").unwrap();
        let data = std::fs::read(schemas().join(format!("golden/{name}.json"))).unwrap();
        let message = Message::of(&delivery(Some(event(event_type, version.parse().unwrap(), data))));
        follows(&document, name, &message);
        events += 1;
    }
    assert!(events > 20);
    let progress = Message::of(&delivery(None));
    assert_eq!((&progress.key, &progress.payload), (&None, &None));
    follows(&document, "Progress", &progress);
}
