//! Stored events of books.

use super::money::MoneyV1;
use super::{Encoded, Unreadable, encoded};
use domain::book::description::{
    self, Authors, Description, Edition, Language, PublicationDate, Subject, Subjects, Title,
};
use domain::book::isbn::Isbn;
use domain::book::{Event, Listing};
use domain::invalid::Invalid;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegisteredV1 {
    isbn: String,
    description: DescriptionV1,
    price: Option<MoneyV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RevisedV1 {
    description: DescriptionV1,
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
struct DescriptionV1 {
    title: String,
    authors: Vec<String>,
    language: String,
    subjects: Vec<SubjectV1>,
    published_on: Option<String>,
    edition: Option<String>,
    format: Option<FormatV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectV1 {
    scheme: String,
    version: Option<String>,
    code: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FormatV1 {
    Hardback,
    Paperback,
    Ebook,
    Audiobook,
    Other,
}

pub(super) fn encode(event: &Event) -> Encoded {
    match event {
        Event::Registered(listing) => encoded("BookRegistered", 1, &registered(listing)),
        Event::Revised(description) => {
            encoded("BookRevised", 1, &RevisedV1 { description: description_v1(description) })
        }
        Event::Repriced(price) => encoded("BookRepriced", 1, &RepricedV1 { price: price.as_ref().map(MoneyV1::from) }),
        Event::Retired => encoded("BookRetired", 1, &RetiredV1 {}),
    }
}

/// None if this type and version are not known.
pub(super) fn decode(event_type: &str, version: u16, data: &[u8]) -> Option<Result<Event, Unreadable>> {
    match (event_type, version) {
        ("BookRegistered", 1) => Some(read_registered(data)),
        ("BookRevised", 1) => Some(read_revised(data)),
        ("BookRepriced", 1) => Some(read_repriced(data)),
        ("BookRetired", 1) => Some(read_retired(data)),
        _ => None,
    }
}

fn read_registered(data: &[u8]) -> Result<Event, Unreadable> {
    let stored: RegisteredV1 = serde_json::from_slice(data)?;
    Ok(Event::Registered(Listing {
        isbn: Isbn::parse(&stored.isbn)?,
        description: description(stored.description)?,
        price: stored.price.map(MoneyV1::read).transpose()?,
    }))
}

fn read_revised(data: &[u8]) -> Result<Event, Unreadable> {
    let stored: RevisedV1 = serde_json::from_slice(data)?;
    Ok(Event::Revised(description(stored.description)?))
}

fn read_repriced(data: &[u8]) -> Result<Event, Unreadable> {
    let stored: RepricedV1 = serde_json::from_slice(data)?;
    Ok(Event::Repriced(stored.price.map(MoneyV1::read).transpose()?))
}

fn read_retired(data: &[u8]) -> Result<Event, Unreadable> {
    let RetiredV1 {} = serde_json::from_slice(data)?;
    Ok(Event::Retired)
}

fn registered(listing: &Listing) -> RegisteredV1 {
    RegisteredV1 {
        isbn: listing.isbn.to_string(),
        description: description_v1(&listing.description),
        price: listing.price.as_ref().map(MoneyV1::from),
    }
}

fn description_v1(description: &Description) -> DescriptionV1 {
    DescriptionV1 {
        title: description.title.as_str().to_owned(),
        authors: description.authors.names().to_vec(),
        language: description.language.as_str().to_owned(),
        subjects: description.subjects.as_slice().iter().map(subject_v1).collect(),
        published_on: description.published_on.map(|date| date.to_string()),
        edition: description.edition.as_ref().map(|edition| edition.as_str().to_owned()),
        format: description.format.map(format_v1),
    }
}

fn description(stored: DescriptionV1) -> Result<Description, Invalid> {
    let subject = |SubjectV1 { scheme, version, code }| Subject::parse(&scheme, version.as_deref(), &code);
    Ok(Description {
        title: Title::parse(&stored.title)?,
        authors: Authors::parse(&stored.authors)?,
        language: Language::parse(&stored.language)?,
        subjects: Subjects::parse(stored.subjects.into_iter().map(subject).collect::<Result<_, _>>()?)?,
        published_on: stored.published_on.as_deref().map(PublicationDate::parse).transpose()?,
        edition: stored.edition.as_deref().map(Edition::parse).transpose()?,
        format: stored.format.map(format),
    })
}

fn subject_v1(subject: &Subject) -> SubjectV1 {
    SubjectV1 {
        scheme: subject.scheme().to_owned(),
        version: subject.version().map(str::to_owned),
        code: subject.code().to_owned(),
    }
}

fn format_v1(format: description::Format) -> FormatV1 {
    match format {
        description::Format::Hardback => FormatV1::Hardback,
        description::Format::Paperback => FormatV1::Paperback,
        description::Format::Ebook => FormatV1::Ebook,
        description::Format::Audiobook => FormatV1::Audiobook,
        description::Format::Other => FormatV1::Other,
    }
}

fn format(stored: FormatV1) -> description::Format {
    match stored {
        FormatV1::Hardback => description::Format::Hardback,
        FormatV1::Paperback => description::Format::Paperback,
        FormatV1::Ebook => description::Format::Ebook,
        FormatV1::Audiobook => description::Format::Audiobook,
        FormatV1::Other => description::Format::Other,
    }
}
