//! Commands to books: registered and retired as the events have it, revised by what changes.

use super::read;
use crate::events::book::{FormatV1, SubjectV1};
use crate::events::money::MoneyV1;
use crate::events::{self, Encoded, Unreadable, encoded};
use domain::book::description::{Authors, Changes, Edition, Language, PublicationDate, Subjects, Title};
use domain::book::{Command, Event};
use domain::invalid::Invalid;
use serde::{Deserialize, Serialize};

const REVISE: &str = "ReviseBook";

/// What is to be changed, and into what; none takes it away.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChangeV1 {
    Title(String),
    Authors(Vec<String>),
    Language(String),
    Subjects(Vec<SubjectV1>),
    Price(Option<MoneyV1>),
    PublishedOn(Option<String>),
    Edition(Option<String>),
    Format(Option<FormatV1>),
}

pub(super) fn encode(command: &Command) -> Encoded {
    let event = match command {
        Command::Register(listing) => Event::Registered(listing.clone()),
        Command::Retire => Event::Retired,
        Command::Revise(changes) => return encoded(REVISE, 1, &changes_v1(changes)),
    };
    events::encode(&domain::Event::Book(event))
}

/// None if it is no command of its own.
pub(super) fn decode(name: &str, version: u16, data: &[u8]) -> Option<Result<Command, Unreadable>> {
    match (name, version) {
        (REVISE, 1) => Some(read(data, |changes: Vec<ChangeV1>| changes_of(changes).map(Command::Revise))),
        _ => None,
    }
}

/// The command that asks for an event; none asks for the others.
pub(super) fn asking(event: Event) -> Option<Command> {
    match event {
        Event::Registered(listing) => Some(Command::Register(listing)),
        Event::Retired => Some(Command::Retire),
        Event::Revised(_) | Event::Repriced(_) => None,
    }
}

fn changes_v1(changes: &Changes) -> Vec<ChangeV1> {
    // All fields by name: a new one has to be thought of here.
    let Changes { title, authors, language, subjects, price, published_on, edition, format } = changes;
    let text = |text: &str| text.to_owned();
    let all = [
        title.as_ref().map(|title| ChangeV1::Title(text(title.as_str()))),
        authors.as_ref().map(|authors| ChangeV1::Authors(authors.names().to_vec())),
        language.as_ref().map(|language| ChangeV1::Language(text(language.as_str()))),
        subjects.as_ref().map(|all| ChangeV1::Subjects(all.as_slice().iter().map(events::book::subject_v1).collect())),
        price.as_ref().map(|price| ChangeV1::Price(price.as_ref().map(MoneyV1::from))),
        published_on.map(|date| ChangeV1::PublishedOn(date.map(|date| date.to_string()))),
        edition.as_ref().map(|edition| ChangeV1::Edition(edition.as_ref().map(|edition| text(edition.as_str())))),
        format.map(|format| ChangeV1::Format(format.map(events::book::format_v1))),
    ];
    all.into_iter().flatten().collect()
}

fn changes_of(changes: Vec<ChangeV1>) -> Result<Changes, Invalid> {
    let mut all = Changes::default();
    for change in changes {
        match change {
            ChangeV1::Title(title) => all.title = Some(Title::parse(&title)?),
            ChangeV1::Authors(names) => all.authors = Some(Authors::parse(&names)?),
            ChangeV1::Language(language) => all.language = Some(Language::parse(&language)?),
            ChangeV1::Subjects(subjects) => {
                let subjects = subjects.into_iter().map(events::book::subject).collect::<Result<_, _>>()?;
                all.subjects = Some(Subjects::parse(subjects)?);
            }
            ChangeV1::Price(price) => all.price = Some(price.map(MoneyV1::read).transpose()?),
            ChangeV1::PublishedOn(date) => {
                all.published_on = Some(date.as_deref().map(PublicationDate::parse).transpose()?);
            }
            ChangeV1::Edition(edition) => all.edition = Some(edition.as_deref().map(Edition::parse).transpose()?),
            ChangeV1::Format(format) => all.format = Some(format.map(events::book::format)),
        }
    }
    Ok(all)
}
