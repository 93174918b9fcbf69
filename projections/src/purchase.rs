//! The view of purchases that go on: what the saga has to look at, and when.

use crate::order::happened;
use crate::view::{Fact, Poison, View, continues};
use domain::order::Happening;
use domain::order::holds::Stage;
use platform::view_store::Key;
use schemas::stream::Owner;
use schemas::views::purchase::PurchaseRow;
use serde_json::json;

/// Every purchase that has an unanswered step or a deadline.
pub struct Purchases;

impl View for Purchases {
    type Row = PurchaseRow;

    fn takes(owner: &Owner) -> bool {
        matches!(owner, Owner::Order(_))
    }

    fn keys(fact: &Fact<'_>) -> Vec<Key> {
        let Ok((id, _)) = happened(fact) else { return Vec::new() };
        vec![vec![json!(id.to_string())]]
    }

    fn evolve(row: Option<PurchaseRow>, _: &Key, fact: &Fact<'_>) -> Result<Option<PurchaseRow>, Poison> {
        let (id, event) = happened(fact)?;
        let found = fact.recorded.revision.0.cast_signed();
        if let Some(row) = &row {
            continues(row.revision, fact)?;
        }
        // Where nothing is due there is no row, and where there is none, no copies are held.
        let rested = || PurchaseRow {
            order_id: id.to_string(),
            due_at: 0,
            pay_by: 0,
            status: String::new(),
            stage: String::new(),
            books: 0,
            returns: 0,
            revision: 0,
        };
        let stage = row.as_ref().and_then(PurchaseRow::stage).unwrap_or(Stage::Ended);
        let mut row = row.unwrap_or_else(rested);
        let stage = match &event.what {
            Happening::Placed(placement) => {
                row.pay_by = placement.pay_by.0;
                row.books = placement.lines.as_slice().len().try_into().unwrap_or(i64::MAX);
                Stage::Asked
            }
            Happening::StockRefused { shortages } if shortages.len() as i64 == row.books => Stage::Ended,
            Happening::StockReserved | Happening::StockRefused { .. } => Stage::Held,
            Happening::StockCommitted | Happening::StockReleased => Stage::Ended,
            Happening::Returned { lines, .. } => {
                row.returns += i64::from(lines.iter().any(|line| line.restock));
                stage
            }
            Happening::Restocked { .. } => {
                row.returns -= 1;
                stage
            }
            Happening::PaymentRecorded { .. }
            | Happening::Paid { .. }
            | Happening::Refunded { .. }
            | Happening::Cancelled { .. }
            | Happening::Shipped => stage,
        };
        row.revision = found;
        Ok(row.settled(stage, event.status, fact.recorded.envelope.recorded_at.0))
    }
}

#[cfg(test)]
mod tests;
