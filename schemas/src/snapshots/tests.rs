//! The golden fold: frozen events and the state that they come to, so that no fold changes without its version.

use super::*;
use crate::events;
use crate::stream;
use domain::book::BookId;
use domain::stock::Location;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A line of a golden fold: an event as the log has it.
#[derive(serde::Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    version: u16,
    #[serde(borrow)]
    data: &'a RawValue,
}

fn golden(extension: &str) -> PathBuf {
    let name = format!("golden/fold/stock.f{}.{extension}", stock::FOLD_VERSION);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(extension: &str) -> String {
    std::fs::read_to_string(golden(extension)).unwrap_or_else(|error| {
        panic!("{}: {error}; each FOLD_VERSION has its own events and state", golden(extension).display())
    })
}

fn owner() -> Owner {
    Owner::Stock(BookId::from(Uuid::from_u128(1)), Location::main())
}

/// What every change that this test finds has to be followed by.
const RAISE: &str = "raise FOLD_VERSION in schemas/src/snapshots/stock.rs and add golden/fold/stock.f<version>.ndjson and \
                     .json beside the old ones (see docs/schemas.md)";

#[test]
fn the_fold_of_the_golden_events_is_the_golden_state() {
    let (events, golden) = (read("ndjson"), read("json"));
    let fold = events.lines().fold(stream::empty(&owner()), |state, line| {
        let Line { event_type, version, data } = serde_json::from_str(line).unwrap();
        domain::evolve(state, &events::decode(event_type, version, data.get().as_bytes()).unwrap())
    });
    let encoded = encode(&fold).unwrap();
    let written = String::from_utf8(encoded.state.clone()).unwrap();
    assert_eq!(written, golden.trim_end(), "the events come to another state, or it is written otherwise: {RAISE}");
    assert_eq!(decode(&owner(), &encoded).as_ref(), Some(&fold), "the golden state is read otherwise: {RAISE}");
}

#[test]
fn the_golden_events_are_of_every_type_and_newest_version() {
    let events = read("ndjson");
    let lines = events.lines().map(|line| serde_json::from_str::<Line>(line).unwrap());
    let golden: BTreeSet<_> = lines.map(|line| (line.event_type, line.version)).collect();
    let newest = events::tests::newest_versions().into_iter().filter(|(name, _)| name.starts_with("Stock"));
    for (event_type, version) in newest {
        assert!(golden.contains(&(event_type, version)), "{event_type} version {version} is missing: {RAISE}");
    }
}

#[test]
fn what_is_no_state_of_today_s_fold_is_left_to_the_events() {
    let snapshot = Encoded { fold_version: stock::FOLD_VERSION, state: read("json").into_bytes() };
    assert!(decode(&owner(), &snapshot).is_some());
    for fold_version in [stock::FOLD_VERSION - 1, stock::FOLD_VERSION + 1] {
        assert_eq!(decode(&owner(), &Encoded { fold_version, ..snapshot.clone() }), None);
    }
    let changed = |field: &str, value: Value| {
        let mut state: Value = serde_json::from_slice(&snapshot.state).unwrap();
        state[field] = value;
        Encoded { state: state.to_string().into_bytes(), ..snapshot.clone() }
    };
    let too_many = u64::from(u32::MAX);
    for wrong in [changed("on_hand", 0.into()), changed("on_hand", too_many.into()), changed("more", 1.into())] {
        assert_eq!(decode(&owner(), &wrong), None, "{wrong:?}");
    }
    for owner in [Owner::Book(BookId::from(Uuid::from_u128(1))), Owner::Order(Uuid::from_u128(1).into())] {
        assert_eq!(decode(&owner, &snapshot), None);
        assert_eq!((are_kept(&owner), encode(&stream::empty(&owner))), (false, None));
    }
    assert!(are_kept(&self::owner()));
}
