//! The view of bestsellers: copies of each book that were paid.

use crate::order::happened;
use crate::view::{Fact, Poison, View};
use domain::book::BookId;
use domain::order::Happening;
use platform::read_store::Key;
use schemas::stream::Owner;
use schemas::views::bestseller::BestsellerRow;
use serde_json::json;
use uuid::Uuid;

/// Copies of each book that were paid, whatever became of them then.
pub struct Bestsellers;

impl View for Bestsellers {
    type Row = BestsellerRow;

    fn takes(owner: &Owner) -> bool {
        matches!(owner, Owner::Order(_))
    }

    fn keys(fact: &Fact<'_>) -> Vec<Key> {
        let Ok((_, event)) = happened(fact) else { return Vec::new() };
        let Happening::Paid { copies, .. } = &event.what else { return Vec::new() };
        copies.iter().map(|(book, _)| vec![json!(book.to_string()), json!(fact.partition)]).collect()
    }

    fn evolve(row: Option<BestsellerRow>, key: &Key, fact: &Fact<'_>) -> Result<Option<BestsellerRow>, Poison> {
        let (_, event) = happened(fact)?;
        let Happening::Paid { copies, .. } = &event.what else { return Ok(row) };
        let book_id = key.first().and_then(|book| book.as_str()).unwrap_or_default();
        let book = Uuid::try_parse(book_id).map(BookId::from).map_err(|error| Poison(error.to_string()))?;
        let of_book = copies.iter().filter(|(paid, _)| *paid == book);
        let paid: u64 = of_book.map(|(_, quantity)| quantity.get()).sum();
        let sold = row.map_or(0, |row| row.sold) + paid.cast_signed();
        Ok(Some(BestsellerRow { book_id: book_id.to_owned(), partition: fact.partition.into(), sold }))
    }
}
