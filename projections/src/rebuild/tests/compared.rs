//! The comparison page by page, against a plain one.

use super::super::compare::compare;
use super::*;
use futures_util::future::{BoxFuture, FutureExt};
use platform::bus::Checkpoint;
use platform::event_log::LogId;
use platform::view_store::{Frozen, StoreError, compare_keys};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Rows that are read in pages.
struct Listed(Vec<(Key, Value)>);

impl Frozen for Listed {
    fn checkpoints(&self) -> Vec<Checkpoint> {
        vec![Checkpoint::start(LogId(Uuid::nil()), String::new(), 0)]
    }

    fn rows<'a>(
        &'a mut self,
        after: Option<&'a Key>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Key, Value)>, StoreError>> {
        let behind = |after| self.0.partition_point(|(key, _)| compare_keys(key, after).is_le());
        let rows = self.0.iter().skip(after.map_or(0, behind)).take(limit).cloned().collect();
        std::future::ready(Ok(rows)).boxed()
    }
}

/// What becomes of a row on one side.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Missing,
    Other,
}

/// A row, most often near where a page ends.
fn place() -> impl Strategy<Value = i64> {
    prop_oneof![3 => 996..1_004_i64, 3 => 1_996..2_004_i64, 2 => 0..3_100_i64]
}

fn side() -> impl Strategy<Value = BTreeMap<i64, Fate>> {
    let fate = prop_oneof![Just(Fate::Missing), Just(Fate::Other)];
    vec((place(), fate), 0..12).prop_map(|fates| fates.into_iter().collect())
}

/// Keys of a text and a number, in an order that neither alone has.
fn key(n: i64) -> Key {
    vec![json!(format!("{:05}", n / 7)), json!(n % 7)]
}

fn rows(count: i64, fates: &BTreeMap<i64, Fate>, other: i64) -> BTreeMap<i64, Value> {
    let row = |n: i64| match fates.get(&n) {
        None => Some((n, json!({ "n": n }))),
        Some(Fate::Other) => Some((n, json!({ "n": other }))),
        Some(Fate::Missing) => None,
    };
    (0..count).filter_map(row).collect()
}

fn listed(rows: &BTreeMap<i64, Value>) -> Listed {
    Listed(rows.iter().map(|(n, row)| (key(*n), row.clone())).collect())
}

async fn is_compared_as_plainly(live: &BTreeMap<i64, Value>, rebuilt: &BTreeMap<i64, Value>, all: i64) {
    let (tell, mut told) = mpsc::channel(10_000);
    let comparison = compare(&mut listed(live), &mut listed(rebuilt), &tell).await.unwrap();
    drop(tell);
    let mut found = Vec::new();
    while let Some(progress) = told.recv().await {
        found.push(progress);
    }
    let differing = (0..all).filter(|n| live.get(n) != rebuilt.get(n));
    let expected: Vec<_> = differing
        .map(|n| Difference { key: key(n), live: live.get(&n).cloned(), rebuilt: rebuilt.get(&n).cloned() })
        .collect();
    let rows = (0..all).filter(|n| live.contains_key(n) || rebuilt.contains_key(n)).count() as u64;
    assert_eq!((comparison.rows, comparison.differing), (rows, expected.len() as u64));
    assert_eq!(differences(found), expected);
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_differs_is_found_wherever_pages_end(
        counts in (place(), place()),
        live in side(),
        rebuilt in side(),
    ) {
        block_on(is_compared_as_plainly(&rows(counts.0, &live, -1), &rows(counts.1, &rebuilt, -2), 3_100));
    }
}

#[tokio::test]
async fn a_side_that_ends_with_a_page_or_has_no_rows_is_compared() {
    for counts in [(0, 0), (0, 1_000), (1_000, 0), (1_000, 1_000), (1_000, 1_001), (2_000, 1_000), (999, 2_001)] {
        let none = BTreeMap::new();
        is_compared_as_plainly(&rows(counts.0, &none, 0), &rows(counts.1, &none, 0), 2_001).await;
    }
}
