//! Books from files.

use super::Import;
use super::format::{Format, Need, Outcome};
use super::table::Fields;
use crate::book::stream_of;
use crate::commands::{Refusal, Unavailable};
use domain::book::description::{Authors, Description, Language, PublicationDate, Subjects, Title};
use domain::book::isbn::Isbn;
use domain::book::{self, BookId, Listing};
use domain::invalid::Invalid;
use domain::{Command, Rejection};
use futures_util::future::{BoxFuture, FutureExt};

/// The goodbooks-10k data set: numbers without their leading zeros, years as fractions, unknown languages blank.
pub(crate) struct Goodbooks;

impl Format for Goodbooks {
    type Row = Listing;

    const COLUMNS: &'static [(&'static str, Need)] = &[
        ("isbn", Need::Required),
        ("authors", Need::Required),
        ("title", Need::Required),
        ("original_publication_year", Need::Optional),
        ("language_code", Need::Optional),
    ];

    fn parse(&self, fields: &Fields<'_>) -> Result<Listing, String> {
        let isbn = fields.get("isbn")?;
        if isbn.is_empty() {
            return Err("the row has no ISBN".to_owned());
        }
        let (title, authors) = (fields.get("title")?, fields.get("authors")?);
        let (language, year) = (fields.get("language_code")?, fields.get("original_publication_year")?);
        listing(isbn, title, authors, language, year).map_err(|invalid| format!("{invalid} (ISBN {isbn:?})"))
    }

    fn key(listing: &Listing) -> BookId {
        BookId::of(&listing.isbn)
    }

    fn take<'a>(&'a self, listing: Listing, import: &'a Import) -> BoxFuture<'a, Result<Outcome, Unavailable>> {
        async move {
            let stream = stream_of(BookId::of(&listing.isbn));
            let outcome = import.send(stream, Command::Book(book::Command::Register(listing))).await?;
            Ok(match outcome {
                Ok(_) => Outcome::Accepted,
                Err(Refusal::Rejected(Rejection::Book(book::Rejection::IsbnTaken))) => Outcome::ThereAlready,
                Err(refusal) => Outcome::Refused(refusal.to_string()),
            })
        }
        .boxed()
    }
}

fn listing(isbn: &str, title: &str, authors: &str, language: &str, year: &str) -> Result<Listing, Invalid> {
    let names: Vec<_> = authors.split(", ").map(str::trim).filter(|name| !name.is_empty()).collect();
    Ok(Listing {
        isbn: Isbn::parse(&format!("{isbn:0>10}"))?,
        description: Description {
            title: Title::parse(title)?,
            authors: Authors::parse(&names)?,
            language: Language::parse(if language.is_empty() { "und" } else { language })?,
            subjects: Subjects::default(),
            published_on: publication_year(year),
            edition: None,
            format: None,
        },
        price: None,
    })
}

/// `2008.0` is 2008; a year that cannot be is left out.
fn publication_year(year: &str) -> Option<PublicationDate> {
    let whole: u16 = year.strip_suffix(".0").unwrap_or(year).parse().ok()?;
    PublicationDate::parse(&format!("{whole:04}")).ok()
}
