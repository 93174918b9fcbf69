//! Stored events of books.

mod v1;

use super::money::MoneyV1;
use super::{Encoded, Unreadable, encoded};
use domain::book::description::{
    self, Authors, Description, Edition, Language, PublicationDate, Subject, Subjects, Title,
};
use domain::book::isbn::Isbn;
use domain::book::{Event, Listing};
use domain::invalid::Invalid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisteredV2 {
    isbn: String,
    description: DescriptionV2,
    price: Option<MoneyV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RevisedV2 {
    description: DescriptionV2,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RepricedV1 {
    price: Option<MoneyV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetiredV1 {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DescriptionV2 {
    title: String,
    authors: Vec<AuthorV1>,
    language: String,
    subjects: Vec<SubjectV1>,
    published_on: Option<String>,
    edition: Option<String>,
    format: Option<FormatV1>,
}

/// Fields may be added to it without another version of the events, such as an id once authors are an aggregate: whoever
/// reads it passes over those that he does not know.
#[derive(Serialize, Deserialize)]
pub(crate) struct AuthorV1 {
    pub(crate) name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectV1 {
    scheme: String,
    version: Option<String>,
    code: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FormatV1 {
    Hardback,
    Paperback,
    Ebook,
    Audiobook,
    Other,
}

pub(super) fn encode(event: &Event) -> Encoded {
    match event {
        Event::Registered(listing) => encoded("BookRegistered", 2, &registered_v2(listing)),
        Event::Revised(description) => {
            encoded("BookRevised", 2, &RevisedV2 { description: description_v2(description) })
        }
        Event::Repriced(price) => encoded("BookRepriced", 1, &RepricedV1 { price: price.as_ref().map(MoneyV1::from) }),
        Event::Retired => encoded("BookRetired", 1, &RetiredV1 {}),
    }
}

/// None if this type and version are not known.
pub(super) fn decode(event_type: &str, version: u16, data: &[u8]) -> Option<Result<Event, Unreadable>> {
    match (event_type, version) {
        ("BookRegistered", 1) => Some(read(data, |stored: v1::Registered| registered(stored.into()))),
        ("BookRegistered", 2) => Some(read(data, registered)),
        ("BookRevised", 1) => Some(read(data, |stored: v1::Revised| revised(stored.into()))),
        ("BookRevised", 2) => Some(read(data, revised)),
        ("BookRepriced", 1) => Some(read(data, repriced)),
        ("BookRetired", 1) => Some(read(data, |RetiredV1 {}| Ok(Event::Retired))),
        _ => None,
    }
}

fn read<S: DeserializeOwned>(
    data: &[u8],
    event: impl FnOnce(S) -> Result<Event, Invalid>,
) -> Result<Event, Unreadable> {
    Ok(event(serde_json::from_slice(data)?)?)
}

fn registered(stored: RegisteredV2) -> Result<Event, Invalid> {
    listing(stored).map(Event::Registered)
}

pub(crate) fn listing(stored: RegisteredV2) -> Result<Listing, Invalid> {
    Ok(Listing {
        isbn: Isbn::parse(&stored.isbn)?,
        description: description(stored.description)?,
        price: stored.price.map(MoneyV1::read).transpose()?,
    })
}

fn revised(stored: RevisedV2) -> Result<Event, Invalid> {
    Ok(Event::Revised(description(stored.description)?))
}

fn repriced(stored: RepricedV1) -> Result<Event, Invalid> {
    Ok(Event::Repriced(stored.price.map(MoneyV1::read).transpose()?))
}

pub(crate) fn registered_v2(listing: &Listing) -> RegisteredV2 {
    RegisteredV2 {
        isbn: listing.isbn.to_string(),
        description: description_v2(&listing.description),
        price: listing.price.as_ref().map(MoneyV1::from),
    }
}

fn description_v2(description: &Description) -> DescriptionV2 {
    DescriptionV2 {
        title: description.title.as_str().to_owned(),
        authors: description.authors.names().iter().cloned().map(|name| AuthorV1 { name }).collect(),
        language: description.language.as_str().to_owned(),
        subjects: description.subjects.as_slice().iter().map(subject_v1).collect(),
        published_on: description.published_on.map(|date| date.to_string()),
        edition: description.edition.as_ref().map(|edition| edition.as_str().to_owned()),
        format: description.format.map(format_v1),
    }
}

fn description(stored: DescriptionV2) -> Result<Description, Invalid> {
    let authors: Vec<_> = stored.authors.into_iter().map(|author| author.name).collect();
    Ok(Description {
        title: Title::parse(&stored.title)?,
        authors: Authors::parse(&authors)?,
        language: Language::parse(&stored.language)?,
        subjects: Subjects::parse(stored.subjects.into_iter().map(subject).collect::<Result<_, _>>()?)?,
        published_on: stored.published_on.as_deref().map(PublicationDate::parse).transpose()?,
        edition: stored.edition.as_deref().map(Edition::parse).transpose()?,
        format: stored.format.map(format),
    })
}

pub(crate) fn subject(SubjectV1 { scheme, version, code }: SubjectV1) -> Result<Subject, Invalid> {
    Subject::parse(&scheme, version.as_deref(), &code)
}

pub(crate) fn subject_v1(subject: &Subject) -> SubjectV1 {
    SubjectV1 {
        scheme: subject.scheme().to_owned(),
        version: subject.version().map(str::to_owned),
        code: subject.code().to_owned(),
    }
}

pub(crate) fn format_v1(format: description::Format) -> FormatV1 {
    match format {
        description::Format::Hardback => FormatV1::Hardback,
        description::Format::Paperback => FormatV1::Paperback,
        description::Format::Ebook => FormatV1::Ebook,
        description::Format::Audiobook => FormatV1::Audiobook,
        description::Format::Other => FormatV1::Other,
    }
}

pub(crate) fn format(stored: FormatV1) -> description::Format {
    match stored {
        FormatV1::Hardback => description::Format::Hardback,
        FormatV1::Paperback => description::Format::Paperback,
        FormatV1::Ebook => description::Format::Ebook,
        FormatV1::Audiobook => description::Format::Audiobook,
        FormatV1::Other => description::Format::Other,
    }
}
