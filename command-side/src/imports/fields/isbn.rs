//! ISBNs as they come out of spreadsheets and catalogues.

use super::{plain_width, unwrapped};
use crate::imports::notes::{Notes, Repair};
use crate::imports::reason;
use domain::book::isbn::Isbn;
use domain::invalid::Invalid;

/// The shortest number whose leading zeros may have been lost: no group and publisher together have more than three.
const DIGITS_LEFT: usize = 7;

/// Reads an ISBN, or says why the row cannot have it.
pub(crate) fn read(text: &str, notes: &mut Notes) -> Result<Isbn, String> {
    let number = unwrapped(text, notes);
    if number.is_empty() {
        return Err(reason::broken("isbn", "", "the row has no ISBN", Invalid::IsbnShape));
    }
    let number = plain(number, notes);
    if is_scientific(&number) {
        let what = "a spreadsheet has written the number in scientific notation, and its last digits are lost: format \
                    the column as text and export it again";
        return Err(reason::broken("isbn", text, what, Invalid::IsbnShape));
    }
    let number = without_decimals(&number, notes);
    match (Isbn::parse(number), with_zeros(number)) {
        (Ok(isbn), _) => Ok(isbn),
        (Err(_), Some(Ok(isbn))) => {
            notes.repaired(Repair::IsbnZeros);
            Ok(isbn)
        }
        (Err(_), Some(Err(Invalid::IsbnChecksum))) => {
            let what =
                "it is too short, and with the leading zeros that it may have lost, the check digit does not fit";
            Err(reason::broken("isbn", text, what, Invalid::IsbnChecksum))
        }
        (Err(invalid), _) => Err(reason::invalid("isbn", text, invalid)),
    }
}

/// Plain digits, hyphens and spaces, without a label before them.
fn plain(text: &str, notes: &mut Notes) -> String {
    let mut changed = false;
    let plain: String = text
        .chars()
        .filter_map(|character| {
            let plain = match character {
                // Soft hyphens, marks of direction, spaces of no width.
                '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{feff}' => None,
                '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe63}' => Some('-'),
                _ if character.is_whitespace() => Some(' '),
                _ => Some(plain_width(character)),
            };
            changed |= plain != Some(character);
            plain
        })
        .collect();
    if changed {
        notes.repaired(Repair::IsbnPunctuation);
    }
    match unlabelled(&plain) {
        Some(number) => {
            notes.repaired(Repair::IsbnLabel);
            number.to_owned()
        }
        None => plain,
    }
}

/// What stands behind `ISBN`, `ISBN-13:`, `isbn:` or `urn:isbn:`.
fn unlabelled(text: &str) -> Option<&str> {
    let text = strip(text, "urn:").unwrap_or(text);
    let rest = strip(text, "isbn")?;
    let without_kind = |kind: &str| {
        let rest = rest.trim_start_matches([' ', '-', '_']).strip_prefix(kind)?;
        rest.starts_with([':', ' ', '.']).then_some(rest)
    };
    let rest = without_kind("13").or_else(|| without_kind("10")).unwrap_or(rest);
    Some(rest.trim_start_matches([':', ' ', '.', '-']))
}

fn strip<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

fn is_scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return false };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits(&mantissa.replace(['.', ','], "")) && digits(exponent.trim_start_matches(['+', '-']))
}

fn without_decimals<'a>(text: &'a str, notes: &mut Notes) -> &'a str {
    let Some((whole, zeros)) = text.split_once('.') else { return text };
    if whole.is_empty() || zeros.is_empty() || zeros.bytes().any(|byte| byte != b'0') {
        return text;
    }
    notes.repaired(Repair::IsbnDecimal);
    whole
}

/// What the number is with the zeros that it may have lost.
fn with_zeros(number: &str) -> Option<Result<Isbn, Invalid>> {
    let digits: String = number.chars().filter(|character| !matches!(character, '-' | ' ')).collect();
    (DIGITS_LEFT..10).contains(&digits.len()).then(|| Isbn::parse(&format!("{digits:0>10}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(text: &str) -> (Result<String, String>, Notes) {
        let mut notes = Notes::default();
        (read(text, &mut notes).map(|isbn| isbn.to_string()), notes)
    }

    #[test]
    fn what_has_one_meaning_is_read_and_noted() {
        use Repair::{IsbnDecimal, IsbnLabel, IsbnPunctuation, IsbnZeros, Spreadsheet};
        for (text, repairs) in [
            ("9780306406157", vec![]),
            ("0-306-40615-2", vec![]),
            ("306406152", vec![IsbnZeros]),
            ("=\"9780306406157\"", vec![Spreadsheet]),
            ("'9780306406157", vec![Spreadsheet]),
            ("978\u{2011}0\u{2013}306\u{a0}40615\u{2010}7", vec![IsbnPunctuation]),
            ("\u{200e}9780306406157\u{feff}", vec![IsbnPunctuation]),
            ("９７８０３０６４０６１５７", vec![IsbnPunctuation]),
            ("ISBN 978-0-306-40615-7", vec![IsbnLabel]),
            ("ISBN-13: 9780306406157", vec![IsbnLabel]),
            ("isbn10:0306406152", vec![IsbnLabel]),
            ("urn:isbn:9780306406157", vec![IsbnLabel]),
            ("ISBN：9780306406157", vec![IsbnPunctuation, IsbnLabel]),
            ("9780306406157.0", vec![IsbnDecimal]),
            ("306406152.0", vec![IsbnDecimal, IsbnZeros]),
        ] {
            let (read, notes) = repaired(text);
            assert_eq!(read.as_deref(), Ok("9780306406157"), "{text}");
            let expected: Vec<_> = repairs.into_iter().map(crate::imports::Note::Repaired).collect();
            assert_eq!(notes.into_vec(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_in_doubt_is_refused_with_its_reason() {
        for (text, part) in [
            ("", "isbn: the row has no ISBN (isbn_shape)"),
            ("=\"\"", "the row has no ISBN"),
            ("9.78031E+12", "scientific notation"),
            ("9,78031e12", "scientific notation"),
            (
                "0306406153",
                "isbn \"0306406153\": the ISBN's check digit does not match its other digits (isbn_checksum)",
            ),
            ("306406153", "leading zeros that it may have lost, the check digit does not fit (isbn_checksum)"),
            ("0000000000", "(isbn_blank)"),
            ("0", "(isbn_shape)"),
            // A check digit fits one number in eleven: of a few digits alone that says nothing.
            ("19", "(isbn_shape)"),
            ("4006381333931", "(isbn_prefix)"),
            ("9780306406157.5", "(isbn_shape)"),
            ("9780306406157 9780306406157", "(isbn_shape)"),
            ("ISBN", "(isbn_shape)"),
        ] {
            let (read, _) = repaired(text);
            let reason = read.unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }
}
