//! Dates of publication as suppliers write them: what can be read in two ways is not read.

use super::{plain_width, unwrapped};
use crate::imports::notes::{LeftOut, Notes, Repair};
use domain::book::description::PublicationDate;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Reads a date, or leaves it out.
pub(crate) fn read(text: &str, notes: &mut Notes) -> Option<PublicationDate> {
    let text = unwrapped(text, notes);
    if text.is_empty() {
        return None;
    }
    let date = PublicationDate::parse(text).ok();
    let repaired = date.is_none().then(|| parts(text)).flatten().and_then(|parts| date_of(&parts));
    match (date, repaired) {
        (None, None) => notes.left_out(LeftOut::PublicationDate),
        (None, Some(_)) => notes.repaired(Repair::DateForm),
        (Some(_), _) => {}
    }
    date.or(repaired)
}

/// Year, month and day, as far as they are given.
type Parts = (u16, Option<u8>, Option<u8>);

fn date_of(parts: &Parts) -> Option<PublicationDate> {
    let text = match parts {
        (year, None, _) => format!("{year:04}"),
        (year, Some(month), None) => format!("{year:04}-{month:02}"),
        (year, Some(month), Some(day)) => format!("{year:04}-{month:02}-{day:02}"),
    };
    PublicationDate::parse(&text).ok()
}

fn parts(text: &str) -> Option<Parts> {
    let plain: String = text.chars().map(plain_width).collect();
    let text = without_time(plain.trim());
    if let Some(year) = text.strip_suffix(".0").or_else(|| text.strip_suffix('年')) {
        return Some((year_of(year.trim())?, None, None));
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits && text.len() == 8 {
        return Some((year_of(&text[..4])?, Some(text[4..6].parse().ok()?), Some(text[6..].parse().ok()?)));
    }
    of_words(text).or_else(|| of_numbers(text))
}

/// A date alone, where a time of day stands behind it.
fn without_time(text: &str) -> &str {
    let Some((date, time)) = text.split_once(['T', ' ']) else { return text };
    let clock = time.len() >= 5 && time.contains(':') && time.as_bytes()[0].is_ascii_digit();
    if clock { date } else { text }
}

/// `2015-10-1`, `2015/10`, `2015年10月1日`, `01.10.2015`, and `25/12/2015`, where only one of both can be the month.
fn of_numbers(text: &str) -> Option<Parts> {
    let chinese = text.contains('年');
    let plain = text.replace(['年', '月'], "-").replace(['日', '号'], "");
    let numbers: Vec<&str> = plain.trim_end_matches('-').split(['-', '/', '.']).map(str::trim).collect();
    let small = |text: &str| text.parse::<u8>().ok().filter(|_| text.len() <= 2);
    match numbers.as_slice() {
        [year, month] if year.len() == 4 => Some((year_of(year)?, Some(small(month)?), None)),
        [month, year] if year.len() == 4 && !chinese => Some((year_of(year)?, Some(small(month)?), None)),
        [year, month, day] if year.len() == 4 => Some((year_of(year)?, Some(small(month)?), Some(small(day)?))),
        [first, second, year] if year.len() == 4 && !chinese => {
            let (first, second) = (small(first)?, small(second)?);
            // Points stand between day, month and year everywhere; slashes and hyphens do not say which comes first.
            let day_first = text.contains('.') || first == second || (first > 12 && second <= 12);
            let month_first = second > 12 && first <= 12 && !text.contains('.');
            match (day_first, month_first) {
                (true, _) => Some((year_of(year)?, Some(second), Some(first))),
                (_, true) => Some((year_of(year)?, Some(first), Some(second))),
                (false, false) => None,
            }
        }
        _ => None,
    }
}

/// `October 2015`, `1 Oct 2015`, `Oct 1, 2015`.
fn of_words(text: &str) -> Option<Parts> {
    let words: Vec<_> = text.split([' ', ',', '.', '-']).filter(|word| !word.is_empty()).collect();
    let month_of = |word: &&str| {
        let word = word.to_lowercase();
        let month = MONTHS.iter().position(|month| word.len() >= 3 && month.starts_with(&word));
        month.or((word == "sept").then_some(8))
    };
    let (place, month) = words.iter().enumerate().find_map(|(place, word)| Some((place, month_of(word)?)))?;
    let month = u8::try_from(month + 1).ok();
    match (words.as_slice(), place) {
        ([_, year], 0) => Some((year_of(year)?, month, None)),
        ([day, _, year], 1) | ([_, day, year], 0) if day.len() <= 2 => {
            Some((year_of(year)?, month, Some(day.parse().ok()?)))
        }
        _ => None,
    }
}

fn year_of(text: &str) -> Option<u16> {
    let digits = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::Note;

    fn read(text: &str) -> (Option<String>, Vec<Note>) {
        let mut notes = Notes::default();
        let date = super::read(text, &mut notes).map(|date| date.to_string());
        (date, notes.into_vec())
    }

    #[test]
    fn a_date_with_one_meaning_is_read() {
        for (text, date) in [
            ("2015-10-1", "2015-10-01"),
            ("1997-5", "1997-05"),
            ("2015/10/01", "2015-10-01"),
            ("2015.10", "2015-10"),
            ("10/2015", "2015-10"),
            ("2015年10月", "2015-10"),
            ("2015年10月1日", "2015-10-01"),
            ("2015年", "2015"),
            ("２０１５年", "2015"),
            ("01.10.2015", "2015-10-01"),
            ("31.12.2015", "2015-12-31"),
            ("25/12/2015", "2015-12-25"),
            ("12/25/2015", "2015-12-25"),
            ("05/05/2015", "2015-05-05"),
            ("20151001", "2015-10-01"),
            ("2008.0", "2008"),
            ("2015-10-01T00:00:00Z", "2015-10-01"),
            ("2015-10-01 00:00:00", "2015-10-01"),
            ("October 2015", "2015-10"),
            ("1 Oct 2015", "2015-10-01"),
            ("Sept 3, 2015", "2015-09-03"),
        ] {
            assert_eq!(read(text), (Some(date.to_owned()), vec![Note::Repaired(Repair::DateForm)]), "{text}");
        }
        for plain in ["2015", "2015-10", "2015-10-01"] {
            assert_eq!(read(plain), (Some(plain.to_owned()), vec![]));
        }
        assert_eq!(read(""), (None, vec![]));
    }

    #[test]
    fn a_date_in_doubt_is_left_out() {
        for text in [
            "10/01/2015",
            "1-2-2015",
            "2015-13-01",
            "2015-02-30",
            "32.01.2015",
            "12.25.2015",
            "15",
            "01/02/15",
            "201510",
            "42278",
            "-750.0",
            "0000",
            "soon",
            "2015-2016",
            "c. 1850",
            "2015Q3",
            "1 2015",
            "25/13/2015",
            "2015年13月",
        ] {
            assert_eq!(read(text), (None, vec![Note::LeftOut(LeftOut::PublicationDate)]), "{text}");
        }
    }
}
