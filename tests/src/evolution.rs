//! A log that an older version of the program wrote: read, decided on, continued in today's versions, and folded into views.

use crate::colophon::{Colophon, answer, isbn};
use crate::log_tools::tool;
use command_side::commands::{Commands, Request, Unavailable};
use command_side::dispatcher::{Dispatcher, Settings};
use domain::Command;
use domain::book::description::{Authors, Changes};
use domain::book::{self, BookId};
use platform::event_log::seal::checksum;
use platform::event_log::sqlite::SqliteLog;
use platform::event_log::{
    Append, BodyHash, CommandId, Decision, Envelope, EventId, EventLog, NewEvent, Position, RecordedEvent, Revision,
    StreamId,
};
use platform::seam::{Seam, Timestamp};
use projections::book::Books;
use projections::order::Orders;
use projections::search::Search;
use projections::stock::Stock;
use projections::view::{Fact, View};
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The book of the golden log that was revised and repriced.
const PLAIN: Uuid = Uuid::from_u128(0xdab1_ecfe_4428_500d_b76d_1864_2234_1ea8);

/// A line of the golden log, in the form of an export.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    position: u64,
    stream: &'a str,
    revision: u64,
    id: Uuid,
    command_id: Uuid,
    body_hash: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    version: u16,
    recorded_at: &'a str,
    traceparent: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
    checksum: &'a str,
}

/// The events of the golden log, as the program recorded them that wrote them.
fn golden() -> Vec<RecordedEvent> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/golden/log.v1.ndjson");
    let text = std::fs::read_to_string(path).unwrap();
    let mut last: HashMap<String, u64> = HashMap::new();
    let event = |line: &str| {
        let line: Line<'_> = serde_json::from_str(line).unwrap();
        let byte = |n: usize| u8::from_str_radix(&line.body_hash[2 * n..2 * n + 2], 16).unwrap();
        let checksum = u64::from_str_radix(line.checksum, 16).unwrap();
        RecordedEvent {
            stream: StreamId::new(line.stream),
            revision: Revision(line.revision),
            position: Position(line.position),
            envelope: Envelope {
                id: EventId(line.id),
                command_id: CommandId(line.command_id),
                body_hash: BodyHash(std::array::from_fn(byte)),
                event_type: line.event_type.to_owned(),
                version: line.version,
                recorded_at: Timestamp(schemas::timestamp::parse(line.recorded_at).unwrap().0),
                traceparent: line.traceparent.to_owned(),
            },
            data: line.data.get().to_owned().into(),
            previous_checksum: last.insert(line.stream.to_owned(), checksum).unwrap_or_default(),
            checksum,
        }
    };
    text.lines().map(event).collect()
}

/// A log that holds the golden events, one append for each command.
async fn old_log(directory: &TempDir, seam: &Seam) -> Arc<SqliteLog> {
    let log = Arc::new(SqliteLog::open(&directory.path().join("log.sqlite"), seam).await.unwrap());
    for command in golden().chunk_by(|one, next| one.envelope.command_id == next.envelope.command_id) {
        let events = command.iter().map(|event| {
            let RecordedEvent { envelope, data, .. } = event.clone();
            NewEvent { envelope, data }
        });
        let decision = Decision { command_id: command[0].envelope.command_id, events: events.collect() };
        let expected = Revision(command[0].revision.0 - 1);
        log.append(vec![Append { stream: command[0].stream.clone(), expected, decisions: vec![decision] }])
            .await
            .unwrap();
    }
    log
}

async fn all(log: &SqliteLog) -> Vec<RecordedEvent> {
    log.read_all(Position(0), usize::MAX).await.unwrap()
}

fn start(log: &Arc<SqliteLog>, seam: &Seam) -> Dispatcher {
    let log: Arc<dyn EventLog> = Arc::clone(log) as Arc<dyn EventLog>;
    Dispatcher::start(log, seam.clone(), Settings::default(), CancellationToken::new()).0
}

fn seam() -> Seam {
    Seam::seeded(1, Timestamp(1_800_000_000_000_000)).0
}

fn new_authors(seam: &Seam, stream: &StreamId) -> Request {
    let authors = Some(Authors::parse(&["Bo Beispiel", "Cy Sample"]).unwrap());
    let command = book::Command::Revise(Changes { authors, ..Changes::default() });
    Request::unkeyed(stream.clone(), Command::Book(command), seam)
}

/// The rows of a view, as a plain fold of the log makes them.
fn rows<V: View>(events: &[RecordedEvent]) -> Vec<Value> {
    let mut rows = BTreeMap::new();
    for recorded in events {
        let Some(owner) = schemas::stream::parse(recorded.stream.as_str()).filter(V::takes) else { continue };
        let Envelope { event_type, version, .. } = &recorded.envelope;
        let event = schemas::events::decode(event_type, *version, &recorded.data).unwrap();
        let fact = Fact { owner: &owner, event: &event, recorded, partition: 0, skipped: &[] };
        for key in V::keys(&fact) {
            let name = serde_json::to_string(&key).unwrap();
            if let Some(row) = V::evolve(rows.remove(&name), &key, &fact).unwrap() {
                rows.insert(name, row);
            }
        }
    }
    rows.values().map(|row| serde_json::to_value(row).unwrap()).collect()
}

#[tokio::test]
async fn an_old_log_is_read_as_it_was_written() {
    let golden = golden();
    for event in &golden {
        assert_eq!(checksum(event), event.checksum, "position {}", event.position.0);
    }
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(all(old_log(&directory, &seam()).await.as_ref()).await, golden);
    let types: BTreeSet<_> = golden.iter().map(|event| event.envelope.event_type.as_str()).collect();
    assert_eq!(types.len(), 22, "every type that there was");
    assert!(golden.iter().all(|event| event.envelope.version == 1));
}

#[tokio::test]
async fn the_views_of_an_old_log_are_as_ever() {
    let events = golden();
    insta::assert_json_snapshot!(json!({
        "books": rows::<Books>(&events),
        "stock": rows::<Stock>(&events),
        "orders": rows::<Orders>(&events),
        "search": rows::<Search>(&events),
    }));
}

#[tokio::test]
async fn an_old_stream_goes_on_in_the_newest_version() {
    let (directory, seam) = (tempfile::tempdir().unwrap(), seam());
    let log = old_log(&directory, &seam).await;
    let stream = StreamId::new(&schemas::stream::book(BookId::from(PLAIN)));
    let revised = start(&log, &seam).send(new_authors(&seam, &stream)).await.unwrap().outcome.unwrap();
    assert_eq!(revised.revision, Revision(4));
    let read = log.read_stream(&stream, Revision(0), 10).await.unwrap();
    let versions: Vec<_> = read.iter().map(|event| (&*event.envelope.event_type, event.envelope.version)).collect();
    assert_eq!(versions, [("BookRegistered", 1), ("BookRevised", 1), ("BookRepriced", 1), ("BookRevised", 2)]);
    let data: Value = serde_json::from_slice(&read[3].data).unwrap();
    assert_eq!(data["description"]["authors"], json!([{"name": "Bo Beispiel"}, {"name": "Cy Sample"}]));

    // Who reads old and new events together knows the book as the command left it.
    let read = start(&log, &seam).peek(command_side::commands::Lane::Customer, vec![stream]).await.unwrap();
    assert_eq!(read, [revised]);
    let events = all(&log).await;
    let rows = rows::<Books>(&events);
    let row = rows.iter().find(|row| row["id"] == PLAIN.to_string()).unwrap();
    assert_eq!(
        (&row["title"], &row["authors"], &row["price_amount"], &row["revision"]),
        (&json!("Plain, Revised"), &json!(r#"["Bo Beispiel","Cy Sample"]"#), &json!(1500), &json!(4))
    );
}

/// What a later version of the program might have appended.
pub async fn append_unknown(
    log: &SqliteLog,
    seam: &Seam,
    stream: &StreamId,
    expected: u64,
    (name, version): (&str, u16),
) {
    let command_id = CommandId(seam.uuid());
    let envelope = Envelope {
        id: EventId::of(command_id, 0),
        command_id,
        body_hash: BodyHash([0; 32]),
        event_type: name.to_owned(),
        version,
        recorded_at: seam.clock.now(),
        traceparent: String::new(),
    };
    let decisions = vec![Decision { command_id, events: vec![NewEvent { envelope, data: "{}".into() }] }];
    log.append(vec![Append { stream: stream.clone(), expected: Revision(expected), decisions }]).await.unwrap();
}

#[tokio::test]
async fn nothing_is_decided_on_a_stream_that_holds_what_is_not_known() {
    let (directory, seam) = (tempfile::tempdir().unwrap(), seam());
    let log = old_log(&directory, &seam).await;
    let of_book = |id| StreamId::new(&schemas::stream::book(BookId::from(id)));
    let ids = ["3a86290a-a908-55b8-a3b5-2185ef2551fd", "8ec3143e-7be3-55d2-8cc2-8d4d8e0c631c"];
    let [newer, renamed] = ids.map(|id| of_book(id.parse().unwrap()));
    append_unknown(&log, &seam, &newer, 1, ("BookRevised", 3)).await;
    append_unknown(&log, &seam, &renamed, 2, ("BookSold", 1)).await;
    let (head, dispatcher) = (log.head().await.unwrap(), start(&log, &seam));
    for stream in [&newer, &renamed] {
        let refused = dispatcher.send(new_authors(&seam, stream)).await;
        assert_eq!(refused, Err(Unavailable::Log), "{stream}");
    }
    assert_eq!(log.head().await.unwrap(), head, "nothing was appended to them");
    dispatcher.send(new_authors(&seam, &of_book(PLAIN))).await.unwrap().outcome.unwrap();
}

#[tokio::test]
async fn what_is_not_known_is_named_with_its_place() {
    let colophon = Colophon::start().await;
    let (book, other) = (colophon.register(&isbn(1)).await, colophon.register(&isbn(2)).await);
    let (data, stream) = (colophon.data(), format!("stock-main-{book}"));
    let directory = colophon.stop();
    {
        let seam = Seam::system();
        let log = SqliteLog::open(&data.join("log.sqlite"), &seam).await.unwrap();
        append_unknown(&log, &seam, &StreamId::new(&stream), 0, ("StockTransferred", 1)).await;
    }
    let colophon = Colophon::start_with(directory, &[], &[]).await;
    let refused = colophon.adjust(&book, 1).await;
    assert_eq!(refused.problem(), (503, "unavailable".to_owned()));
    assert!(!refused.header("retry-after").is_empty());
    assert!(!refused.body.contains("StockTransferred"), "the cause is logged, not sent");
    let named = format!("stream {stream}, revision 1: event type StockTransferred version 1 is not known");
    assert!(colophon.log().contains(&named), "{}", colophon.log());
    assert_eq!(colophon.adjust(&other, 1).await.status, 200);
    let read = answer(colophon.anonymous(reqwest::Method::GET, &format!("/v1/books/{book}"))).await;
    assert_eq!(read.status, 200, "the book itself is as it was");
}

#[tokio::test]
async fn an_imported_old_log_is_served_and_written_on() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let data = directory.path().join("data");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/golden/log.v1.ndjson");
    tool(&data, &["log", "import", file.to_str().unwrap()]);
    assert_eq!(tool(&data, &["log", "export", "-"]), std::fs::read_to_string(&file).unwrap());

    let colophon = Colophon::start_with(directory, &[], &[]).await;
    let path = format!("/v1/books/{PLAIN}");
    let read = colophon.get_at(&path, 33).await;
    assert_eq!((read.header("etag"), read.header("colophon-parked")), ("\"3\"", ""), "{read:?}");
    let change = colophon.manager(Method::PATCH, &path).header("If-Match", "\"3\"");
    let changed = answer(change.json(&json!({"authors": ["Ann Example", "李小明"]}))).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let read = colophon.get_at(&path, changed.position()).await.json();
    assert_eq!(
        (&read["authors"], &read["title"]),
        (&json!(["Ann Example", "李小明"]), &json!("Plain, Revised")),
        "{read}"
    );
    let stream =
        crate::log_tools::json(&tool(&colophon.data(), &["log", "stream", &format!("book-{PLAIN}"), "--json"]));
    let versions: Vec<_> =
        stream.iter().map(|event| (event["type"].as_str().unwrap(), event["version"].clone())).collect();
    assert_eq!(versions.last(), Some(&("BookRevised", json!(2))));
    assert!(
        versions.iter().filter(|(name, version)| *name == "BookRevised" && *version == 1).count() == 1,
        "{versions:?}"
    );
    tool(&colophon.data(), &["replay", "rebuild", "--all"]);
}
