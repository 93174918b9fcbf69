//! ONIX for Books 3.0: each product of a message is a book to register, to revise or to retire.

mod contributors;
mod element;
mod price;
mod product;
mod reader;
mod title;

use super::Source;
use super::encoding::Decoded;
use super::opening::Unreadable;
use super::progress::{Frame, ReadAs};
use super::row::Entry;
use super::task::{RefusedRows, Task};
use domain::money::Currency;
use element::Element;
use reader::{Found, Part, Parts};

/// What holds for every product of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Defaults {
    /// Of the catalogue.
    pub(crate) usual_currency: Currency,
    /// The version that the message says it has.
    pub(crate) release: Option<String>,
    pub(crate) language: Option<String>,
    pub(crate) currency: Option<String>,
    pub(crate) price_type: Option<String>,
}

/// The products of a message.
pub(crate) struct Messages {
    parts: Parts,
    encoding: &'static str,
    defaults: Defaults,
    refused_rows: RefusedRows,
    frame: Frame,
    products: u64,
}

impl Messages {
    pub(crate) fn open(file: Decoded, encoding: &'static str, task: &Task) -> Self {
        let (release, language, currency, price_type) = (None, None, None, None);
        let defaults = Defaults { usual_currency: task.currency, release, language, currency, price_type };
        let frame = frame("<ONIXMessage release=\"3.0\">", "ONIXMessage");
        Self { parts: Parts::of(file), encoding, defaults, refused_rows: task.refused_rows, frame, products: 0 }
    }

    fn entry(&mut self, found: Found) -> Entry {
        self.products += 1;
        let Found { line, element, text } = found;
        let (row, notes) = match element {
            Ok(element) => product::read(&element, &self.defaults),
            Err(reason) => (Err(reason), Default::default()),
        };
        Entry { line, row, notes, text: text.filter(|_| self.refused_rows == RefusedRows::Kept) }
    }

    fn take_header(&mut self, found: Found) {
        // A header that cannot be read gives no defaults; the products say what they lack.
        let header = found.element.unwrap_or_else(|_| Element::default());
        self.defaults.language = header.text_of("DefaultLanguageOfText");
        self.defaults.currency = header.text_of("DefaultCurrencyCode");
        self.defaults.price_type = header.text_of("DefaultPriceType");
        if let Some(text) = found.text {
            self.frame.opening = format!("{}\n{text}", self.frame.opening);
        }
    }

    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        self.parts.held_bytes()
    }
}

fn frame(tag: &str, name: &str) -> Frame {
    Frame { opening: format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{tag}"), closing: format!("</{name}>") }
}

impl Source for Messages {
    fn read_as(&self) -> ReadAs {
        ReadAs {
            format: match &self.defaults.release {
                Some(release) => format!("onix {release}"),
                None => "onix".to_owned(),
            },
            encoding: self.encoding.to_owned(),
            frame: self.frame.clone(),
            ..ReadAs::default()
        }
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, Unreadable> {
        loop {
            match self.parts.next_part()? {
                Part::Root { tag, name, release } => {
                    self.frame = frame(&tag, &name);
                    self.defaults.release = release.map(|release| release.trim().chars().take(20).collect());
                }
                Part::Header(found) => self.take_header(found),
                Part::Product(found) => return Ok(Some(self.entry(found))),
                Part::End if self.products == 0 => {
                    return Err(Unreadable::from("the message holds no product".to_owned()));
                }
                Part::End => return Ok(None),
            }
        }
    }
}
