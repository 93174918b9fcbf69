//! What may have been meant by a question that finds nothing.

use super::plan::{Forgiving, Plan};
use super::question::{Need, Question, What};
use super::search::Request;
use super::vocabulary::{self, Extent};
use super::{Filter, SearchIndex, Snapshot};
use crate::view_store::StoreError;
use tantivy::collector::Count;

/// Other questions that are offered, and how many are tried for it.
const OFFERED: usize = 5;
const TRIED: usize = 40;

/// Words of a question that are looked at; of a longer one, the first.
const WORDS: usize = 8;

/// Letters of the longest word that is mended.
const MENDED_LETTERS: usize = 32;

impl SearchIndex {
    /// Questions like one that finds nothing, each of which finds something.
    pub(super) fn alternatives(
        &self,
        snapshot: &Snapshot,
        request: &Request<'_>,
        question: &Question,
    ) -> Result<Vec<String>, StoreError> {
        let mut tried = vec![Question::text(&question.needs)];
        let mut alternatives = Vec::new();
        for needs in self.likely(snapshot, request, question)? {
            let text = Question::text(&needs);
            if text.is_empty() || tried.contains(&text) {
                continue;
            }
            if alternatives.len() >= OFFERED || tried.len() > TRIED {
                break;
            }
            if self.finds(snapshot, &request.filters, &Question::read(&text))? {
                alternatives.push(text.clone());
            }
            tried.push(text);
        }
        Ok(alternatives)
    }

    /// What may have been meant, the likeliest first.
    fn likely(
        &self,
        snapshot: &Snapshot,
        request: &Request<'_>,
        question: &Question,
    ) -> Result<Vec<Vec<Need>>, StoreError> {
        let mut mended = Vec::new();
        let mut known = Vec::new();
        for need in question.needs.iter().take(WORDS) {
            let alone = Question { needs: vec![need.clone()], asked: true, ..Question::default() };
            if self.finds(snapshot, &request.filters, &alone)? {
                known.push(need.clone());
                mended.push(vec![need.clone()]);
            } else {
                mended.push(self.mended(snapshot, need)?);
            }
        }
        let mut likely = Vec::new();
        // Every word that nothing has replaced by the nearest one; then by the second nearest, and so on.
        for nth in 0..OFFERED {
            let choice = |words: &Vec<Need>| words.get(nth).or(words.last()).cloned();
            likely.push(mended.iter().filter_map(choice).collect());
        }
        likely.push(known.clone());
        for without in 0..known.len() {
            let mut others = known.clone();
            others.remove(without);
            likely.push(others);
        }
        likely.extend(known.into_iter().map(|need| vec![need]));
        likely.extend(mended.iter().filter_map(|words| words.first()).map(|need| vec![need.clone()]));
        Ok(likely)
    }

    /// A word that nothing has, mended: the nearest words, farther away than a search forgives; or two words that were
    /// typed as one.
    fn mended(&self, snapshot: &Snapshot, need: &Need) -> Result<Vec<Need>, StoreError> {
        let (What::Word(compound) | What::Beginning(compound)) = &need.what else { return Ok(Vec::new()) };
        let Some(word) = compound.joined.as_ref().or(compound.parts.first()).map(|word| word.text.as_str()) else {
            return Ok(Vec::new());
        };
        let mut texts = Vec::new();
        let digits = word.chars().any(char::is_numeric);
        let distance = if digits { 0 } else { u8::from(word.len() >= 3) + u8::from(word.len() >= 4) };
        if distance > 0 && word.len() <= MENDED_LETTERS {
            let fields: Vec<_> = self.fields.texts.iter().map(|text| text.words).collect();
            let near = vocabulary::near(&snapshot.searcher, &fields, word, distance, Extent::Whole)?;
            let mut near = near.concat();
            near.sort_by_key(|near| near.distance);
            texts.extend(near.into_iter().map(|near| near.word).take(OFFERED));
        }
        if word.is_ascii() {
            for at in 2..word.len().saturating_sub(1) {
                let (first, second) = word.split_at(at);
                let mut both_known = [false; 2];
                for text in &self.fields.texts {
                    both_known[0] |= vocabulary::has(&snapshot.searcher, text.words, first)?;
                    both_known[1] |= vocabulary::has(&snapshot.searcher, text.words, second)?;
                }
                if both_known == [true; 2] {
                    texts.push(format!("{first} {second}"));
                }
            }
        }
        Ok(texts.into_iter().map(|typed| Need { typed, ..need.clone() }).collect())
    }

    /// Whether a question finds anything as it is written.
    fn finds(&self, snapshot: &Snapshot, filters: &[Filter], question: &Question) -> Result<bool, StoreError> {
        let plan = self.query(snapshot, filters, question, Forgiving::Nothing)?;
        Ok(match plan {
            Some(Plan { query, .. }) => snapshot.searcher.search(&query, &Count)? > 0,
            None => false,
        })
    }
}
