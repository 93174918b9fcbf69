//! The view that is searched: every book that is in the catalogue, with the copies of it that were paid.

use crate::bestseller::{paid_copies, paid_copies_of};
use crate::book::Books;
use crate::view::{Fact, Poison, View};
use domain::book::isbn::Isbn;
use platform::search_index::{Described, Kind, Layout};
use platform::view_store::Key;
use schemas::stream::Owner;
use schemas::views::Row;
use schemas::views::search::{SearchRow, field};
use serde::Deserialize;
use serde_json::{Value, json};

/// Every book and its sales, in one row.
pub struct Search;

impl View for Search {
    type Row = SearchRow;

    fn takes(owner: &Owner) -> bool {
        matches!(owner, Owner::Book(_) | Owner::Order(_))
    }

    fn keys(fact: &Fact<'_>) -> Vec<Key> {
        match fact.owner {
            Owner::Book(_) => Books::keys(fact),
            Owner::Order(_) => paid_copies(fact).iter().map(|(book, _)| vec![json!(book.to_string())]).collect(),
            Owner::Stock(..) => Vec::new(),
        }
    }

    fn evolve(row: Option<SearchRow>, key: &Key, fact: &Fact<'_>) -> Result<Option<SearchRow>, Poison> {
        let id = key.first().and_then(Value::as_str).unwrap_or_default();
        let SearchRow { id, mut book, mut sold } =
            row.unwrap_or_else(|| SearchRow { id: id.to_owned(), book: None, sold: 0 });
        match fact.owner {
            Owner::Book(_) => book = Books::evolve(book, key, fact)?,
            _ => sold += paid_copies_of(&id, fact)?,
        }
        Ok(Some(SearchRow { id, book, sold }))
    }
}

/// How books are searched. A hit in the title counts more than one in a name, and that more than one in a subject.
pub static LAYOUT: Layout = Layout {
    name: SearchRow::NAME,
    key: SearchRow::KEY[0],
    fields: &[
        (field::TITLE, Kind::Text { weight: 3.0 }),
        (field::AUTHORS, Kind::Text { weight: 2.0 }),
        (field::SUBJECTS, Kind::Text { weight: 0.5 }),
        (field::ISBN, Kind::Code),
        (field::WHOLE_TITLE, Kind::Keyword),
        (field::AUTHOR, Kind::Keyword),
        (field::LANGUAGE, Kind::Keyword),
        (field::SUBJECT, Kind::Keyword),
        (field::CURRENCY, Kind::Keyword),
        (field::PRICE, Kind::Number),
        (field::PUBLISHED_ON, Kind::Number),
        (field::SOLD, Kind::Number),
        (field::REGISTERED_AT, Kind::Number),
    ],
    ties: [field::SOLD, field::REGISTERED_AT],
    describe,
};

/// A book is found as long as it is in the catalogue.
fn describe(row: &Value) -> Result<Described, serde_json::Error> {
    let SearchRow { book, sold, .. } = SearchRow::deserialize(row)?;
    let Some(row) = book.filter(|book| book.retired == 0) else { return Ok(Described::default()) };
    let registered_at = row.registered_at;
    let book = row.body()?;
    let body = serde_json::to_string(&book)?;
    let isbn_10 = Isbn::parse(&book.isbn).ok().and_then(|isbn| isbn.isbn_10());
    // Two schemes may have the same code: that is one value.
    let mut subjects: Vec<String> = Vec::new();
    for subject in book.subjects {
        if !subjects.contains(&subject.code) {
            subjects.push(subject.code);
        }
    }
    let mut texts = vec![
        (field::TITLE, vec![book.title.clone()]),
        (field::AUTHORS, book.authors.clone()),
        (field::SUBJECTS, subjects.clone()),
        (field::ISBN, std::iter::once(book.isbn).chain(isbn_10).collect()),
        (field::WHOLE_TITLE, vec![book.title]),
        (field::AUTHOR, book.authors),
        (field::LANGUAGE, vec![book.language]),
        (field::SUBJECT, subjects),
    ];
    let mut numbers = vec![(field::SOLD, sold), (field::REGISTERED_AT, registered_at)];
    if let Some(price) = book.price {
        texts.push((field::CURRENCY, vec![price.currency]));
        numbers.push((field::PRICE, price.amount.cast_signed()));
    }
    numbers.extend(book.published_on.as_deref().and_then(date_as_number).map(|date| (field::PUBLISHED_ON, date)));
    Ok(Described { visible: true, texts, numbers, body })
}

/// `2024-05` is 20240500: what is not known comes before everything that is.
fn date_as_number(date: &str) -> Option<i64> {
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok());
    let year = parts.next()??;
    let mut part = || parts.next().flatten().unwrap_or(0);
    Some((year * 100 + part()) * 100 + part())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::book::BookId;
    use domain::order::lines::Quantity;
    use domain::order::settlement::PaymentId;
    use domain::order::{Event as OrderEvent, Happening, OrderId, Status};
    use domain::{Event, book};
    use platform::event_log::{BodyHash, CommandId, Envelope, EventId, Position, RecordedEvent, Revision, StreamId};
    use platform::seam::Timestamp;
    use uuid::Uuid;

    fn recorded() -> RecordedEvent {
        RecordedEvent {
            position: Position(7),
            stream: StreamId::new("any"),
            revision: Revision(1),
            envelope: Envelope {
                id: EventId(Uuid::from_u128(1)),
                command_id: CommandId(Uuid::from_u128(1)),
                body_hash: BodyHash([0; 32]),
                event_type: "Any".to_owned(),
                version: 1,
                recorded_at: Timestamp(0),
                traceparent: String::new(),
            },
            data: Default::default(),
            checksum: Default::default(),
            previous_checksum: Default::default(),
        }
    }

    #[test]
    fn copies_count_for_the_book_they_are_of_whenever_it_is_registered() {
        let books = [BookId::from(Uuid::from_u128(1)), BookId::from(Uuid::from_u128(2))];
        let quantity = |copies| Quantity::new(copies).unwrap();
        let what = Happening::Paid {
            payment: PaymentId::parse("p").unwrap(),
            copies: vec![(books[0], quantity(2)), (books[1], quantity(3)), (books[0], quantity(4))],
        };
        let paid = Event::Order(OrderEvent { status: Status::Paid, what });
        let (owner, recorded) = (Owner::Order(OrderId::from(Uuid::from_u128(9))), recorded());
        let fact = Fact { owner: &owner, event: &paid, recorded: &recorded, partition: 3, skipped: &[] };
        assert_eq!(Search::keys(&fact).len(), 3);
        let key = vec![json!(books[0].to_string())];
        let mut row = Search::evolve(None, &key, &fact).unwrap();
        assert_eq!(row, Some(SearchRow { id: books[0].to_string(), book: None, sold: 6 }));
        let described = describe(&serde_json::to_value(&row).unwrap()).unwrap();
        assert!(!described.visible, "sales alone are not found");
        row = Search::evolve(row, &key, &fact).unwrap();
        assert_eq!(row.unwrap().sold, 12);
        let retired = Event::Book(book::Event::Retired);
        let owner = Owner::Book(books[0]);
        let fact = Fact { owner: &owner, event: &retired, ..fact };
        assert!(Search::evolve(None, &key, &fact).is_err(), "a book begins with its registration");
    }

    #[test]
    fn dates_are_ordered_as_far_as_they_are_known() {
        let dates = ["0987", "2023-12-31", "2024", "2024-05", "2024-05-01"].map(|date| date_as_number(date).unwrap());
        assert!(dates.is_sorted(), "{dates:?}");
        assert_eq!(dates[3], 20_240_500);
    }
}
