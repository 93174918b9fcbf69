//! Bodies about books.

use super::money::Money;
use crate::http::object::Object;
use domain::book::description::{
    self, Authors, Changes, Description, Edition, Language, PublicationDate, Subjects, Title,
};
use domain::book::isbn::Isbn;
use domain::book::{self, BookId, Listing};
use domain::invalid::Invalid;
use domain::money;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A subject: a code of a published scheme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(from = "Object<SubjectFields>")]
pub struct Subject {
    /// Who names the codes, 1–100 characters.
    #[schema(example = "thema")]
    pub scheme: String,
    /// Which edition of the scheme, 1–100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "1.5")]
    pub version: Option<String>,
    /// The code within the scheme, 1–100 characters.
    #[schema(example = "FBA")]
    pub code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectFields {
    scheme: String,
    version: Option<String>,
    code: String,
}

impl From<Object<SubjectFields>> for Subject {
    fn from(Object(SubjectFields { scheme, version, code }): Object<SubjectFields>) -> Self {
        Self { scheme, version, code }
    }
}

impl From<&description::Subject> for Subject {
    fn from(subject: &description::Subject) -> Self {
        Self {
            scheme: subject.scheme().to_owned(),
            version: subject.version().map(str::to_owned),
            code: subject.code().to_owned(),
        }
    }
}

/// The form a book is sold in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Hard covers.
    Hardback,
    /// Soft covers.
    Paperback,
    /// A digital text.
    Ebook,
    /// A recording.
    Audiobook,
    /// Any other form.
    Other,
}

/// A book to register.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterBook {
    /// ISBN-10 or ISBN-13; hyphens and spaces are ignored.
    #[schema(example = "978-0-306-40615-7")]
    pub isbn: String,
    /// 1–200 characters.
    #[schema(example = "The Typesetter's Daughter", min_length = 1, max_length = 200)]
    pub title: String,
    /// 1–100 names of 1–200 characters, in the order of the title page.
    #[schema(example = json!(["Ada Example"]), min_items = 1, max_items = 100)]
    pub authors: Vec<String>,
    /// BCP 47 tag, kept as sent; `und` where it is not known.
    #[schema(example = "en")]
    pub language: String,
    /// A book without a price cannot be ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2024-05")]
    pub published_on: Option<String>,
    /// 1–100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2nd, revised")]
    pub edition: Option<String>,
    /// The form it is sold in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// At most 100, the main one first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects: Option<Vec<Subject>>,
}

impl TryFrom<RegisterBook> for Listing {
    type Error = Invalid;

    fn try_from(body: RegisterBook) -> Result<Self, Invalid> {
        Ok(Self {
            isbn: Isbn::parse(&body.isbn)?,
            description: Description {
                title: Title::parse(&body.title)?,
                authors: Authors::parse(&body.authors)?,
                language: Language::parse(&body.language)?,
                subjects: subjects(body.subjects.unwrap_or_default())?,
                published_on: body.published_on.as_deref().map(PublicationDate::parse).transpose()?,
                edition: body.edition.as_deref().map(Edition::parse).transpose()?,
                format: body.format.map(Into::into),
            },
            price: body.price.map(money::Money::try_from).transpose()?,
        })
    }
}

/// A registered book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RegisteredBook {
    /// Follows from the ISBN.
    pub id: Uuid,
    /// 13 digits.
    #[schema(example = "9780306406157")]
    pub isbn: String,
    /// The entity tag.
    #[schema(example = 1)]
    pub revision: u64,
}

/// What to change of a book. A field that is not there stays; `null` clears one that may be absent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviseBook {
    /// 1–200 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    pub title: Option<String>,
    /// All the authors anew: 1–100 names of 1–200 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<String>, required = false, min_items = 1, max_items = 100)]
    pub authors: Option<Vec<String>>,
    /// BCP 47 tag, kept as sent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub language: Option<String>,
    /// A book without a price cannot be ordered.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Money>)]
    pub price: Option<Option<Money>>,
    /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub published_on: Option<Option<String>>,
    /// 1–100 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub edition: Option<Option<String>>,
    /// The form it is sold in.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Format>)]
    pub format: Option<Option<Format>>,
    /// All the subjects anew, at most 100; `null` is none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Subject>>)]
    pub subjects: Option<Option<Vec<Subject>>>,
}

/// Tells a field that is there, `null` or not, from one that is not.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl TryFrom<ReviseBook> for Changes {
    type Error = Invalid;

    fn try_from(body: ReviseBook) -> Result<Self, Invalid> {
        Ok(Self {
            title: body.title.as_deref().map(Title::parse).transpose()?,
            authors: body.authors.as_deref().map(Authors::parse).transpose()?,
            language: body.language.as_deref().map(Language::parse).transpose()?,
            subjects: body.subjects.map(|given| subjects(given.unwrap_or_default())).transpose()?,
            price: body.price.map(|price| price.map(money::Money::try_from).transpose()).transpose()?,
            published_on: body
                .published_on
                .map(|date| date.as_deref().map(PublicationDate::parse).transpose())
                .transpose()?,
            edition: body.edition.map(|edition| edition.as_deref().map(Edition::parse).transpose()).transpose()?,
            format: body.format.map(|format| format.map(Into::into)),
        })
    }
}

/// The body of a retirement: `{}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetireBook {}

/// A book of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Book {
    /// Follows from the ISBN.
    pub id: Uuid,
    /// 13 digits.
    #[schema(example = "9780306406157")]
    pub isbn: String,
    /// The title.
    #[schema(example = "The Typesetter's Daughter")]
    pub title: String,
    /// In the order of the title page.
    #[schema(example = json!(["Ada Example"]))]
    pub authors: Vec<String>,
    /// BCP 47 tag, as it was sent.
    #[schema(example = "en")]
    pub language: String,
    /// Absent if the book has none and cannot be ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2024-05")]
    pub published_on: Option<String>,
    /// Such as `2nd, revised`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edition: Option<String>,
    /// The form it is sold in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// The main one first.
    pub subjects: Vec<Subject>,
    /// Whether it left the catalogue for good.
    pub retired: bool,
    /// How many events the book has; the entity tag.
    #[schema(example = 1)]
    pub revision: u64,
}

impl Book {
    /// The book as of a revision; none before its registration.
    pub fn new(id: BookId, book: &book::Book, revision: u64) -> Option<Self> {
        let Listing { isbn, description, price } = book.listing()?;
        Some(Self {
            id: id.into(),
            isbn: isbn.to_string(),
            title: description.title.as_str().to_owned(),
            authors: description.authors.names().to_vec(),
            language: description.language.as_str().to_owned(),
            price: price.as_ref().map(Money::from),
            published_on: description.published_on.map(|date| date.to_string()),
            edition: description.edition.as_ref().map(|edition| edition.as_str().to_owned()),
            format: description.format.map(Format::from),
            subjects: description.subjects.as_slice().iter().map(Subject::from).collect(),
            retired: matches!(book, book::Book::Retired(_)),
            revision,
        })
    }
}

fn subjects(given: Vec<Subject>) -> Result<Subjects, Invalid> {
    let parsed =
        |subject: Subject| description::Subject::parse(&subject.scheme, subject.version.as_deref(), &subject.code);
    Subjects::parse(given.into_iter().map(parsed).collect::<Result<_, _>>()?)
}

impl From<Format> for description::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Hardback => Self::Hardback,
            Format::Paperback => Self::Paperback,
            Format::Ebook => Self::Ebook,
            Format::Audiobook => Self::Audiobook,
            Format::Other => Self::Other,
        }
    }
}

impl From<description::Format> for Format {
    fn from(format: description::Format) -> Self {
        match format {
            description::Format::Hardback => Self::Hardback,
            description::Format::Paperback => Self::Paperback,
            description::Format::Ebook => Self::Ebook,
            description::Format::Audiobook => Self::Audiobook,
            description::Format::Other => Self::Other,
        }
    }
}
