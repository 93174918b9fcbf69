//! The view of the catalogue: one row per book.

use crate::view::{Fact, Poison, View, continues};
use domain::Event;
use domain::book;
use platform::view_store::Key;
use schemas::stream::Owner;
use schemas::views::book::BookRow;
use serde_json::json;

/// Every registered book as it is now.
pub struct Books;

impl View for Books {
    type Row = BookRow;

    fn takes(owner: &Owner) -> bool {
        matches!(owner, Owner::Book(_))
    }

    fn keys(fact: &Fact<'_>) -> Vec<Key> {
        match fact.owner {
            Owner::Book(id) => vec![vec![json!(id.to_string())]],
            Owner::Stock(..) | Owner::Order(_) => Vec::new(),
        }
    }

    fn evolve(row: Option<BookRow>, _: &Key, fact: &Fact<'_>) -> Result<Option<BookRow>, Poison> {
        let (Owner::Book(id), Event::Book(event)) = (fact.owner, fact.event) else {
            return Err(Poison("expected an event of a book".to_owned()));
        };
        continues(row.as_ref().map_or(0, |row| row.revision), fact)?;
        let mut row = match (row, event) {
            (None, book::Event::Registered(listing)) => {
                return Ok(Some(BookRow::new(*id, listing, fact.recorded.position.0)));
            }
            (Some(row), _) => row,
            (None, _) => return Err(Poison("expected the registration of the book".to_owned())),
        };
        match event {
            book::Event::Registered(_) => return Err(Poison("the book is registered already".to_owned())),
            book::Event::Revised(description) => row.describe(description),
            book::Event::Repriced(price) => row.price(price.as_ref()),
            book::Event::Retired => row.retired = 1,
        }
        row.revision = fact.recorded.revision.0.cast_signed();
        Ok(Some(row))
    }
}
