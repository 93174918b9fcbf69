//! The view of bestsellers: copies of each book that were paid.

use crate::order::happened;
use crate::view::{Fact, Poison, View};
use domain::book::BookId;
use domain::order::lines::Quantity;
use domain::order::{self, Happening};
use platform::view_store::Key;
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
        paid_copies(fact).iter().map(|(book, _)| vec![json!(book.to_string()), json!(fact.partition)]).collect()
    }

    fn evolve(row: Option<BestsellerRow>, key: &Key, fact: &Fact<'_>) -> Result<Option<BestsellerRow>, Poison> {
        let book_id = key.first().and_then(|book| book.as_str()).unwrap_or_default();
        let sold = row.map_or(0, |row| row.sold) + paid_copies_of(book_id, fact)?;
        Ok(Some(BestsellerRow { book_id: book_id.to_owned(), partition: fact.partition.into(), sold }))
    }
}

/// How many copies of one book an event says are paid.
pub(crate) fn paid_copies_of(book_id: &str, fact: &Fact<'_>) -> Result<i64, Poison> {
    let book = Uuid::try_parse(book_id).map(BookId::from).map_err(|error| Poison(error.to_string()))?;
    let of_book = paid_copies(fact).iter().filter(|(paid, _)| *paid == book);
    Ok(of_book.map(|(_, quantity)| quantity.get()).sum::<u64>().cast_signed())
}

/// Copies that an event says are paid.
pub(crate) fn paid_copies<'a>(fact: &Fact<'a>) -> &'a [(BookId, Quantity)] {
    match happened(fact) {
        Ok((_, order::Event { what: Happening::Paid { copies, .. }, .. })) => copies,
        _ => &[],
    }
}
