//! The subjects of a book in one field.

use crate::imports::notes::{LeftOut, Notes};
use domain::book::description::{Subject, Subjects};

/// Schemes that may stand before a code, as in `thema:FBA`.
const SCHEMES: [&str; 7] = ["thema", "bisac", "bic", "clil", "ddc", "lcc", "clc"];

/// What a word is that names no scheme: the supplier's own.
const OWN: &str = "supplier";

/// Subjects that a book may have.
const SUBJECTS_MAX: usize = 100;

/// Reads the subjects between semicolons, bars or 、.
pub(crate) fn read(text: &str, notes: &mut Notes) -> Subjects {
    let words = text.split([';', '；', '|', '｜', '、']).map(str::trim).filter(|word| !word.is_empty());
    collect(words.map(subject), notes)
}

/// Those that can be used, each once.
pub(crate) fn collect(subjects: impl Iterator<Item = Option<Subject>>, notes: &mut Notes) -> Subjects {
    let mut kept: Vec<Subject> = Vec::new();
    for subject in subjects {
        match subject {
            Some(subject) if kept.contains(&subject) => {}
            Some(subject) if kept.len() < SUBJECTS_MAX => kept.push(subject),
            _ => notes.left_out(LeftOut::Subject),
        }
    }
    Subjects::parse(kept).expect("there are no more than a book may have")
}

fn subject(word: &str) -> Option<Subject> {
    if let Some((scheme, code)) = word.split_once([':', '：']) {
        let scheme = scheme.trim().to_lowercase();
        if SCHEMES.contains(&scheme.as_str()) {
            return Subject::parse(&scheme, None, code).ok();
        }
    }
    Subject::parse(if is_bisac(word) { "bisac" } else { OWN }, None, word).ok()
}

/// Three capitals and six digits are BISAC's alone.
fn is_bisac(word: &str) -> bool {
    word.len() == 9
        && word.bytes().take(3).all(|byte| byte.is_ascii_uppercase())
        && word.bytes().skip(3).all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::Note;

    #[test]
    fn schemes_are_told_where_they_are_given() {
        let mut notes = Notes::default();
        let text = format!("FIC022000; thema:FBA|Thema: FFP、历史;历史; a:b;{}", "x".repeat(101));
        let subjects = read(&text, &mut notes);
        let pairs: Vec<_> = subjects.as_slice().iter().map(|subject| (subject.scheme(), subject.code())).collect();
        let expected =
            [("bisac", "FIC022000"), ("thema", "FBA"), ("thema", "FFP"), ("supplier", "历史"), ("supplier", "a:b")];
        assert_eq!(pairs, expected);
        assert_eq!(notes.into_vec(), [Note::LeftOut(LeftOut::Subject)]);
        let many: Vec<_> = (0..101).map(|n| n.to_string()).collect();
        assert_eq!(read(&many.join("|"), &mut Notes::default()).as_slice().len(), 100);
    }
}
