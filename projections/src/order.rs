//! The views of orders: one row per order, and one per event of it.

use crate::view::{Fact, Poison, View, continues};
use domain::Event;
use domain::order::{self, Happening, OrderId};
use platform::view_store::Key;
use schemas::stream::Owner;
use schemas::views::order::{HistoryRow, OrderRow};
use serde_json::json;

/// Every order as it is now.
pub struct Orders;

/// Every event of every order.
pub struct OrderHistory;

impl View for Orders {
    type Row = OrderRow;

    fn takes(owner: &Owner) -> bool {
        matches!(owner, Owner::Order(_))
    }

    fn keys(fact: &Fact<'_>) -> Vec<Key> {
        let Ok((id, _)) = happened(fact) else { return Vec::new() };
        vec![vec![json!(id.to_string())]]
    }

    fn evolve(row: Option<OrderRow>, _: &Key, fact: &Fact<'_>) -> Result<Option<OrderRow>, Poison> {
        let (id, event) = happened(fact)?;
        continues(row.as_ref().map_or(0, |row| row.revision), fact)?;
        let mut row = match (row, &event.what) {
            (None, Happening::Placed(placement)) => {
                return Ok(Some(OrderRow::new(id, placement, event.status, fact.recorded.position.0)));
            }
            (Some(row), _) => row,
            (None, _) => return Err(Poison("expected the placing of the order".to_owned())),
        };
        match &event.what {
            Happening::PaymentRecorded { payment, taken: true, .. } => {
                row.payment_id = Some(payment.as_str().to_owned());
            }
            Happening::Refunded { amount, .. } => row.refund(*amount),
            _ => {}
        }
        row.status(event.status);
        row.revision = fact.recorded.revision.0.cast_signed();
        Ok(Some(row))
    }
}

impl View for OrderHistory {
    type Row = HistoryRow;

    fn takes(owner: &Owner) -> bool {
        matches!(owner, Owner::Order(_))
    }

    fn keys(fact: &Fact<'_>) -> Vec<Key> {
        let Ok((id, _)) = happened(fact) else { return Vec::new() };
        vec![vec![json!(id.to_string()), json!(fact.recorded.revision.0)]]
    }

    fn evolve(row: Option<HistoryRow>, _: &Key, fact: &Fact<'_>) -> Result<Option<HistoryRow>, Poison> {
        let (id, _) = happened(fact)?;
        let recorded = fact.recorded;
        if row.is_some() {
            return Err(Poison(format!("revision {} of the stream came before", recorded.revision.0)));
        }
        let data = std::str::from_utf8(&recorded.data).map_err(|error| Poison(error.to_string()))?;
        Ok(Some(HistoryRow {
            order_id: id.to_string(),
            revision: recorded.revision.0.cast_signed(),
            position: recorded.position.0.cast_signed(),
            event_type: recorded.envelope.event_type.clone(),
            recorded_at: recorded.envelope.recorded_at.0,
            data: data.to_owned(),
        }))
    }
}

/// Which order it happened to, and what.
pub(crate) fn happened<'a>(fact: &Fact<'a>) -> Result<(OrderId, &'a order::Event), Poison> {
    match (fact.owner, fact.event) {
        (Owner::Order(id), Event::Order(event)) => Ok((*id, event)),
        _ => Err(Poison("expected an event of an order".to_owned())),
    }
}
