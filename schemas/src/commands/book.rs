//! Commands to books, and how books refuse them.

use crate::events::book::{AuthorV1, FormatV1, RegisteredV2, SubjectV1};
use crate::events::book::{format, format_v1, listing, registered_v2, subject, subject_v1};
use crate::events::money::MoneyV1;
use domain::book;
use domain::book::description::{Authors, Changes, Edition, Language, PublicationDate, Subjects, Title};
use domain::invalid::Invalid;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Command {
    Register(RegisteredV2),
    /// Only what changes; none = it is cleared.
    Revise(Vec<Change>),
    Retire,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    Title(String),
    Authors(Vec<AuthorV1>),
    Language(String),
    Subjects(Vec<SubjectV1>),
    Price(Option<MoneyV1>),
    PublishedOn(Option<String>),
    Edition(Option<String>),
    Format(Option<FormatV1>),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rejection {
    IsbnTaken,
    NotRegistered,
    Retired,
}

impl From<&book::Command> for Command {
    fn from(command: &book::Command) -> Self {
        match command {
            book::Command::Register(listing) => Self::Register(registered_v2(listing)),
            book::Command::Revise(changes) => Self::Revise(written(changes)),
            book::Command::Retire => Self::Retire,
        }
    }
}

impl Command {
    pub(super) fn read(self) -> Result<book::Command, Invalid> {
        Ok(match self {
            Self::Register(registered) => book::Command::Register(listing(registered)?),
            Self::Revise(changes) => {
                book::Command::Revise(changes.into_iter().try_fold(Changes::default(), |all, one| one.read(all))?)
            }
            Self::Retire => book::Command::Retire,
        })
    }
}

fn written(changes: &Changes) -> Vec<Change> {
    let Changes { title, authors, language, subjects, price, published_on, edition, format } = changes;
    let author = |name: &String| AuthorV1 { name: name.clone() };
    [
        title.as_ref().map(|title| Change::Title(title.as_str().to_owned())),
        authors.as_ref().map(|authors| Change::Authors(authors.names().iter().map(author).collect())),
        language.as_ref().map(|language| Change::Language(language.as_str().to_owned())),
        subjects.as_ref().map(|subjects| Change::Subjects(subjects.as_slice().iter().map(subject_v1).collect())),
        price.as_ref().map(|price| Change::Price(price.as_ref().map(MoneyV1::from))),
        published_on.map(|date| Change::PublishedOn(date.map(|date| date.to_string()))),
        edition.as_ref().map(|edition| Change::Edition(edition.as_ref().map(|edition| edition.as_str().to_owned()))),
        format.map(|format| Change::Format(format.map(format_v1))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Change {
    fn read(self, changes: Changes) -> Result<Changes, Invalid> {
        Ok(match self {
            Self::Title(title) => Changes { title: Some(Title::parse(&title)?), ..changes },
            Self::Authors(authors) => {
                let names: Vec<_> = authors.into_iter().map(|author| author.name).collect();
                Changes { authors: Some(Authors::parse(&names)?), ..changes }
            }
            Self::Language(language) => Changes { language: Some(Language::parse(&language)?), ..changes },
            Self::Subjects(subjects) => {
                let subjects = subjects.into_iter().map(subject).collect::<Result<_, _>>()?;
                Changes { subjects: Some(Subjects::parse(subjects)?), ..changes }
            }
            Self::Price(price) => Changes { price: Some(price.map(MoneyV1::read).transpose()?), ..changes },
            Self::PublishedOn(date) => {
                let date = date.as_deref().map(PublicationDate::parse).transpose()?;
                Changes { published_on: Some(date), ..changes }
            }
            Self::Edition(edition) => {
                Changes { edition: Some(edition.as_deref().map(Edition::parse).transpose()?), ..changes }
            }
            Self::Format(stored) => Changes { format: Some(stored.map(format)), ..changes },
        })
    }
}

impl From<&book::Rejection> for Rejection {
    fn from(rejection: &book::Rejection) -> Self {
        match rejection {
            book::Rejection::IsbnTaken => Self::IsbnTaken,
            book::Rejection::NotRegistered => Self::NotRegistered,
            book::Rejection::Retired => Self::Retired,
        }
    }
}

impl From<Rejection> for book::Rejection {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::IsbnTaken => Self::IsbnTaken,
            Rejection::NotRegistered => Self::NotRegistered,
            Rejection::Retired => Self::Retired,
        }
    }
}
