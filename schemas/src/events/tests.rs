//! What was written once is read for ever: golden files, published schemas, hostile bytes.

use super::*;
use domain::book::description::{
    Authors, Description, Edition, Format, Language, PublicationDate, Subject, Subjects, Title,
};
use domain::book::isbn::Isbn;
use domain::book::{self, Listing};
use domain::money::{Currency, Money};
use domain::stock::{self, Copies, Delta, Figures, Movement, OrderId, Reason};
use std::collections::BTreeSet;
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
    ]
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

#[test]
fn every_golden_file_can_be_read_and_has_a_schema_that_it_follows() {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(directory("golden")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (event_type, version) = name.strip_suffix(".json").and_then(|stem| stem.split_once(".v")).unwrap();
        let version = version.parse().unwrap();
        let golden = read("golden", event_type, version);
        decode(event_type, version, golden.as_bytes()).unwrap();
        let schema = serde_json::from_str(&read("json-schema", event_type, version)).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let value: serde_json::Value = serde_json::from_str(&golden).unwrap();
        assert!(validator.is_valid(&value), "{name} does not follow its schema");
        let mut more = value.clone();
        more["unheard_of"] = true.into();
        assert!(!validator.is_valid(&more), "the schema of {name} lets unknown fields through");
        assert!(decode(event_type, version, more.to_string().as_bytes()).is_err(), "{name}");
        names.insert(name);
    }
    let written: BTreeSet<_> =
        events().iter().map(encode).map(|event| format!("{}.v{}.json", event.event_type, event.version)).collect();
    assert!(written.is_subset(&names), "{:?} have no golden file", written.difference(&names));
}

#[test]
fn a_field_that_is_missing_or_of_another_type_is_refused() {
    for event in events() {
        let encoded = encode(&event);
        let whole: serde_json::Value = serde_json::from_slice(&encoded.data).unwrap();
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
    for (event_type, version) in [("BookRegistered", 2), ("BookSold", 1), ("StockCounted", 0), ("", 1), ("Book", 1)] {
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
    ] {
        let error = decode(event_type, 1, data.as_bytes()).unwrap_err();
        assert!(matches!(error, DecodeError::Invalid { .. }), "{data}: {error}");
    }
}

proptest::proptest! {
    #[test]
    fn hostile_bytes_are_refused_without_a_panic(index in 0..9_usize, place: usize, byte: u8) {
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
