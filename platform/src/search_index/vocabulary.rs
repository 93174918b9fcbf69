//! The words that an index holds: whether it has one, and which are near to one.

use std::collections::BTreeMap;
use tantivy::query::FuzzyTermQuery;
use tantivy::schema::Field;
use tantivy::{Searcher, TantivyError, Term};

/// Words near to one that are looked for: the nearest, and of those as near, the more frequent ones.
const NEAR: usize = 100;

/// Letters of a word from which one mistake is forgiven, and two.
const FORGIVE_ONE_FROM: usize = 4;
const FORGIVE_TWO_FROM: usize = 8;

/// Letters of the longest word in which mistakes are forgiven.
const FORGIVE_UP_TO: usize = 32;

/// How many letters may be wrong, missing, too many, or exchanged with their neighbours. A number is right or wrong.
pub(super) fn forgiven(word: &str) -> u8 {
    let letters = word.chars().count();
    if word.chars().any(char::is_numeric) || letters > FORGIVE_UP_TO {
        return 0;
    }
    u8::from(letters >= FORGIVE_ONE_FROM) + u8::from(letters >= FORGIVE_TWO_FROM)
}

/// Whether any document has a word that begins so.
pub(super) fn begins(searcher: &Searcher, field: Field, beginning: &str) -> Result<bool, TantivyError> {
    for segment in searcher.segment_readers() {
        let index = segment.inverted_index(field)?;
        let mut words = index.terms().range().ge(beginning.as_bytes()).into_stream()?;
        if words.advance() && words.key().starts_with(beginning.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether any document has a word.
pub(super) fn has(searcher: &Searcher, field: Field, word: &str) -> Result<bool, TantivyError> {
    Ok(searcher.doc_freq(&Term::from_field_text(field, word))? > 0)
}

/// A word that is near to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Near {
    pub(super) word: String,
    /// How many mistakes are between them.
    pub(super) distance: u8,
    /// In how many documents it is.
    documents: u32,
}

/// What is near: words as a whole, or words that begin nearly so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    Beginning,
}

/// Words at most `distance` (1 or 2) mistakes away from `word`.
pub(super) fn near(
    searcher: &Searcher,
    field: Field,
    word: &str,
    distance: u8,
    extent: Extent,
) -> Result<Vec<Near>, TantivyError> {
    let mut found: BTreeMap<String, (u8, u32)> = BTreeMap::new();
    for mistakes in 1..=distance {
        let term = || Term::from_field_text(field, word);
        let automaton = || match extent {
            Extent::Whole => FuzzyTermQuery::new(term(), mistakes, true).automaton(),
            Extent::Beginning => FuzzyTermQuery::new_prefix(term(), mistakes, true).automaton(),
        };
        for segment in searcher.segment_readers() {
            let index = segment.inverted_index(field)?;
            let mut words = index.terms().search(automaton()?).into_stream()?;
            while let Some((near, info)) = words.next() {
                let Ok(near) = std::str::from_utf8(near) else { continue };
                if near != word {
                    let (at, documents) = found.entry(near.to_owned()).or_insert((mistakes, 0));
                    if *at == mistakes {
                        *documents += info.doc_freq;
                    }
                }
            }
        }
    }
    let near = |(word, (distance, documents))| Near { word, distance, documents };
    let mut found: Vec<_> = found.into_iter().map(near).collect();
    found.sort_by_key(|near| (near.distance, std::cmp::Reverse(near.documents)));
    found.truncate(NEAR);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_words_are_forgiven_more_and_numbers_nothing() {
        for (word, mistakes) in [("dun", 0), ("dune", 1), ("foundat", 1), ("foundati", 2), ("1984", 0), ("catch22", 0)] {
            assert_eq!(forgiven(word), mistakes, "{word}");
        }
        assert_eq!(forgiven(&"a".repeat(33)), 0);
    }
}
