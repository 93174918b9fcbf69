//! The AsyncAPI document of the topic, made from the published schemas: `schemas/asyncapi.json` is as it is made here.
//!
//! A payload's schema is referred to, not repeated: the file that is published stays the one that counts.

use crate::events::tests::newest_versions;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The document, among what this crate publishes.
const DOCUMENT: &str = "asyncapi.json";

/// The version of the document's subject: how events become messages. A new type or version of an event is a minor one.
const VERSION: &str = "1.0.0";

const BINDING: &str = "0.5.0";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A published version of a type.
struct Published {
    event_type: String,
    version: u16,
}

impl Published {
    /// All of them, by type and version.
    fn all() -> Vec<Self> {
        let names = std::fs::read_dir(root().join("json-schema")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut all: Vec<_> = names
            .map(|name| {
                let (event_type, version) =
                    name.to_str().unwrap().strip_suffix(".json").unwrap().split_once(".v").unwrap();
                Self { event_type: event_type.to_owned(), version: version.parse().unwrap() }
            })
            .collect();
        all.sort_unstable_by(|one, other| (&one.event_type, one.version).cmp(&(&other.event_type, other.version)));
        all
    }

    fn name(&self) -> String {
        format!("{}.v{}", self.event_type, self.version)
    }

    /// `Book`, `Stock` or `Order`: each type begins with the aggregate whose it is.
    fn aggregate(&self) -> &str {
        let after_first = self.event_type[1..].find(char::is_uppercase).expect("a type is an aggregate and a verb");
        &self.event_type[..=after_first]
    }

    fn message(&self) -> Value {
        let (name, schema) = (self.name(), format!("json-schema/{}.json", self.name()));
        let says = read(&root().join(&schema))["description"].as_str().unwrap().to_owned();
        let newest = newest_versions()[self.event_type.as_str()];
        let written = if self.version == newest {
            String::new()
        } else {
            format!(" Only version {newest} is written; events of version {} stay as they are.", self.version)
        };
        let fixed = |value: String| json!({"type": "string", "const": value});
        json!({
            "name": format!("colophon.{name}"),
            "title": format!("{}, version {}", self.event_type, self.version),
            "summary": format!("{says}{written}"),
            "tags": [{"name": self.aggregate().to_lowercase()}],
            "traits": [{"$ref": "#/components/messageTraits/event"}],
            "headers": {
                "allOf": [{"$ref": "#/components/schemas/eventHeaders"}],
                "type": "object",
                "properties": {
                    "ce_type": fixed(format!("colophon.{name}")),
                    "ce_dataschema": fixed(format!("/schemas/{name}.json")),
                },
            },
            "payload": {
                "schemaFormat": "application/schema+json;version=draft-2020-12",
                "schema": {"$ref": schema},
            },
            "examples": [{"name": name, "payload": read(&root().join(format!("golden/{name}.json")))}],
        })
    }
}

/// A header: text of this form.
fn header(pattern: &str, description: &str) -> Value {
    json!({"type": "string", "pattern": pattern, "description": description})
}

const UUID: &str = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";

/// An object with these properties, all of them required but those that are named.
fn headers(description: &str, optional: &[&str], properties: Vec<(&str, Value)>) -> Value {
    let names = properties.iter().map(|(name, _)| *name);
    let required: Vec<_> = names.filter(|name| !optional.contains(name)).collect();
    let properties: Map<_, _> = properties.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    json!({"type": "object", "description": description, "required": required, "properties": properties})
}

/// What every message says of its partition.
fn fact() -> Vec<(&'static str, Value)> {
    let (digits, source) = ("^[0-9]+$", format!("^/colophon/logs/{UUID}$"));
    vec![
        ("ce_specversion", json!({"type": "string", "const": "1.0"})),
        ("ce_source", header(&source, "Which log it is of. Positions of different logs do not compare.")),
        ("ce_after", header(digits, "Where what the message says of its partition begins (exclusive).")),
        ("ce_position", header(digits, "Where it ends (inclusive): the event's place in the log.")),
        ("ce_factchecksum", header("^[0-9a-f]{16}$", "For the program's own workers: over the fact.")),
    ]
}

fn event_headers() -> Value {
    let mut properties = fact();
    properties.extend([
        ("ce_id", header(&format!("^{UUID}$"), "The event's id.")),
        ("ce_type", header("^colophon\\.[A-Za-z]+\\.v[0-9]+$", "`colophon.`, the event's type, `.v` and its version.")),
        ("ce_subject", header("^[a-z]+-", "The stream: the aggregate and its id, such as `book-<UUID>`.")),
        (
            "ce_dataschema",
            header("^/schemas/", "The published schema of the payload; the last part is its file's name."),
        ),
        ("ce_time", json!({"type": "string", "format": "date-time", "description": "When it was decided."})),
        ("content-type", json!({"type": "string", "const": "application/json"})),
        ("traceparent", json!({"type": "string", "description": "W3C trace context of the request that caused it."})),
        ("ce_revision", header("^[1-9][0-9]*$", "The event's place in its stream, from 1 on, without gaps.")),
        ("ce_commandid", header(&format!("^{UUID}$"), "The command that caused it; its events share it.")),
        ("ce_bodyhash", header("^[0-9a-f]{64}$", "What that command asked for.")),
        ("ce_recordedat", header("^-?[0-9]+$", "When it was decided, in microseconds since 1970.")),
        ("ce_previouschecksum", header("^[0-9a-f]{16}$", "The checksum of the event before it in its stream.")),
        ("ce_checksum", header("^[0-9a-f]{16}$", "CRC-64/NVME over the whole record.")),
    ]);
    headers(
        "CloudEvents 1.0, binary mode, as headers of Kafka. Every value is text. Pass over headers that you do not know.",
        &["ce_time", "traceparent"],
        properties,
    )
}

fn progress() -> Value {
    let mut properties = fact();
    properties.extend([
        ("ce_type", json!({"type": "string", "const": "colophon.Progress"})),
        ("ce_id", header("^[0-9]+-[0-9]+-[0-9]+$", "Partition, `ce_after` and `ce_position`.")),
    ]);
    json!({
        "name": "colophon.Progress",
        "title": "Progress",
        "summary": "No event: the partition holds none after `ce_after` and up to `ce_position`.",
        "description": "It has neither key nor payload. There is nothing to be done for it; but what it says of the \
                        partition counts, so keep its position as that of an event.",
        "headers": headers("CloudEvents 1.0, binary mode, as headers of Kafka.", &[], properties),
        "payload": {"type": "null"},
        "bindings": {"kafka": {"bindingVersion": BINDING}},
    })
}

const DESCRIPTION: &str = "\
Every event of a Colophon's log, in its order, for whoever wants to follow.

- **Partitions.** A message's key is the stream's id, and its partition is what the Java client's default partitioner makes \
of that (murmur2). So events of one stream come in the order of their revisions; between streams of different partitions \
there is no order but `ce_position`.
- **Completeness.** Each message says that in its partition nothing lies between `ce_after` and `ce_position` but this event, \
or nothing at all (`colophon.Progress`). Keep, for each partition, the position up to which you have it all. A message with \
`ce_after` <= kept < `ce_position` is the next one: take it, and keep its position. With `ce_position` <= kept it is a \
repeat: pass over it. With `ce_after` > kept something before it has not come, and will come again in order: pass over it, too; \
if nothing fits for some time, the topic no longer has what you lack.
- **Delivery.** At least once. Nothing is ever out of order or left out, if you go by the rule above.
- **Versions.** A payload follows the schema that `ce_dataschema` names. Published schemas never change; a change is a next \
version, under another `ce_type`. Consumers have to know a version before it is written.";

fn document() -> Value {
    let (mut messages, mut listed) = (Map::new(), Map::new());
    let events = Published::all().into_iter().map(|published| (published.name(), published.message()));
    for (name, message) in events.chain([("Progress".to_owned(), progress())]) {
        listed.insert(name.clone(), json!({"$ref": format!("#/components/messages/{name}")}));
        messages.insert(name, message);
    }
    json!({
        "asyncapi": "3.0.0",
        "id": "urn:colophon:events",
        "info": {
            "title": "Colophon's events",
            "version": VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{brokers}",
                "protocol": "kafka",
                "description": "The cluster that `kafka.brokers` of the configuration names.",
                "variables": {"brokers": {"default": "127.0.0.1:9092"}},
            },
        },
        "channels": {
            "events": {
                "address": "colophon.events",
                "title": "Events",
                "description": "The topic that `kafka.topic` of the configuration names. The figures are those that it is \
                                made with unless configured otherwise; the number of partitions is fixed then.",
                "messages": listed,
                "bindings": {
                    "kafka": {
                        "topic": "colophon.events",
                        "partitions": 12,
                        "topicConfiguration": {
                            "cleanup.policy": ["delete"],
                            "retention.ms": 604_800_000,
                            "max.message.bytes": 8_388_608,
                        },
                        "bindingVersion": BINDING,
                    },
                },
            },
        },
        "operations": {
            "relay": {
                "action": "send",
                "channel": {"$ref": "#/channels/events"},
                "title": "Relay",
                "summary": "Each event that is in the log is sent, whole batches at a time; a batch that was cut off is sent again.",
            },
        },
        "components": {
            "messages": messages,
            "messageTraits": {
                "event": {
                    "contentType": "application/json",
                    "bindings": {
                        "kafka": {
                            "key": {"type": "string", "description": "The stream's id, as in `ce_subject`."},
                            "bindingVersion": BINDING,
                        },
                    },
                },
            },
            "schemas": {"eventHeaders": event_headers()},
        },
    })
}

#[test]
fn the_document_is_as_it_is_made() {
    let (path, made) = (root().join(DOCUMENT), document());
    if std::env::var_os("UPDATE_ASYNCAPI").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    assert!(
        read(&path) == made,
        "{DOCUMENT} is not what the schemas come to: run `UPDATE_ASYNCAPI=1 cargo test -p schemas asyncapi`, and look at \
         what changed, for others rely on it"
    );
}

/// Every `$ref` in a value, with where it is.
fn references<'a>(value: &'a Value, place: &str, found: &mut Vec<(String, &'a str)>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => return,
    };
    for (name, child) in children {
        let place = format!("{place}/{name}");
        match (name.as_str(), child.as_str()) {
            ("$ref", Some(target)) => found.push((place, target)),
            _ => references(child, &place, found),
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut found = Vec::new();
    references(&document, "", &mut found);
    let files = found.iter().filter(|(_, target)| !target.starts_with('#')).count();
    assert_eq!(files, Published::all().len(), "each schema is referred to once");
    for (place, target) in found {
        match target.strip_prefix('#') {
            Some(pointer) => assert!(document.pointer(pointer).is_some(), "{place}: {target}"),
            None => assert!(read(&root().join(target)).is_object(), "{place}: {target}"),
        }
    }
}

#[test]
fn every_message_of_a_version_names_its_own_schema() {
    let document = document();
    for published in Published::all() {
        let message = &document["components"]["messages"][published.name()];
        let schema = read(&root().join(message["payload"]["schema"]["$ref"].as_str().unwrap()));
        assert_eq!(schema["$id"], format!("urn:colophon:event:{}:{}", published.event_type, published.version));
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        assert!(validator.is_valid(&message["examples"][0]["payload"]), "{}", published.name());
        assert!(["book", "stock", "order"].contains(&message["tags"][0]["name"].as_str().unwrap()));
    }
}

/// What AsyncAPI 3.0 demands of the parts that the document has.
#[test]
fn the_document_has_the_form_of_asyncapi_3() {
    let document = document();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let known = |value: &Value, known: &[&str], what: &str| {
        for name in names(value) {
            assert!(known.contains(&name.as_str()), "{what} has no field {name}");
        }
    };
    let top = ["asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"];
    known(&document, &top, "a document");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    for server in document["servers"].as_object().unwrap().values() {
        assert!(server["host"].is_string() && server["protocol"].is_string());
    }
    for operation in document["operations"].as_object().unwrap().values() {
        assert!(operation["action"] == "send" || operation["action"] == "receive");
        assert!(operation["channel"]["$ref"].is_string());
    }
    let fields =
        ["name", "title", "summary", "description", "tags", "traits", "headers", "payload", "examples", "bindings"];
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        assert!(name.chars().all(allowed), "{name}");
        known(message, &fields, "a message");
        assert_eq!(message["headers"]["type"], "object", "{name}");
        assert_eq!(document["channels"]["events"]["messages"][name]["$ref"], format!("#/components/messages/{name}"));
    }
    for schema in [&document["components"]["schemas"]["eventHeaders"], &progress()["headers"]] {
        jsonschema::draft202012::new(schema).unwrap();
        // CloudEvents: names of attributes are lower-case letters and digits, twenty at most.
        for name in names(&schema["properties"]).iter().filter_map(|name| name.strip_prefix("ce_")) {
            assert!(name.len() <= 20 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{name}");
        }
    }
}
