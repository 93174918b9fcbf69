//! The words that an index holds: whether it has one, and which are near to one.

use std::cmp::Reverse;
use std::collections::HashMap;
use tantivy::query::{DfaWrapper, FuzzyTermQuery};
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
    /// How many mistakes are between them; none if only its beginning is near.
    pub(super) distance: Option<u8>,
    /// In how many documents it is.
    documents: u32,
}

/// What is near: words as a whole, or words that begin nearly so, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    Beginning,
}

/// Words of each field that are at most `distance` (1 or 2) mistakes away from `word`, the nearest first.
pub(super) fn near(
    searcher: &Searcher,
    fields: &[Field],
    word: &str,
    distance: u8,
    extent: Extent,
) -> Result<Vec<Vec<Near>>, TantivyError> {
    let Some(any) = fields.first() else { return Ok(Vec::new()) };
    let term = Term::from_field_text(*any, word);
    let automaton = match extent {
        Extent::Whole => FuzzyTermQuery::new(term, distance, true).automaton()?,
        Extent::Beginning => FuzzyTermQuery::new_prefix(term, distance, true).automaton()?,
    };
    fields.iter().map(|field| near_in(searcher, *field, word, distance, &automaton)).collect()
}

fn near_in(
    searcher: &Searcher,
    field: Field,
    word: &str,
    distance: u8,
    automaton: &DfaWrapper,
) -> Result<Vec<Near>, TantivyError> {
    let mut found: HashMap<String, u32> = HashMap::new();
    for segment in searcher.segment_readers() {
        let index = segment.inverted_index(field)?;
        let mut words = index.terms().search(automaton).into_stream()?;
        while let Some((near, info)) = words.next() {
            match std::str::from_utf8(near) {
                Ok(near) if near != word => *found.entry(near.to_owned()).or_default() += info.doc_freq,
                _ => {}
            }
        }
    }
    let near = |(near, documents): (String, u32)| {
        let mistakes = u8::try_from(strsim::osa_distance(word, &near)).ok();
        Near { distance: mistakes.filter(|mistakes| *mistakes <= distance), word: near, documents }
    };
    let mut found: Vec<_> = found.into_iter().map(near).collect();
    found.sort_by(|one, other| {
        let rank = |near: &Near| (near.distance.unwrap_or(u8::MAX), Reverse(near.documents));
        rank(one).cmp(&rank(other)).then_with(|| one.word.cmp(&other.word))
    });
    found.truncate(NEAR);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_words_are_forgiven_more_and_numbers_nothing() {
        for (word, mistakes) in [("dun", 0), ("dune", 1), ("foundat", 1), ("foundati", 2), ("1984", 0), ("catch22", 0)]
        {
            assert_eq!(forgiven(word), mistakes, "{word}");
        }
        assert_eq!(forgiven(&"a".repeat(33)), 0);
    }
}
