//! Stored events of stock. Each carries the figures after it.

use super::{Encoded, Unreadable, encoded};
use domain::invalid::Invalid;
use domain::order::OrderId;
use domain::stock::{Copies, Delta, Event, Figures, Movement, Reason};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AdjustedV1 {
    delta: i64,
    reason: String,
    on_hand: u64,
    reserved: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CountedV1 {
    taken_at: u64,
    on_hand: u64,
    reserved: u64,
}

/// Of copies that an order holds now, or that came back from it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfOrderV1 {
    order_id: Uuid,
    copies: u64,
    on_hand: u64,
    reserved: u64,
}

/// Of a hold that ended: committed or released.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndedV1 {
    order_id: Uuid,
    on_hand: u64,
    reserved: u64,
}

pub(super) fn encode(event: &Event) -> Encoded {
    let Figures { on_hand, reserved } = event.after;
    match &event.movement {
        Movement::Adjusted { delta, reason } => {
            let reason = reason.as_str().to_owned();
            encoded("StockAdjusted", 1, &AdjustedV1 { delta: delta.get(), reason, on_hand, reserved })
        }
        Movement::Counted { taken_at } => {
            encoded("StockCounted", 1, &CountedV1 { taken_at: *taken_at, on_hand, reserved })
        }
        Movement::Reserved { order, copies } => {
            let stored = OfOrderV1 { order_id: (*order).into(), copies: copies.get(), on_hand, reserved };
            encoded("StockReserved", 1, &stored)
        }
        Movement::TakenBack { order, copies } => {
            let stored = OfOrderV1 { order_id: (*order).into(), copies: copies.get(), on_hand, reserved };
            encoded("StockReturned", 1, &stored)
        }
        Movement::Committed { order } => {
            encoded("StockCommitted", 1, &EndedV1 { order_id: (*order).into(), on_hand, reserved })
        }
        Movement::Released { order } => {
            encoded("StockReleased", 1, &EndedV1 { order_id: (*order).into(), on_hand, reserved })
        }
    }
}

/// None if this type and version are not known.
pub(super) fn decode(event_type: &str, version: u16, data: &[u8]) -> Option<Result<Event, Unreadable>> {
    match (event_type, version) {
        ("StockAdjusted", 1) => Some(read_adjusted(data)),
        ("StockCounted", 1) => Some(read_counted(data)),
        ("StockReserved", 1) => Some(read_of_order(data, |order, copies| Movement::Reserved { order, copies })),
        ("StockReturned", 1) => Some(read_of_order(data, |order, copies| Movement::TakenBack { order, copies })),
        ("StockCommitted", 1) => Some(read_ended(data, |order| Movement::Committed { order })),
        ("StockReleased", 1) => Some(read_ended(data, |order| Movement::Released { order })),
        _ => None,
    }
}

fn read_adjusted(data: &[u8]) -> Result<Event, Unreadable> {
    let stored: AdjustedV1 = serde_json::from_slice(data)?;
    let movement = Movement::Adjusted { delta: Delta::new(stored.delta)?, reason: Reason::parse(&stored.reason)? };
    Ok(Event { movement, after: figures(stored.on_hand, stored.reserved)? })
}

fn read_counted(data: &[u8]) -> Result<Event, Unreadable> {
    let stored: CountedV1 = serde_json::from_slice(data)?;
    let movement = Movement::Counted { taken_at: stored.taken_at };
    Ok(Event { movement, after: figures(stored.on_hand, stored.reserved)? })
}

fn read_of_order(data: &[u8], movement: impl FnOnce(OrderId, Copies) -> Movement) -> Result<Event, Unreadable> {
    let stored: OfOrderV1 = serde_json::from_slice(data)?;
    let movement = movement(stored.order_id.into(), Copies::new(stored.copies)?);
    Ok(Event { movement, after: figures(stored.on_hand, stored.reserved)? })
}

fn read_ended(data: &[u8], movement: impl FnOnce(OrderId) -> Movement) -> Result<Event, Unreadable> {
    let stored: EndedV1 = serde_json::from_slice(data)?;
    Ok(Event { movement: movement(stored.order_id.into()), after: figures(stored.on_hand, stored.reserved)? })
}

/// No stock ever held more copies than lie there, nor more than its bound.
pub(crate) fn figures(on_hand: u64, reserved: u64) -> Result<Figures, Invalid> {
    let (on_hand, reserved) = (Copies::new(on_hand)?, Copies::new(reserved)?);
    if reserved > on_hand {
        return Err(Invalid::Copies);
    }
    Ok(Figures { on_hand: on_hand.get(), reserved: reserved.get() })
}
