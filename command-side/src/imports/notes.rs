//! What was repaired in a row, and what was left out of it.

use serde::{Deserialize, Serialize};

/// Something about a row that its sender should know, though it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// A value was put right, where no doubt is possible.
    Repaired(Repair),
    /// A value that may be absent could not be used.
    LeftOut(LeftOut),
}

/// What was put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "`meaning` says what each one is, to users too")]
pub enum Repair {
    IsbnZeros,
    IsbnPunctuation,
    IsbnLabel,
    IsbnDecimal,
    Spreadsheet,
    DateForm,
    PriceForm,
    LanguageCode,
}

/// What could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "`meaning` says what each one is, to users too")]
pub enum LeftOut {
    PublicationDate,
    Subtitle,
    Subject,
    Edition,
    Format,
}

impl Repair {
    /// Its name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::IsbnZeros => "isbn_zeros",
            Self::IsbnPunctuation => "isbn_punctuation",
            Self::IsbnLabel => "isbn_label",
            Self::IsbnDecimal => "isbn_decimal",
            Self::Spreadsheet => "spreadsheet",
            Self::DateForm => "date_form",
            Self::PriceForm => "price_form",
            Self::LanguageCode => "language_code",
        }
    }

    /// What was done.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::IsbnZeros => "the leading zeros of the ISBN put back: the check digit fits",
            Self::IsbnPunctuation => "typographic hyphens and spaces and full-width digits of the ISBN made plain",
            Self::IsbnLabel => "`ISBN` before the number taken away",
            Self::IsbnDecimal => "`.0` after the ISBN taken away",
            Self::Spreadsheet => "a spreadsheet's wrapping such as =\"…\" taken away",
            Self::DateForm => "the date written as YYYY-MM-DD, as far as it is known",
            Self::PriceForm => "the amount and the currency taken out of a text",
            Self::LanguageCode => "the language written as the shortest BCP 47 tag",
        }
    }
}

impl LeftOut {
    /// Its name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::PublicationDate => "publication_date",
            Self::Subtitle => "subtitle",
            Self::Subject => "subject",
            Self::Edition => "edition",
            Self::Format => "format",
        }
    }

    /// Why.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::PublicationDate => "a date that cannot be, or that can be read in two ways",
            Self::Subtitle => "with the subtitle, the title would have more than 200 characters",
            Self::Subject => "a part is longer than 100 characters, or there are more than 100 subjects",
            Self::Edition => "the edition has more than 100 characters",
            Self::Format => "no format that is known",
        }
    }
}

/// The notes of one row, each at most once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes(Vec<Note>);

impl Notes {
    pub(crate) fn repaired(&mut self, repair: Repair) {
        self.add(Note::Repaired(repair));
    }

    pub(crate) fn left_out(&mut self, left_out: LeftOut) {
        self.add(Note::LeftOut(left_out));
    }

    fn add(&mut self, note: Note) {
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    pub(crate) fn into_vec(self) -> Vec<Note> {
        self.0
    }
}
