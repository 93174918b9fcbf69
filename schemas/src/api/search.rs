//! Bodies of searches and suggestions.

use super::book::Book;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A page of hits.
#[derive(Debug, Serialize, ToSchema)]
pub struct SearchPage {
    /// At most `limit` hits, in the order that was asked for.
    pub hits: Vec<Hit>,
    /// Values of all hits, not only of this page: at most 100 of each kind, the most frequent first.
    pub facets: Facets,
    /// How many hits there are on all pages.
    #[schema(example = 42)]
    pub total: u64,
    /// Hands on to the next page as `cursor`; null on the last one. `Link` with `rel="next"` says the same.
    pub next_cursor: Option<String>,
    /// Only where nothing was found: at most five other searches, each of which finds something.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["the hobbit"]))]
    pub did_you_mean: Option<Vec<String>>,
}

/// A book that was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Hit {
    /// The book, as `GET /v1/books/{id}` shows it.
    #[schema(value_type = Book)]
    pub book: Box<RawValue>,
    /// `title`, `authors` or `subjects`, where something was found in them, as HTML: what was found stands in `<em>`,
    /// everything else is escaped.
    #[schema(example = json!({"title": "The Typesetter&#39;s <em>Daughter</em>"}))]
    pub highlights: BTreeMap<&'static str, String>,
    /// How well the book answers the question. It depends on the book and the question only.
    #[schema(example = 2.5)]
    pub score: f32,
}

/// What the hits are, counted.
#[derive(Debug, Serialize, ToSchema)]
pub struct Facets {
    /// Languages, as they are registered.
    pub language: Vec<Facet>,
    /// Codes of subjects, as they are registered.
    pub subject: Vec<Facet>,
}

/// A value, which works as a filter, and how many hits have it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Facet {
    /// The value.
    #[schema(example = "en")]
    pub value: String,
    /// Hits.
    #[schema(example = 17)]
    pub count: u64,
}

/// What a text that is being typed may become.
#[derive(Debug, Serialize, ToSchema)]
pub struct Suggestions {
    /// At most ten, the best sold first.
    pub items: Vec<Suggestion>,
}

/// A title or an author's name.
#[derive(Debug, Serialize, ToSchema)]
pub struct Suggestion {
    /// As it is registered.
    #[schema(example = "The Typesetter's Daughter")]
    pub text: String,
}
