//! Gives the Chinese file the columns and the ISBNs that an import needs.

use anyhow::Context;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::path::Path;

/// Belongs to no agency.
pub(crate) const MADE_UP_PREFIX: &str = "9799";

const TITLE_CHARACTERS_MAX: usize = 200;

/// Writes the rows that can be imported, and answers with the ISBN of the last one that surely is.
pub(crate) fn write_chinese(from: &Path, to: &Path) -> anyhow::Result<String> {
    let file = File::open(from).with_context(|| from.display().to_string())?;
    let mut reader = csv::Reader::from_reader(MultiGzDecoder::new(file));
    let headers = reader.headers()?.clone();
    let place = |column: &str| {
        headers.iter().position(|header| header == column).with_context(|| format!("there is no column {column}"))
    };
    let (title, author, date) = (place("title")?, place("author")?, place("pubdate")?);
    let mut writer = csv::Writer::from_path(to)?;
    writer.write_record(["isbn", "authors", "original_publication_year", "title", "language_code"])?;
    let mut last_isbn = None;
    for (row, record) in (1..).zip(reader.records()) {
        let record = record?;
        let names: Vec<_> = record[author].split('/').map(str::trim).filter(|name| !name.is_empty()).collect();
        let title = record[title].trim();
        if title.chars().count() > TITLE_CHARACTERS_MAX {
            continue;
        }
        let isbn = made_up_isbn(row);
        let year = record[date].get(..4).unwrap_or_default();
        writer.write_record([&isbn, &names.join(", "), year, title, "zh"])?;
        if !names.is_empty() && !title.is_empty() && !record.iter().any(|field| field.contains(char::is_control)) {
            last_isbn = Some(isbn);
        }
    }
    writer.flush()?;
    last_isbn.context("no row can be imported")
}

fn made_up_isbn(row: u32) -> String {
    let digits = format!("{MADE_UP_PREFIX}{row:08}");
    let sum: u32 =
        digits.bytes().zip([1, 3].into_iter().cycle()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// An ISBN-13 as ISBN-10, both with hyphens. Where they stand means nothing.
pub(crate) fn hyphenated(isbn_13: &str) -> anyhow::Result<(String, String)> {
    let digits: Vec<u32> =
        isbn_13.chars().map(|digit| digit.to_digit(10)).collect::<Option<_>>().context("no digits")?;
    let nine = digits.get(3..12).with_context(|| format!("{isbn_13} is no ISBN-13"))?;
    let sum: u32 = nine.iter().zip((2..=10).rev()).map(|(digit, weight)| digit * weight).sum();
    let check = match (11 - sum % 11) % 11 {
        10 => "X".to_owned(),
        digit => digit.to_string(),
    };
    let middle = format!("{}-{}-{}", &isbn_13[3..4], &isbn_13[4..7], &isbn_13[7..12]);
    Ok((format!("{middle}-{check}"), format!("{}-{middle}-{}", &isbn_13[..3], &isbn_13[12..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_right() {
        assert_eq!(made_up_isbn(1), "9799000000011");
        assert_eq!(made_up_isbn(1156), "9799000011567");
        let (ten, thirteen) = hyphenated("9780306406157").unwrap();
        assert_eq!((ten.as_str(), thirteen.as_str()), ("0-306-40615-2", "978-0-306-40615-7"));
        assert_eq!(hyphenated("9780804429573").unwrap().0, "0-804-42957-X");
    }
}
