//! Two generations side by side, row by row in the order of their keys.

use super::{Comparison, Difference, Progress, RebuildError, tell};
use platform::bus::Tally;
use platform::view_store::{self, Frozen, Key, StoreError, compare_keys};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// Rows read at once.
const PAGE: usize = 1_000;

/// The rows of a generation, one after the other.
struct Rows<'a> {
    frozen: &'a mut dyn Frozen,
    page: VecDeque<(Key, Value)>,
    last: Option<Key>,
    ended: bool,
}

impl<'a> Rows<'a> {
    fn of(frozen: &'a mut dyn Frozen) -> Self {
        Self { frozen, page: VecDeque::new(), last: None, ended: false }
    }

    async fn first(&mut self) -> Result<Option<&(Key, Value)>, StoreError> {
        if self.page.is_empty() && !self.ended {
            self.page = self.frozen.rows(self.last.as_ref(), PAGE).await?.into();
            self.ended = self.page.len() < PAGE;
            self.last = self.page.back().map(|(key, _)| key.clone());
        }
        Ok(self.page.front())
    }

    fn take(&mut self) -> Option<(Key, Value)> {
        self.page.pop_front()
    }
}

/// Tells of every row that is not the same in both.
pub(super) async fn compare(
    live: &mut dyn Frozen,
    rebuilt: &mut dyn Frozen,
    listener: &mpsc::Sender<Progress>,
) -> Result<Comparison, RebuildError> {
    let checkpoints = rebuilt.checkpoints();
    let (live_tally, rebuilt_tally) = (Tally::of(&live.checkpoints()), Tally::of(&checkpoints));
    let mut comparison = Comparison {
        position: view_store::position(&checkpoints).0,
        live_events: live_tally.events,
        rebuilt_events: rebuilt_tally.events,
        same_events: live_tally == rebuilt_tally,
        ..Comparison::default()
    };
    let (mut live, mut rebuilt) = (Rows::of(live), Rows::of(rebuilt));
    loop {
        let order = match (live.first().await?, rebuilt.first().await?) {
            (None, None) => return Ok(comparison),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((one, _)), Some((other, _))) => compare_keys(one, other),
        };
        let of_live = if order.is_le() { live.take() } else { None };
        let of_rebuilt = if order.is_ge() { rebuilt.take() } else { None };
        comparison.rows += 1;
        if of_live != of_rebuilt {
            comparison.differing += 1;
            let key = of_live.as_ref().or(of_rebuilt.as_ref()).map(|(key, _)| key.clone()).unwrap_or_default();
            let (live, rebuilt) = (of_live.map(|(_, row)| row), of_rebuilt.map(|(_, row)| row));
            tell(listener, Progress::Differs(Difference { key, live, rebuilt })).await?;
        }
        if comparison.rows.is_multiple_of(PAGE as u64) {
            tell(listener, Progress::Comparing { rows: comparison.rows }).await?;
        }
    }
}
