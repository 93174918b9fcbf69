//! What describes a book: title, authors, language, subjects, date, edition and format.

use crate::invalid::{Invalid, text};
use crate::money::Money;

/// A title of 1–200 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title(String);

impl Title {
    /// Fails on blank, long or unprintable text.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        text(input, 200, Invalid::TitleLength).map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// 1–100 names of 1–200 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authors(Vec<String>);

impl Authors {
    /// Fails on no name, too many, or a name that is none.
    pub fn parse<S: AsRef<str>>(names: &[S]) -> Result<Self, Invalid> {
        if names.is_empty() || names.len() > 100 {
            return Err(Invalid::AuthorCount);
        }
        names.iter().map(|name| text(name.as_ref(), 200, Invalid::AuthorLength)).collect::<Result<_, _>>().map(Self)
    }

    /// The names, in the order of the title page.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// A well-formed BCP 47 language tag, kept as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language(String);

impl Language {
    /// Fails on a tag that is not well formed (RFC 5646 section 2.2.9) or longer than the 35 characters of its section 4.4.1.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        if input.len() > 35 || oxilangtag::LanguageTag::parse(input).is_err() {
            return Err(Invalid::Language);
        }
        Ok(Self(input.to_owned()))
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A subject: a code of a published scheme, such as Thema 1.5 `FBA`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    scheme: String,
    version: Option<String>,
    code: String,
}

impl Subject {
    /// Fails where a part is blank, longer than 100 characters or unprintable.
    pub fn parse(scheme: &str, version: Option<&str>, code: &str) -> Result<Self, Invalid> {
        let part = |input: &str| text(input, 100, Invalid::SubjectLength);
        Ok(Self { scheme: part(scheme)?, version: version.map(part).transpose()?, code: part(code)? })
    }

    /// Who names the codes, such as `thema` or `bisac`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Which edition of the scheme.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The code within the scheme.
    pub fn code(&self) -> &str {
        &self.code
    }
}

/// At most 100 subjects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subjects(Vec<Subject>);

impl Subjects {
    /// Fails on too many.
    pub fn parse(subjects: Vec<Subject>) -> Result<Self, Invalid> {
        if subjects.len() > 100 { Err(Invalid::SubjectCount) } else { Ok(Self(subjects)) }
    }

    /// In the order they were given: the first is the main one.
    pub fn as_slice(&self) -> &[Subject] {
        &self.0
    }
}

/// A year, a month or a day of the proleptic Gregorian calendar, as exact as the publisher was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicationDate {
    year: u16,
    month: Option<u8>,
    day: Option<u8>,
}

impl PublicationDate {
    /// Reads `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        let mut parts = input.split('-');
        let year: u16 = number(parts.next(), 4)?.ok_or(Invalid::PublicationDate)?;
        let month = number(parts.next(), 2)?.map(|month| month as u8);
        let day = number(parts.next(), 2)?.map(|day| day as u8);
        let in_calendar = year >= 1
            && month.is_none_or(|month| (1..=12).contains(&month))
            && day.is_none_or(|day| (1..=days(year, month)).contains(&day));
        if !in_calendar || parts.next().is_some() {
            return Err(Invalid::PublicationDate);
        }
        Ok(Self { year, month, day })
    }
}

impl std::fmt::Display for PublicationDate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}", self.year)?;
        self.month.map_or(Ok(()), |month| write!(f, "-{month:02}"))?;
        self.day.map_or(Ok(()), |day| write!(f, "-{day:02}"))
    }
}

fn number(part: Option<&str>, digits: usize) -> Result<Option<u16>, Invalid> {
    let Some(part) = part else { return Ok(None) };
    if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Invalid::PublicationDate);
    }
    part.parse().map(Some).map_err(|_| Invalid::PublicationDate)
}

fn days(year: u16, month: Option<u8>) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        Some(2) if leap => 29,
        Some(2) => 28,
        Some(4 | 6 | 9 | 11) => 30,
        _ => 31,
    }
}

/// An edition statement of 1–100 characters, such as `2nd, revised`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition(String);

impl Edition {
    /// Fails on blank, long or unprintable text.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        text(input, 100, Invalid::EditionLength).map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The form a book is sold in, as far as a shop has to tell forms apart (after ONIX code list 150).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Hard covers (ONIX BB).
    Hardback,
    /// Soft covers (ONIX BC).
    Paperback,
    /// A digital text (ONIX E…).
    Ebook,
    /// A recording (ONIX A…).
    Audiobook,
    /// Any other form.
    Other,
}

/// What describes a book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its title.
    pub title: Title,
    /// Who wrote it.
    pub authors: Authors,
    /// The language of the text.
    pub language: Language,
    /// What it is about.
    pub subjects: Subjects,
    /// When it came out.
    pub published_on: Option<PublicationDate>,
    /// Which edition it is.
    pub edition: Option<Edition>,
    /// Which form it has.
    pub format: Option<Format>,
}

/// What to change of a book: `None` leaves a field as it is, `Some(None)` clears one that may be absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// A new title.
    pub title: Option<Title>,
    /// All the authors anew.
    pub authors: Option<Authors>,
    /// A new language.
    pub language: Option<Language>,
    /// All the subjects anew.
    pub subjects: Option<Subjects>,
    /// A new price, or none any more.
    pub price: Option<Option<Money>>,
    /// A new date, or none any more.
    pub published_on: Option<Option<PublicationDate>>,
    /// A new edition, or none any more.
    pub edition: Option<Option<Edition>>,
    /// A new format, or none any more.
    pub format: Option<Option<Format>>,
}

impl Changes {
    /// `before` with these changes; the price is no part of a description.
    pub(crate) fn apply(self, before: &Description) -> Description {
        let before = before.clone();
        Description {
            title: self.title.unwrap_or(before.title),
            authors: self.authors.unwrap_or(before.authors),
            language: self.language.unwrap_or(before.language),
            subjects: self.subjects.unwrap_or(before.subjects),
            published_on: self.published_on.unwrap_or(before.published_on),
            edition: self.edition.unwrap_or(before.edition),
            format: self.format.unwrap_or(before.format),
        }
    }
}
