//! The state of a stock as a snapshot keeps it.

use crate::events::stock::figures;
use domain::stock::{Copies, Figures, Stock};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Which fold of a stock's events these states come from. It is raised whenever the fold, the events that it takes or
/// the form below changes; the golden fold fails until then.
pub(super) const FOLD_VERSION: u16 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    revision: u64,
    on_hand: u64,
    reserved: u64,
    holds: Vec<Hold>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hold {
    order_id: Uuid,
    copies: u64,
}

pub(super) fn encode(stock: &Stock) -> Vec<u8> {
    let Figures { on_hand, reserved } = stock.figures();
    let holds = stock.holds().map(|(order, copies)| Hold { order_id: order.into(), copies: copies.get() });
    let recorded = Recorded { revision: stock.revision(), on_hand, reserved, holds: holds.collect() };
    serde_json::to_vec(&recorded).expect("strings and numbers can be written as JSON")
}

/// None if the bytes are no such state, or no stock can be in it.
pub(super) fn decode(bytes: &[u8]) -> Option<Stock> {
    let Recorded { revision, on_hand, reserved, holds } = serde_json::from_slice(bytes).ok()?;
    let figures = figures(on_hand, reserved).ok()?;
    let hold = |Hold { order_id, copies }| Some((order_id.into(), Copies::new(copies).ok()?));
    let holds: Vec<_> = holds.into_iter().map(hold).collect::<Option<_>>()?;
    Some(Stock::recorded(revision, figures, holds))
}
