//! A question as a query: which documents answer it, and how well.
//!
//! How well a document answers depends on the document and the question only, not on which others there are: a hit
//! keeps its place among the others while documents come and go, and an index that is built anew answers the same. So
//! words count alike however rare they are, which costs little, since every one of them has to be found.

use super::analysis::{self, Compound, Piece, folded, needs_no_spaces};
use super::highlight::{Marker, Wanted};
use super::layout::{Fields, TextFields};
use super::question::{Need, Question, What};
use super::vocabulary::{self, Extent, Near, forgiven};
use tantivy::query::{
    Bm25StatisticsProvider, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, FuzzyTermQuery, Occur,
    PhraseQuery, Query, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Searcher, TantivyError, Term};

/// What a hit by the whole code counts: more than everything else.
const CODE: f32 = 1_000.0;
/// What a hit by a stem counts, a hit by the word itself being 1.
const STEM: f32 = 0.7;
/// What a hit by a beginning counts.
const BEGINNING: f32 = 0.3;
/// What a hit counts that is one mistake away, or two.
const MISTAKEN: [f32; 2] = [0.4, 0.2];
/// What a hit counts of which the beginning is mistaken.
const BEGINNING_MISTAKEN: f32 = 0.1;
/// What characters count that are not next to each other.
const APART: f32 = 0.2;
/// What a word counts that need not be found.
const OPTIONAL: f32 = 0.2;
/// What is added if all words are found next to each other.
const TOGETHER: f32 = 0.5;
/// What the lesser of several hits of one word count, as a part of their own.
const LESSER: f32 = 0.1;

/// In which words mistakes are forgiven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forgiving {
    /// In none.
    Nothing,
    /// In those that no document has.
    Unknown,
    /// In every one.
    All,
}

/// A question as a query, and what shows why a document answers it.
pub(super) struct Plan {
    pub(super) query: Box<dyn Query>,
    pub(super) marker: Marker,
}

type Clause = Box<dyn Query>;

/// The query of a question in some of the texts; none if nothing of it can be found.
pub(super) fn plan(
    question: &Question,
    forgiving: Forgiving,
    searcher: &Searcher,
    fields: &Fields,
    texts: &[TextFields],
) -> Result<Option<Plan>, TantivyError> {
    if question.needs.is_empty() {
        return Ok(None);
    }
    let planner = Planner { forgiving, searcher, fields, texts };
    let mut clauses: Vec<(Occur, Clause)> = Vec::new();
    let mut wanted = Vec::new();
    for need in &question.needs {
        let (query, mut want) = planner.need(need)?;
        want.optional = need.optional;
        wanted.push(want);
        clauses.push(if need.optional {
            (Occur::Should, Box::new(BoostQuery::new(query, OPTIONAL)))
        } else {
            (Occur::Must, query)
        });
    }
    clauses.extend(planner.together(question).into_iter().map(|query| (Occur::Should, query)));
    let mut query: Clause = Box::new(BooleanQuery::new(clauses));
    if let Some(code) = &question.code {
        // Its digits were not typed to be found one by one.
        wanted.clear();
        query = best(vec![query, planner.code(code)]);
    }
    Ok(Some(Plan { query, marker: Marker { wanted } }))
}

struct Planner<'a> {
    forgiving: Forgiving,
    searcher: &'a Searcher,
    fields: &'a Fields,
    texts: &'a [TextFields],
}

impl Planner<'_> {
    fn need(&self, need: &Need) -> Result<(Clause, Wanted), TantivyError> {
        let mut wanted = Wanted::default();
        let query = match &need.what {
            What::Word(compound) => self.compound(compound, Extent::Whole, &mut wanted)?,
            What::Beginning(compound) => self.compound(compound, Extent::Beginning, &mut wanted)?,
            What::Characters(characters) => {
                wanted.runs.push(characters.clone());
                let apart = self.forgiving == Forgiving::All && characters.len() > 1;
                if apart {
                    wanted.runs.extend(characters.iter().map(|character| vec![*character]));
                }
                self.in_texts(|text| {
                    let mut ways = vec![characters_in(text, characters)];
                    if apart {
                        let each =
                            characters.iter().map(|character| (Occur::Must, adjacent(text.characters, &[*character])));
                        ways.push(boosted(Box::new(BooleanQuery::new(each.collect())), APART));
                    }
                    Ok(best(ways))
                })?
            }
            What::Phrase(pieces) => {
                wanted.take_all(pieces);
                self.in_texts(|text| Ok(phrase_in(text, pieces)))?
            }
        };
        Ok((query, wanted))
    }

    /// A word, or joined words: as one word, or each part by itself.
    fn compound(&self, compound: &Compound, extent: Extent, wanted: &mut Wanted) -> Result<Clause, TantivyError> {
        let Compound { parts, joined } = compound;
        let mut ways = Vec::new();
        if let Some(joined) = joined {
            ways.push(self.word(&joined.text, extent, wanted)?);
        }
        // The s of a genitive does not have to be found, nor has the O of a name.
        let long = parts.iter().any(|part| part.text.chars().count() > 1);
        let mut each: Vec<(Occur, Clause)> = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            let extent = if place + 1 == parts.len() { extent } else { Extent::Whole };
            let occur = if long && part.text.chars().count() == 1 { Occur::Should } else { Occur::Must };
            each.push((occur, self.word(&part.text, extent, wanted)?));
        }
        ways.push(Box::new(BooleanQuery::new(each)));
        Ok(best(ways))
    }

    fn word(&self, word: &str, extent: Extent, wanted: &mut Wanted) -> Result<Clause, TantivyError> {
        let stem = analysis::stem(word);
        let mistakes = if self.forgives(word, &stem, extent)? { forgiven(word) } else { 0 };
        wanted.words.insert(word.to_owned());
        wanted.stems.insert(stem.clone());
        if extent == Extent::Beginning {
            wanted.beginnings.push(word.to_owned());
        }
        let fields: Vec<Field> = self.texts.iter().map(|text| text.words).collect();
        let mut near = match mistakes {
            0 => Vec::new(),
            _ => vocabulary::near(self.searcher, &fields, word, mistakes, extent)?,
        }
        .into_iter();
        let mut found = self.in_texts(|text| {
            let mut ways = vec![term(text.words, word), boosted(term(text.stems, &stem), STEM)];
            if extent == Extent::Beginning {
                ways.push(beginning(text.words, word, BEGINNING));
            }
            for Near { word, distance, .. } in near.next().unwrap_or_default() {
                let counts = distance.map_or(BEGINNING_MISTAKEN, |distance| MISTAKEN[usize::from(distance) - 1]);
                ways.push(boosted(term(text.words, &word), counts));
                wanted.words.insert(word);
            }
            Ok(best(ways))
        })?;
        if !self.fields.codes.is_empty() {
            found = best(vec![found, self.code(word)]);
        }
        Ok(found)
    }

    fn forgives(&self, word: &str, stem: &str, extent: Extent) -> Result<bool, TantivyError> {
        match self.forgiving {
            Forgiving::Nothing => return Ok(false),
            Forgiving::All => return Ok(true),
            Forgiving::Unknown => {}
        }
        for text in &self.fields.texts {
            let known = vocabulary::has(self.searcher, text.words, word)?
                || vocabulary::has(self.searcher, text.stems, stem)?
                || extent == Extent::Beginning && vocabulary::begins(self.searcher, text.words, word)?;
            if known {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn code(&self, code: &str) -> Clause {
        let whole = |field: &Field| constant(term(*field, code), CODE);
        best(self.fields.codes.iter().map(whole).collect())
    }

    /// What is found in any of the texts, and counts as much as the text does.
    fn in_texts(
        &self,
        mut find: impl FnMut(&TextFields) -> Result<Clause, TantivyError>,
    ) -> Result<Clause, TantivyError> {
        let weighed = |text| Ok(boosted(find(text)?, text.weight));
        Ok(best(self.texts.iter().map(weighed).collect::<Result<_, TantivyError>>()?))
    }

    /// All words of the question next to each other, and each run of characters as it was typed.
    fn together(&self, question: &Question) -> Vec<Clause> {
        let mut together = Vec::new();
        let words: Option<Vec<&str>> = question.needs.iter().map(single_word).collect();
        for text in self.texts {
            if let Some(words) = &words
                && words.len() > 1
            {
                let terms = words.iter().map(|word| Term::from_field_text(text.words, word)).collect();
                together.push(boosted(in_a_row(terms), TOGETHER * text.weight));
            }
            for run in &question.runs {
                together.push(boosted(adjacent(text.characters, run), TOGETHER * text.weight));
            }
        }
        together
    }
}

fn single_word(need: &Need) -> Option<&str> {
    match &need.what {
        What::Word(compound) | What::Beginning(compound) => match compound.parts.as_slice() {
            [part] => Some(&part.text),
            _ => None,
        },
        What::Characters(_) | What::Phrase(_) => None,
    }
}

/// Characters next to each other; more so if they are a word of the text.
fn characters_in(text: &TextFields, characters: &[char]) -> Clause {
    let word: String = characters.iter().collect();
    best(vec![adjacent(text.characters, characters), boosted(term(text.words, &word), 1.2)])
}

fn adjacent(field: Field, characters: &[char]) -> Clause {
    let term = |character: &char| Term::from_field_text(field, character.encode_utf8(&mut [0; 4]));
    in_a_row(characters.iter().map(term).collect())
}

/// Terms next to each other, at least one.
fn in_a_row(mut terms: Vec<Term>) -> Clause {
    match terms.len() {
        1 => Box::new(TermQuery::new(terms.remove(0), IndexRecordOption::WithFreqs)),
        _ => Box::new(PhraseQuery::new(terms)),
    }
}

/// Words next to each other, and runs next to each other; between words and runs, any distance.
fn phrase_in(text: &TextFields, pieces: &[Piece]) -> Clause {
    let mut clauses: Vec<(Occur, Clause)> = Vec::new();
    let mut words: Vec<Term> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Compound(compound) => {
                words.extend(compound.parts.iter().map(|part| Term::from_field_text(text.words, &part.text)));
            }
            Piece::Run(run) => {
                clauses.push((Occur::Must, adjacent(text.characters, &folded::<Vec<_>>(run))));
            }
        }
    }
    if !words.is_empty() {
        clauses.push((Occur::Must, in_a_row(words)));
    }
    Box::new(BooleanQuery::new(clauses))
}

fn term(field: Field, text: &str) -> Clause {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::WithFreqs))
}

fn beginning(field: Field, text: &str, score: f32) -> Clause {
    debug_assert!(!text.chars().any(needs_no_spaces), "characters have no beginning");
    constant(Box::new(FuzzyTermQuery::new_prefix(Term::from_field_text(field, text), 0, true)), score)
}

fn best(mut ways: Vec<Clause>) -> Clause {
    match ways.len() {
        1 => ways.remove(0),
        _ => Box::new(DisjunctionMaxQuery::with_tie_breaker(ways, LESSER)),
    }
}

fn boosted(query: Clause, boost: f32) -> Clause {
    Box::new(BoostQuery::new(query, boost))
}

pub(super) fn constant(query: Clause, score: f32) -> Clause {
    Box::new(ConstScoreQuery::new(query, score))
}

/// Statistics of an index in which every word is in every other document, and every text has as many words: so that
/// scores depend on nothing but the document.
pub(super) struct Alike;

impl Bm25StatisticsProvider for Alike {
    fn total_num_tokens(&self, _: Field) -> tantivy::Result<u64> {
        Ok(2 * 8)
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(2)
    }

    fn doc_freq(&self, _: &Term) -> tantivy::Result<u64> {
        Ok(1)
    }
}
