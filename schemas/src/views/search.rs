//! The row of a book as it is found by a search.

use super::Row;
use super::book::BookRow;
use serde::{Deserialize, Serialize};

/// A book, with what its rank among others depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchRow {
    /// Its id.
    pub id: String,
    /// The book; none if the view knows of sales only, so far.
    pub book: Option<BookRow>,
    /// Copies that were paid.
    pub sold: i64,
}

impl Row for SearchRow {
    const NAME: &'static str = "search";
    const KEY: &'static [&'static str] = &["id"];
}

/// What books are searched, filtered, counted and ordered by, by name.
pub mod field {
    /// The title, by its words.
    pub const TITLE: &str = "title";
    /// The names of the authors, by their words.
    pub const AUTHORS: &str = "authors";
    /// The codes of the subjects, by their words.
    pub const SUBJECTS: &str = "subjects";
    /// ISBN-13, and ISBN-10 where there is one.
    pub const ISBN: &str = "isbn";
    /// The title as it is registered.
    pub const WHOLE_TITLE: &str = "whole_title";
    /// Each author's name as it is registered.
    pub const AUTHOR: &str = "author";
    /// The language as it is registered.
    pub const LANGUAGE: &str = "language";
    /// Each subject's code as it is registered.
    pub const SUBJECT: &str = "subject";
    /// The currency of the price.
    pub const CURRENCY: &str = "currency";
    /// The price, in minor units.
    pub const PRICE: &str = "price";
    /// The date of publication as a number, such as 20240500 for May 2024.
    pub const PUBLISHED_ON: &str = "published_on";
    /// Copies that were paid.
    pub const SOLD: &str = "sold";
    /// The position of the registration.
    pub const REGISTERED_AT: &str = "registered_at";
}
