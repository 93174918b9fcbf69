//! Values as suppliers write them: what has one meaning only is read, all else is refused or left out.

pub(crate) mod date;
pub(crate) mod isbn;
pub(crate) mod language;
pub(crate) mod names;
pub(crate) mod price;
pub(crate) mod subjects;

use super::notes::{Notes, Repair};

/// A value without what spreadsheets put around it so as to leave it alone: `="…"`, or an apostrophe before it.
pub(crate) fn unwrapped<'a>(text: &'a str, notes: &mut Notes) -> &'a str {
    let text = text.trim();
    let formula = text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"'));
    let inside = formula.or_else(|| text.strip_prefix('\'').filter(|rest| !rest.contains('\'')));
    match inside {
        Some(inside) => {
            notes.repaired(Repair::Spreadsheet);
            inside.trim()
        }
        None => text,
    }
}

/// Digits, letters and signs of full width as the plain ones.
pub(crate) fn plain_width(character: char) -> char {
    match character {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(character) - 0xfee0).unwrap_or(character),
        '\u{3000}' => ' ',
        '￥' => '¥',
        '￡' => '£',
        '￦' => '₩',
        _ => character,
    }
}
