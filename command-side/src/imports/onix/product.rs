//! One product of a message as what it asks for.

use super::element::Element;
use super::{Defaults, contributors, price, title};
use crate::imports::fields::{date, isbn, language, subjects};
use crate::imports::notes::{LeftOut, Notes};
use crate::imports::reason;
use crate::imports::row::Row;
use crate::imports::rows::whole;
use domain::book::Listing;
use domain::book::description::{
    Authors, Changes, Description, Edition, Format, Language, PublicationDate, Subject, Subjects, Title,
};
use domain::book::isbn::Isbn;
use domain::invalid::Invalid;

/// Reads a product.
pub(crate) fn read(product: &Element, defaults: &Defaults) -> (Result<Row, String>, Notes) {
    let mut notes = Notes::default();
    let row = row(product, defaults, &mut notes);
    (row, notes)
}

fn row(product: &Element, defaults: &Defaults, notes: &mut Notes) -> Result<Row, String> {
    not_onix_2(product, defaults)?;
    let isbn = identifier(product, notes)?;
    let notification = product.text_of("NotificationType").unwrap_or_default();
    match notification.as_str() {
        // Early, advance, confirmed; and a record that does not say what it is, is one.
        "" | "01" | "02" | "03" => whole_record(product, isbn, defaults, notes),
        "04" => {
            let changes = Box::new(Said::read(product, defaults, notes)?.into_changes());
            Ok(Row::Amend { isbn, changes })
        }
        "05" => Ok(Row::Retire(isbn)),
        "88" | "89" => Err(reason::doubtful("notification type", &notification, "it is a test, and says so")),
        _ => Err(reason::doubtful(
            "notification type",
            &notification,
            "only 01, 02 and 03 (records), 04 (partial update) and 05 (deletion) are taken",
        )),
    }
}

fn whole_record(product: &Element, isbn: Isbn, defaults: &Defaults, notes: &mut Notes) -> Result<Row, String> {
    let said = Said::read(product, defaults, notes)?;
    let missing = |field, invalid: Invalid| reason::invalid(field, "", invalid);
    let title = said.title.clone().ok_or_else(|| missing("title", Invalid::TitleLength))?;
    let authors = said.authors.clone().ok_or_else(|| missing("authors", Invalid::AuthorCount))?;
    let undetermined = || Language::parse("und").expect("it is a tag of BCP 47");
    let description = Description {
        title,
        authors,
        language: said.language.clone().unwrap_or_else(undetermined),
        subjects: said.subjects.clone().unwrap_or_default(),
        published_on: said.published_on,
        edition: said.edition.clone(),
        format: said.format,
    };
    let listing = Box::new(Listing { isbn, description, price: said.price.flatten() });
    // A record says all there is to say of the book itself. Its language cannot be none, and its price may be the shop's own.
    let changes = Changes {
        subjects: Some(said.subjects.clone().unwrap_or_default()),
        published_on: Some(said.published_on),
        edition: Some(said.edition.clone()),
        format: Some(said.format),
        ..said.into_changes()
    };
    Ok(Row::Replace { listing, changes: Box::new(changes) })
}

/// What a record says of a book; `None` where it says nothing.
struct Said {
    title: Option<Title>,
    authors: Option<Authors>,
    language: Option<Language>,
    subjects: Option<Subjects>,
    published_on: Option<PublicationDate>,
    edition: Option<Edition>,
    format: Option<Format>,
    /// `Some(None)` where it says that there is no price.
    price: price::Said,
}

impl Said {
    fn read(product: &Element, defaults: &Defaults, notes: &mut Notes) -> Result<Self, String> {
        let nothing = Element::default();
        let detail = product.first("DescriptiveDetail").unwrap_or(&nothing);
        Ok(Self {
            title: title::read(detail, notes)?,
            authors: contributors::read(detail)?,
            language: language_of_text(detail, defaults, notes)?,
            subjects: subjects_of(detail, notes)?,
            published_on: published_on(product, notes),
            edition: edition(detail, notes)?,
            format: detail.text_of("ProductForm").as_deref().and_then(format),
            price: price::read(product, defaults, notes)?,
        })
    }

    fn into_changes(self) -> Changes {
        Changes {
            title: self.title,
            authors: self.authors,
            language: self.language,
            subjects: self.subjects,
            price: self.price,
            published_on: self.published_on.map(Some),
            edition: self.edition.map(Some),
            format: self.format.map(Some),
        }
    }
}

/// ONIX 2 has other elements by other names: nothing of it would be read rightly.
fn not_onix_2(product: &Element, defaults: &Defaults) -> Result<(), String> {
    let release = defaults.release.as_deref().filter(|release| !release.starts_with('3'));
    let of_2 = ["Title", "DistinctiveTitle", "PublicationDate", "EpubType", "SupplyDetail"];
    let looks_like_2 =
        product.first("DescriptiveDetail").is_none() && of_2.iter().any(|name| product.first(name).is_some());
    if release.is_none() && !looks_like_2 {
        return Ok(());
    }
    let release = release.unwrap_or("2");
    Err(format!("the product is ONIX {release}, and only ONIX 3 is read: ask the sender for it"))
}

/// The ISBN-13, else an EAN that is one, else the ISBN-10 (code list 5).
fn identifier(product: &Element, notes: &mut Notes) -> Result<Isbn, String> {
    let of_type = |wanted: &str| {
        let identifiers = product.all("ProductIdentifier");
        let mut of_type = identifiers.filter(|it| it.text_of("ProductIDType").as_deref() == Some(wanted));
        of_type.find_map(|identifier| identifier.text_of("IDValue"))
    };
    let ean = || of_type("03").filter(|ean| ["978", "979"].iter().any(|prefix| ean.starts_with(prefix)));
    let Some(value) = of_type("15").or_else(ean).or_else(|| of_type("02")) else {
        let others = product.all("ProductIdentifier").filter_map(|identifier| identifier.text_of("IDValue"));
        let others: Vec<_> = others.take(5).collect();
        let what = "the product has no ISBN: no identifier of type 15, or of type 03 that begins with 978 or 979, or of type 02";
        return Err(reason::broken("isbn", &others.join(", "), what, Invalid::IsbnShape));
    };
    isbn::read(&value, notes)
}

fn language_of_text(detail: &Element, defaults: &Defaults, notes: &mut Notes) -> Result<Option<Language>, String> {
    let of_text = |language: &&Element| language.text_of("LanguageRole").as_deref() == Some("01");
    let code = detail.all("Language").find(of_text).and_then(|language| {
        let code = language.text_of("LanguageCode")?;
        let script = language.text_of("ScriptCode").map(|script| format!("-{script}")).unwrap_or_default();
        Some(format!("{code}{script}"))
    });
    // A default describes whole records; a partial update without the element does not speak of it.
    let Some(code) = code.or_else(|| detail.first("TitleDetail").and(defaults.language.clone())) else {
        return Ok(None);
    };
    // Messages write codes of three letters by the rules of ONIX: that is no repair.
    let tag = language::shortest(&code);
    language::read(&tag, notes).map(Some).map_err(|invalid| reason::invalid("language", &code, invalid))
}

/// The main subjects first; keywords are none.
fn subjects_of(detail: &Element, notes: &mut Notes) -> Result<Option<Subjects>, String> {
    let mut given: Vec<_> =
        detail.all("Subject").filter(|it| it.text_of("SubjectSchemeIdentifier").as_deref() != Some("20")).collect();
    if given.is_empty() {
        return Ok(None);
    }
    given.sort_by_key(|subject| subject.first("MainSubject").is_none());
    let mut read = Vec::new();
    for subject in given {
        let Some(code) = subject.text_of("SubjectCode").or_else(|| subject.text_of("SubjectHeadingText")) else {
            continue;
        };
        whole("subject", &code)?;
        let scheme = scheme(subject);
        read.push(Subject::parse(&scheme, subject.text_of("SubjectSchemeVersion").as_deref(), &code).ok());
    }
    Ok(Some(subjects::collect(read.into_iter(), notes)))
}

/// The name of a scheme of code list 27; a scheme of the sender's own (24) by the name he gives it.
fn scheme(subject: &Element) -> String {
    let identifier = subject.text_of("SubjectSchemeIdentifier").unwrap_or_default();
    match identifier.as_str() {
        "01" => "ddc".to_owned(),
        "03" => "lcc".to_owned(),
        "10" => "bisac".to_owned(),
        "12" => "bic".to_owned(),
        "26" => "wgs".to_owned(),
        "29" => "clil".to_owned(),
        "93" => "thema".to_owned(),
        "24" => subject.text_of("SubjectSchemeName").unwrap_or_else(|| "onix27-24".to_owned()),
        other => format!("onix27-{other}"),
    }
}

/// The date of publication (code list 163, role 01), else of the first publication (11).
fn published_on(product: &Element, notes: &mut Notes) -> Option<PublicationDate> {
    let dates = || product.all("PublishingDetail").flat_map(|detail| detail.all("PublishingDate"));
    let of_role = |role: &str| dates().find(|date| date.text_of("PublishingDateRole").as_deref() == Some(role));
    let date = of_role("01").or_else(|| of_role("11"))?;
    let value = date.first("Date").filter(|value| !value.plain_text().is_empty())?;
    let format = value.date_format.clone().or_else(|| date.text_of("DateFormat"));
    let text = value.plain_text();
    match digits_of(&text, format.as_deref()).map(dashed) {
        Some(dashed) => date::read(&dashed, notes),
        None => {
            notes.left_out(LeftOut::PublicationDate);
            None
        }
    }
}

/// The digits of year, month and day in a date of code list 55; the length tells the format where it is not given.
fn digits_of<'a>(text: &'a str, format: Option<&str>) -> Option<&'a str> {
    let wanted = match format {
        Some("00" | "13" | "14") => 8,
        Some("01") => 6,
        Some("05") => 4,
        Some(_) => return None,
        None => {
            [8, 6, 4].into_iter().find(|length| text.len() == *length || text.as_bytes().get(*length) == Some(&b'T'))?
        }
    };
    let whole = text.len() == wanted || text.as_bytes().get(wanted) == Some(&b'T');
    let digits = text.get(..wanted)?;
    (whole && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

fn dashed(digits: &str) -> String {
    match digits.len() {
        8 => format!("{}-{}-{}", &digits[..4], &digits[4..6], &digits[6..]),
        6 => format!("{}-{}", &digits[..4], &digits[4..]),
        _ => digits.to_owned(),
    }
}

/// The statement, else the number.
fn edition(detail: &Element, notes: &mut Notes) -> Result<Option<Edition>, String> {
    let Some(text) = detail.text_of("EditionStatement").or_else(|| detail.text_of("EditionNumber")) else {
        return Ok(None);
    };
    whole("edition", &text)?;
    let edition = Edition::parse(&text).ok();
    if edition.is_none() {
        notes.left_out(LeftOut::Edition);
    }
    Ok(edition)
}

/// The form of a product (code list 150); 00 says nothing.
fn format(form: &str) -> Option<Format> {
    match form {
        "00" => None,
        "BB" => Some(Format::Hardback),
        "BC" => Some(Format::Paperback),
        _ if form.starts_with('E') => Some(Format::Ebook),
        _ if form.starts_with('A') => Some(Format::Audiobook),
        _ => Some(Format::Other),
    }
}
