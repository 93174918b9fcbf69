//! The row of a book.

use super::{Row, TableRow};
use crate::api::book::{Book, Format, Subject};
use crate::api::money::Money;
use domain::book::description::Description;
use domain::book::{BookId, Listing};
use domain::money;
use serde::{Deserialize, Serialize};

/// A registered book.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BookRow {
    /// Its id.
    pub id: String,
    /// 13 digits.
    pub isbn: String,
    /// The title.
    pub title: String,
    /// A JSON array of names.
    pub authors: String,
    /// BCP 47 tag.
    pub language: String,
    /// Minor units.
    pub price_amount: Option<i64>,
    /// ISO 4217 code.
    pub price_currency: Option<String>,
    /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    pub published_on: Option<String>,
    /// Which edition it is.
    pub edition: Option<String>,
    /// A JSON string, as in the API.
    pub format: Option<String>,
    /// A JSON array of subjects, as in the API.
    pub subjects: String,
    /// 1 if it left the catalogue, else 0.
    pub retired: i64,
    /// How many events the book has.
    pub revision: i64,
    /// The position of its registration: the order of listing.
    pub registered_at: i64,
}

impl Row for BookRow {
    const NAME: &'static str = "books";
    const KEY: &'static [&'static str] = &["id"];
}

impl TableRow for BookRow {
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("id", "TEXT"),
        ("isbn", "TEXT"),
        ("title", "TEXT"),
        ("authors", "TEXT"),
        ("language", "TEXT"),
        ("price_amount", "BIGINT"),
        ("price_currency", "TEXT"),
        ("published_on", "TEXT"),
        ("edition", "TEXT"),
        ("format", "TEXT"),
        ("subjects", "TEXT"),
        ("retired", "BIGINT"),
        ("revision", "BIGINT"),
        ("registered_at", "BIGINT"),
    ];
    const INDEXES: &'static [&'static [&'static str]] = &[&["registered_at"]];
}

impl BookRow {
    /// A book that was registered at position `registered_at`.
    pub fn new(id: BookId, listing: &Listing, registered_at: u64) -> Self {
        let mut row = Self {
            id: id.to_string(),
            isbn: listing.isbn.to_string(),
            title: String::new(),
            authors: String::new(),
            language: String::new(),
            price_amount: None,
            price_currency: None,
            published_on: None,
            edition: None,
            format: None,
            subjects: String::new(),
            retired: 0,
            revision: 1,
            registered_at: registered_at.cast_signed(),
        };
        row.describe(&listing.description);
        row.price(listing.price.as_ref());
        row
    }

    /// Puts a description into its columns.
    pub fn describe(&mut self, description: &Description) {
        let subjects: Vec<Subject> = description.subjects.as_slice().iter().map(Subject::from).collect();
        description.title.as_str().clone_into(&mut self.title);
        self.authors = json(&description.authors.names());
        description.language.as_str().clone_into(&mut self.language);
        self.published_on = description.published_on.map(|date| date.to_string());
        self.edition = description.edition.as_ref().map(|edition| edition.as_str().to_owned());
        self.format = description.format.map(|format| json(&Format::from(format)));
        self.subjects = json(&subjects);
    }

    /// Puts a price, or that there is none, into its columns.
    pub fn price(&mut self, price: Option<&money::Money>) {
        self.price_amount = price.map(|price| price.amount().cast_signed());
        self.price_currency = price.map(|price| price.currency().code().to_owned());
    }

    /// The body that shows the row; fails only on a row that this type did not write.
    pub fn body(self) -> Result<Book, serde_json::Error> {
        let price = self.price_amount.zip(self.price_currency);
        Ok(Book {
            id: self.id.parse().map_err(serde::de::Error::custom)?,
            isbn: self.isbn,
            title: self.title,
            authors: serde_json::from_str(&self.authors)?,
            language: self.language,
            price: price.map(|(amount, currency)| Money { amount: amount.cast_unsigned(), currency }),
            published_on: self.published_on,
            edition: self.edition,
            format: self.format.as_deref().map(serde_json::from_str).transpose()?,
            subjects: serde_json::from_str(&self.subjects)?,
            retired: self.retired != 0,
            revision: self.revision.cast_unsigned(),
        })
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings can be written as JSON")
}
