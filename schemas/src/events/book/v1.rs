//! Version 1 of what is known of a book, in which authors were texts; it is only read, and becomes version 2.

use super::{AuthorV1, DescriptionV2, FormatV1, MoneyV1, RegisteredV2, RevisedV2, SubjectV1};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registered {
    isbn: String,
    description: Description,
    price: Option<MoneyV1>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Revised {
    description: Description,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    title: String,
    authors: Vec<String>,
    language: String,
    subjects: Vec<SubjectV1>,
    published_on: Option<String>,
    edition: Option<String>,
    format: Option<FormatV1>,
}

impl From<Registered> for RegisteredV2 {
    fn from(Registered { isbn, description, price }: Registered) -> Self {
        Self { isbn, description: description.into(), price }
    }
}

impl From<Revised> for RevisedV2 {
    fn from(Revised { description }: Revised) -> Self {
        Self { description: description.into() }
    }
}

impl From<Description> for DescriptionV2 {
    fn from(stored: Description) -> Self {
        let Description { title, authors, language, subjects, published_on, edition, format } = stored;
        let authors = authors.into_iter().map(|name| AuthorV1 { name }).collect();
        Self { title, authors, language, subjects, published_on, edition, format }
    }
}
