//! What was written once is read for ever: golden files, published schemas, hostile bytes.

use super::*;
use domain::book::description::{
    Authors, Description, Edition, Format, Language, PublicationDate, Subject, Subjects, Title,
};
use domain::book::isbn::Isbn;
use domain::book::{self, Listing};
use domain::money::{Currency, Money};
use domain::order::holds::ReturnedLine;
use domain::order::lines::{Line, Lines, Quantity};
use domain::order::settlement::{Outcome, PaymentId};
use domain::order::{
    self, CancellationReason, CustomerId, Happening, OrderId, Placement, RefundCause, Shortage, Status,
};
use domain::stock::{self, Copies, Delta, Figures, Movement, Reason};
use domain::timestamp::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use uuid::Uuid;

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(directory_name: &str, event_type: &str, version: u16) -> String {
    let path = directory(directory_name).join(format!("{event_type}.v{version}.json"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim_end().to_owned()
}

/// One event of each type, as its golden file has it. A new event is a new line here, and the compiler asks for
/// its codec.
fn events() -> Vec<Event> {
    let full = Description {
        title: Title::parse("The Typesetter's Daughter").unwrap(),
        authors: Authors::parse(&["Ada Example", "李小明"]).unwrap(),
        language: Language::parse("zh-Hant").unwrap(),
        subjects: Subjects::parse(vec![
            Subject::parse("thema", Some("1.5"), "FBA").unwrap(),
            Subject::parse("keyword", None, "printing").unwrap(),
        ])
        .unwrap(),
        published_on: Some(PublicationDate::parse("2024-05").unwrap()),
        edition: Some(Edition::parse("2nd, revised").unwrap()),
        format: Some(Format::Paperback),
    };
    let bare = Description {
        title: Title::parse("Plain").unwrap(),
        authors: Authors::parse(&["Ada Example"]).unwrap(),
        language: Language::parse("und").unwrap(),
        subjects: Subjects::default(),
        published_on: None,
        edition: None,
        format: None,
    };
    let isbn = Isbn::parse("0-306-40615-2").unwrap();
    let price = Money::new(4_200, Currency::parse("CNY").unwrap()).unwrap();
    let highest = Money::new(domain::money::MAX_AMOUNT, Currency::parse("JPY").unwrap()).unwrap();
    let order = OrderId::from(Uuid::from_u128(0x6f1d_2c1e_8f0b_4e0a_9a53_5a0d_3c6f_7b21));
    let moved =
        |movement, on_hand, reserved| Event::Stock(stock::Event { movement, after: Figures { on_hand, reserved } });
    let reason = Reason::parse("lost in the flood").unwrap();
    vec![
        Event::Book(book::Event::Registered(Listing { isbn, description: full, price: Some(price) })),
        Event::Book(book::Event::Revised(bare)),
        Event::Book(book::Event::Repriced(Some(highest))),
        Event::Book(book::Event::Retired),
        moved(Movement::Adjusted { delta: Delta::new(-3).unwrap(), reason }, 7, 2),
        moved(Movement::Counted { taken_at: 4 }, 1_000_000_000, 0),
        moved(Movement::Reserved { order, copies: Copies::new(2).unwrap() }, 10, 2),
        moved(Movement::Committed { order }, 8, 0),
        moved(Movement::Released { order }, 10, 0),
        moved(Movement::TakenBack { order, copies: Copies::new(2).unwrap() }, 10, 0),
    ]
    .into_iter()
    .chain(order_events(price))
    .collect()
}

fn order_events(price: Money) -> Vec<Event> {
    let happened = |what, status| Event::Order(order::Event { what, status });
    let book = domain::book::BookId::from(Uuid::from_u128(0x3a86_290a_a908_55b8_a3b5_2185_ef25_51fd));
    let payment = PaymentId::parse("pay_2f8c").unwrap();
    let quantity = Quantity::new(2).unwrap();
    let line = Line { book, book_revision: 3, title: Title::parse("Plain").unwrap(), unit_price: price, quantity };
    let lines = Lines::recorded(vec![line]).unwrap();
    let total = lines.total();
    let customer = CustomerId(Uuid::from_u128(0x9b2d_6b52_7f0e_4c8b_8d5e_2f1b_7d3f_0a11));
    let pay_by = Timestamp(1_795_588_200_000_000);
    let (taken, outcome) = (true, Outcome::Succeeded(total));
    let returned = ReturnedLine { book, quantity, restock: true };
    vec![
        happened(Happening::Placed(Placement { customer, lines, pay_by }), Status::Pending),
        happened(Happening::StockReserved, Status::AwaitingPayment),
        happened(Happening::StockRefused { shortages: vec![Shortage { book, available: 1 }] }, Status::Rejected),
        happened(Happening::StockCommitted, Status::Paid),
        happened(Happening::StockReleased, Status::PaymentFailed),
        happened(Happening::PaymentRecorded { payment: payment.clone(), outcome, taken }, Status::AwaitingPayment),
        happened(Happening::Paid { payment: payment.clone(), copies: vec![(book, quantity)] }, Status::Paid),
        happened(Happening::Refunded { payment, amount: total, cause: RefundCause::Granted }, Status::Refunded),
        happened(Happening::Cancelled { reason: CancellationReason::NotPaidInTime }, Status::Cancelled),
        happened(Happening::Shipped, Status::Shipped),
        happened(Happening::Returned { number: 1, lines: vec![returned] }, Status::Shipped),
        happened(Happening::Restocked { number: 1, refused: vec![book] }, Status::Shipped),
    ]
}

#[test]
fn every_name_in_a_stored_order_is_read_back() {
    let payment = PaymentId::parse("p").unwrap();
    let amount = Money::new(1, Currency::parse("CNY").unwrap()).unwrap();
    let causes = [RefundCause::Cancelled, RefundCause::NotTaken, RefundCause::Granted];
    let refunds = causes.map(|cause| Happening::Refunded { payment: payment.clone(), amount, cause });
    let reasons = [
        CancellationReason::ChangedMind,
        CancellationReason::OrderedByMistake,
        CancellationReason::TooSlow,
        CancellationReason::Other,
        CancellationReason::NotPaidInTime,
    ];
    let cancellations = reasons.map(|reason| Happening::Cancelled { reason });
    let failed = Happening::PaymentRecorded { payment, outcome: Outcome::Failed, taken: false };
    for what in refunds.into_iter().chain(cancellations).chain([failed]) {
        let event = Event::Order(order::Event { what, status: Status::Cancelled });
        let encoded = encode(&event);
        assert_eq!(decode(encoded.event_type, encoded.version, &encoded.data).unwrap(), event);
    }
    for status in [Status::Pending, Status::Rejected, Status::AwaitingPayment, Status::Paid, Status::PaymentFailed] {
        let event = Event::Order(order::Event { what: Happening::StockCommitted, status });
        let encoded = encode(&event);
        let named = format!("{{\"status\":\"{}\"}}", crate::api::order::Status::from(status).name());
        assert_eq!(String::from_utf8(encoded.data.clone()).unwrap(), named);
        assert_eq!(decode(encoded.event_type, encoded.version, &encoded.data).unwrap(), event);
    }
}

#[test]
fn each_event_is_written_as_its_golden_file_and_read_back() {
    for event in events() {
        let encoded = encode(&event);
        let golden = read("golden", encoded.event_type, encoded.version);
        assert_eq!(String::from_utf8(encoded.data).unwrap(), golden, "{}", encoded.event_type);
        assert_eq!(decode(encoded.event_type, encoded.version, golden.as_bytes()).unwrap(), event);
    }
}

/// Every type with its versions, as the files in a directory name them.
fn versions(directory_name: &str) -> BTreeMap<String, BTreeSet<u16>> {
    let mut versions: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for entry in std::fs::read_dir(directory(directory_name)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // Beside the events lie logs and folds of several of them.
        if let Some((event_type, version)) = name.strip_suffix(".json").and_then(|stem| stem.split_once(".v")) {
            versions.entry(event_type.to_owned()).or_default().insert(version.parse().unwrap());
        }
    }
    versions
}

/// The version of each type that is written.
pub(crate) fn newest_versions() -> BTreeMap<&'static str, u16> {
    events().iter().map(encode).map(|event| (event.event_type, event.version)).collect()
}

#[test]
fn versions_are_counted_from_one_and_the_newest_is_written() {
    let newest = newest_versions().into_iter();
    let expected = newest.map(|(name, version)| (name.to_owned(), (1..=version).collect())).collect();
    for directory in ["golden", "json-schema"] {
        assert_eq!(versions(directory), expected, "{directory} has to have each version of each type, and no other");
    }
}

#[test]
fn every_golden_file_can_be_read_and_has_a_schema_that_it_follows() {
    for (event_type, version) in all_versions() {
        let name = format!("{event_type} version {version}");
        let golden = read("golden", &event_type, version);
        decode(&event_type, version, golden.as_bytes()).unwrap();
        let validator = jsonschema::draft202012::new(&schema(&event_type, version)).unwrap();
        let value: Value = serde_json::from_str(&golden).unwrap();
        assert!(validator.is_valid(&value), "{name} does not follow its schema");
        let mut more = value.clone();
        more["unheard_of"] = true.into();
        assert!(!validator.is_valid(&more), "the schema of {name} lets unknown fields through");
        assert!(decode(&event_type, version, more.to_string().as_bytes()).is_err(), "{name}");
    }
}

#[test]
fn every_schema_says_what_it_is() {
    for (event_type, version) in all_versions() {
        let schema = schema(&event_type, version);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["$id"], format!("urn:colophon:event:{event_type}:{version}"));
        assert_eq!(schema["title"], format!("{event_type}, version {version}"));
        let description = schema["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.'), "{event_type} version {version} needs a sentence, not {description:?}");
    }
}

fn all_versions() -> impl Iterator<Item = (String, u16)> {
    let versions = versions("golden").into_iter();
    versions.flat_map(|(name, versions)| versions.into_iter().map(move |version| (name.clone(), version)))
}

fn schema(event_type: &str, version: u16) -> Value {
    serde_json::from_str(&read("json-schema", event_type, version)).unwrap()
}

#[test]
fn an_older_version_is_read_as_the_same_event() {
    for event_type in ["BookRegistered", "BookRevised"] {
        let [first, second] =
            [1, 2].map(|version| decode(event_type, version, read("golden", event_type, version).as_bytes()).unwrap());
        assert_eq!(first, second, "{event_type}");
    }
}

#[test]
fn more_may_come_to_be_known_of_an_author() {
    let golden = read("golden", "BookRevised", 2);
    let more = golden.replace(r#"{"name":"#, r#"{"id":"3a86290a-a908-55b8-a3b5-2185ef2551fd","name":"#);
    assert_ne!(golden, more);
    let [known, read] = [&golden, &more].map(|data| decode("BookRevised", 2, data.as_bytes()).unwrap());
    assert_eq!(known, read);
    let validator = jsonschema::draft202012::new(&schema("BookRevised", 2)).unwrap();
    assert!(validator.is_valid(&serde_json::from_str(&more).unwrap()));
}

#[test]
fn only_the_type_of_a_refund_contains_refund() {
    let types: Vec<_> = events().iter().map(|event| encode(event).event_type).collect();
    assert_eq!(types.into_iter().filter(|name| name.contains("Refund")).collect::<Vec<_>>(), ["OrderRefunded"]);
}

#[test]
fn a_field_that_is_missing_or_of_another_type_is_refused() {
    for event in events() {
        let encoded = encode(&event);
        let whole: Value = serde_json::from_slice(&encoded.data).unwrap();
        for field in whole.as_object().unwrap().keys() {
            let mut changed = whole.clone();
            changed[field] = serde_json::json!([[]]);
            let read = decode(encoded.event_type, encoded.version, changed.to_string().as_bytes());
            assert!(matches!(read, Err(DecodeError::Malformed { .. })), "{field} of {}", encoded.event_type);
        }
    }
}

#[test]
fn what_is_not_known_is_named() {
    for (event_type, version) in [("BookRegistered", 3), ("BookSold", 1), ("StockCounted", 0), ("", 1), ("Book", 1)] {
        let error = decode(event_type, version, b"{}").unwrap_err();
        assert!(matches!(error, DecodeError::Unknown { .. }), "{event_type} {version}: {error}");
    }
}

#[test]
fn a_stored_value_that_breaks_a_rule_is_refused() {
    for (event_type, data) in [
        ("BookRepriced", r#"{"price":{"amount":9007199254740992,"currency":"CNY"}}"#),
        ("BookRepriced", r#"{"price":{"amount":1,"currency":"cny"}}"#),
        ("StockAdjusted", r#"{"delta":0,"reason":"none","on_hand":1,"reserved":0}"#),
        ("StockCounted", r#"{"taken_at":1,"on_hand":1,"reserved":2}"#),
        ("StockCounted", r#"{"taken_at":1,"on_hand":1000000001,"reserved":2}"#),
        ("OrderPaid", r#"{"payment_id":"","copies":[],"status":"paid"}"#),
    ] {
        let error = decode(event_type, 1, data.as_bytes()).unwrap_err();
        assert!(matches!(error, DecodeError::Invalid { .. }), "{data}: {error}");
    }
}

proptest::proptest! {
    #[test]
    fn hostile_bytes_are_refused_without_a_panic(index in 0..22_usize, place: usize, byte: u8) {
        let encoded = encode(&events()[index]);
        let mut data = encoded.data;
        let place = place % data.len();
        data[place] = byte;
        // Some changes leave a valid event behind; none may stop the program.
        let _ = decode(encoded.event_type, encoded.version, &data);
        data.truncate(place);
        proptest::prop_assert!(decode(encoded.event_type, encoded.version, &data).is_err());
    }
}
