//! The views of the inventory: one row per stock, and one per movement of it.

use crate::view::{Fact, Poison, View, continues};
use domain::Event;
use domain::stock;
use platform::view_store::Key;
use schemas::stream::Owner;
use schemas::views::stock::{MovementRow, StockRow};
use serde_json::json;

/// Every stock as it is now.
pub struct Stock;

/// Every movement of every stock.
pub struct StockLedger;

impl View for Stock {
    type Row = StockRow;

    fn takes(owner: &Owner) -> bool {
        matches!(owner, Owner::Stock(..))
    }

    fn keys(fact: &Fact<'_>) -> Vec<Key> {
        let Ok((book_id, location, _)) = movement(fact) else { return Vec::new() };
        vec![vec![json!(book_id), json!(location)]]
    }

    fn evolve(row: Option<StockRow>, _: &Key, fact: &Fact<'_>) -> Result<Option<StockRow>, Poison> {
        let (book_id, location, event) = movement(fact)?;
        continues(row.map_or(0, |row| row.revision), fact)?;
        Ok(Some(StockRow {
            book_id,
            location,
            on_hand: event.after.on_hand.cast_signed(),
            reserved: event.after.reserved.cast_signed(),
            revision: fact.recorded.revision.0.cast_signed(),
        }))
    }
}

impl View for StockLedger {
    type Row = MovementRow;

    fn takes(owner: &Owner) -> bool {
        matches!(owner, Owner::Stock(..))
    }

    fn keys(fact: &Fact<'_>) -> Vec<Key> {
        let Ok((book_id, location, _)) = movement(fact) else { return Vec::new() };
        vec![vec![json!(book_id), json!(location), json!(fact.recorded.revision.0)]]
    }

    fn evolve(row: Option<MovementRow>, _: &Key, fact: &Fact<'_>) -> Result<Option<MovementRow>, Poison> {
        let (book_id, location, event) = movement(fact)?;
        if row.is_some() {
            return Err(Poison(format!("revision {} of the stream came before", fact.recorded.revision.0)));
        }
        Ok(Some(MovementRow {
            book_id,
            location,
            revision: fact.recorded.revision.0.cast_signed(),
            event_type: fact.recorded.envelope.event_type.clone(),
            on_hand: event.after.on_hand.cast_signed(),
            reserved: event.after.reserved.cast_signed(),
            recorded_at: fact.recorded.envelope.recorded_at.0,
        }))
    }
}

fn movement<'a>(fact: &Fact<'a>) -> Result<(String, String, &'a stock::Event), Poison> {
    match (fact.owner, fact.event) {
        (Owner::Stock(id, location), Event::Stock(event)) => Ok((id.to_string(), location.as_str().to_owned(), event)),
        _ => Err(Poison("expected an event of a stock".to_owned())),
    }
}
