//! The rows of a table as what they ask for: books as goodbooks-10k lists them, books as suppliers do, or stock.

use super::Source;
use super::columns::{Columns, Field};
use super::fields::{self, date, isbn, language, names, price, subjects};
use super::notes::{LeftOut, Notes};
use super::opening::Unreadable;
use super::progress::{Frame, ReadAs};
use super::row::{Entry, Row};
use super::table::Table;
use super::task::RefusedRows;
use super::{reason, stock};
use csv::StringRecord;
use domain::book::Listing;
use domain::book::description::{Authors, Description, Edition, Language, PublicationDate, Subjects, Title};
use domain::book::isbn::Isbn;
use domain::invalid::Invalid;
use domain::money::Currency;

/// What the rows of a table are.
pub(crate) enum Kind {
    /// Books, with numbers without their leading zeros, years as fractions, and unknown languages blank.
    Goodbooks,
    /// Books, as suppliers list them.
    Catalogue { currency: Currency },
    /// Copies and prices.
    Stock { currency: Currency },
}

/// The rows of a table.
pub(crate) struct Rows {
    kind: Kind,
    format: &'static str,
    table: Table,
    columns: Columns,
    refused_rows: RefusedRows,
}

impl Rows {
    pub(crate) fn new(
        kind: Kind,
        format: &'static str,
        table: Table,
        columns: Columns,
        refused_rows: RefusedRows,
    ) -> Self {
        Self { kind, format, table, columns, refused_rows }
    }
}

impl Source for Rows {
    fn read_as(&self) -> ReadAs {
        let (columns, unused) = self.columns.told(self.table.header());
        ReadAs {
            format: self.format.to_owned(),
            encoding: self.table.encoding().to_owned(),
            separator: Some(self.table.separator()),
            columns,
            unused,
            frame: Frame { opening: self.table.header_text(), closing: String::new() },
        }
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, Unreadable> {
        let Some((line, record)) = self.table.next_row()? else { return Ok(None) };
        let mut notes = Notes::default();
        let row = record.and_then(|record| {
            let fields = Fields { columns: &self.columns, record };
            match self.kind {
                Kind::Goodbooks => goodbooks(&fields, &mut notes),
                Kind::Catalogue { currency } => catalogue(&fields, currency, &mut notes),
                Kind::Stock { currency } => stock_count(&fields, currency, &mut notes),
            }
        });
        let text = (self.refused_rows == RefusedRows::Kept).then(|| self.table.row_text());
        Ok(Some(Entry { line, row, notes, text }))
    }
}

/// The fields of a row.
struct Fields<'a> {
    columns: &'a Columns,
    record: &'a StringRecord,
}

impl<'a> Fields<'a> {
    /// The text of a field without the white space around it; empty if the file has no such column.
    fn get(&self, field: Field) -> Result<&'a str, String> {
        self.columns.places(field).next().map_or(Ok(""), |place| self.at(place, field))
    }

    fn at(&self, place: usize, field: Field) -> Result<&'a str, String> {
        let text = self.record.get(place).unwrap_or_default().trim();
        whole(field.name(), text).map(|()| text)
    }

    /// The ISBN in whichever column has one; two columns must not name two books.
    fn isbn(&self, notes: &mut Notes) -> Result<Isbn, String> {
        let mut places = self.columns.places(Field::Isbn).peekable();
        if places.peek().is_none() {
            return Err(reason::broken(
                "isbn",
                "",
                "the row has no ISBN, since the file has no column for it",
                Invalid::IsbnShape,
            ));
        }
        let (mut found, mut refused): (_, Option<(bool, String)>) = (None, None);
        for place in places {
            let text = self.at(place, Field::Isbn)?;
            let mut of_column = Notes::default();
            match (isbn::read(text, &mut of_column), &found) {
                (Ok(isbn), None) => {
                    *notes = of_column;
                    found = Some(isbn);
                }
                (Ok(isbn), Some(before)) if isbn != *before => {
                    let what = format!("another column of the row names another book, {before}");
                    return Err(reason::doubtful("isbn", text, &what));
                }
                (Ok(_), Some(_)) => {}
                (Err(_), _) if text.is_empty() && refused.is_some() => {}
                (Err(reason), _) => refused = refused.filter(|(blank, _)| !*blank).or(Some((text.is_empty(), reason))),
            }
        }
        let nothing = || reason::broken("isbn", "", "the row has no ISBN", Invalid::IsbnShape);
        found.ok_or_else(|| refused.map_or_else(nothing, |(_, reason)| reason))
    }
}

/// Refuses a text of which something was lost when it was decoded, here or earlier.
pub(crate) fn whole(field: &str, text: &str) -> Result<(), String> {
    if text.contains(char::REPLACEMENT_CHARACTER) {
        let what = "some of its bytes are not in the file's encoding, and what they meant is lost";
        return Err(reason::doubtful(field, text, what));
    }
    Ok(())
}

/// A book as goodbooks-10k has it.
fn goodbooks(fields: &Fields<'_>, notes: &mut Notes) -> Result<Row, String> {
    let isbn = fields.isbn(notes)?;
    let names: Vec<_> =
        fields.get(Field::Authors)?.split(", ").map(str::trim).filter(|name| !name.is_empty()).collect();
    let tag = fields.get(Field::Language)?;
    let tag = if tag.is_empty() { "und" } else { tag };
    let description = Description {
        title: title(fields)?,
        authors: authors(&names)?,
        language: Language::parse(tag).map_err(|invalid| reason::invalid("language", tag, invalid))?,
        subjects: Subjects::default(),
        published_on: year(fields.get(Field::PublishedOn)?, notes),
        edition: None,
        format: None,
    };
    Ok(Row::Register(Box::new(Listing { isbn, description, price: None })))
}

/// `2008.0` is how the data set writes 2008; a year that cannot be is left out.
fn year(text: &str, notes: &mut Notes) -> Option<PublicationDate> {
    let whole: Option<u16> = text.strip_suffix(".0").unwrap_or(text).parse().ok();
    let date = whole.and_then(|year| PublicationDate::parse(&format!("{year:04}")).ok());
    if date.is_none() && !text.is_empty() {
        notes.left_out(LeftOut::PublicationDate);
    }
    date
}

/// A book as a supplier has it.
fn catalogue(fields: &Fields<'_>, currency: Currency, notes: &mut Notes) -> Result<Row, String> {
    let isbn = fields.isbn(notes)?;
    let title = title(fields)?;
    let names = names::split(fields::unwrapped(fields.get(Field::Authors)?, notes));
    let authors = authors(&names)?;
    let tag = fields.get(Field::Language)?;
    let language = language::read(tag, notes).map_err(|invalid| reason::invalid("language", tag, invalid))?;
    let said = given(fields.get(Field::Currency)?).unwrap_or(fields.columns.currency_of_prices());
    let price = price::read(fields.get(Field::Price)?, said, currency, notes)?;
    let published_on = date::read(fields.get(Field::PublishedOn)?, notes);
    let subjects = subjects::read(fields.get(Field::Subjects)?, notes);
    let edition = given(fields::unwrapped(fields.get(Field::Edition)?, notes)).map(Edition::parse);
    if matches!(edition, Some(Err(_))) {
        notes.left_out(LeftOut::Edition);
    }
    let form = given(fields.get(Field::Format)?).map(language::form);
    if form == Some(None) {
        notes.left_out(LeftOut::Format);
    }
    let (edition, format) = (edition.and_then(Result::ok), form.flatten());
    let description = Description { title, authors, language, subjects, published_on, edition, format };
    Ok(Row::Register(Box::new(Listing { isbn, description, price })))
}

fn title(fields: &Fields<'_>) -> Result<Title, String> {
    let text = fields.get(Field::Title)?;
    Title::parse(text).map_err(|invalid| reason::invalid("title", text, invalid))
}

fn authors<S: AsRef<str>>(names: &[S]) -> Result<Authors, String> {
    let all = || names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("; ");
    Authors::parse(names).map_err(|invalid| reason::invalid("authors", &all(), invalid))
}

/// Copies and price of a registered book.
fn stock_count(fields: &Fields<'_>, currency: Currency, notes: &mut Notes) -> Result<Row, String> {
    let isbn = fields.isbn(notes)?;
    let on_hand = given(fields.get(Field::OnHand)?).map(stock::copies).transpose()?;
    let price = given(fields.get(Field::Price)?).map(|text| stock::price(text, currency)).transpose()?;
    Ok(Row::Count(stock::Count { isbn, on_hand, price }))
}

fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
