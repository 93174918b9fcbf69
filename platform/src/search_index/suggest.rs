//! Suggestions: what a text that is being typed may become.

use super::SearchIndex;
use super::collect::{Sum, Sums};
use super::plan::{Forgiving, Plan, plan};
use super::question::Question;
use crate::event_log::Position;
use crate::view_store::StoreError;
use std::collections::HashMap;

impl SearchIndex {
    /// Texts and names that a question, which may still be being typed, can be meant to become: those with the greatest
    /// sum of the first tie first.
    ///
    /// Each of `offered` is a text, and the keyword that has its values as they are written.
    pub fn suggest(
        &self,
        text: &str,
        offered: &[(&'static str, &'static str)],
        limit: usize,
    ) -> Result<(Position, Vec<String>), StoreError> {
        let snapshot = self.snapshot();
        let question = Question::read(text);
        let open = question.clone().open();
        for (question, forgiving) in
            [(&question, Forgiving::Unknown), (&open, Forgiving::Unknown), (&open, Forgiving::All)]
        {
            let mut suggestions: HashMap<String, Sum> = HashMap::new();
            for (text, keyword) in offered {
                let text = self.fields.text(text).expect("the layout has every text that is asked for");
                let plan = plan(question, forgiving, &snapshot.searcher, &self.fields, std::slice::from_ref(text))?;
                let Some(Plan { query, marker }) = plan else { continue };
                let sums = Sums { keyword, number: self.layout.ties[0] };
                // A document may have other names than the one that was found.
                let found = snapshot.searcher.search(&query, &sums)?.into_iter();
                for (value, sum) in found.filter(|(value, _)| marker.covers(value)) {
                    let all = suggestions.entry(value).or_default();
                    (all.sum, all.documents) = (all.sum + sum.sum, all.documents + sum.documents);
                }
            }
            if !suggestions.is_empty() {
                let mut suggestions: Vec<_> = suggestions.into_iter().collect();
                suggestions.sort_by(|(text, sum), (other, other_sum)| {
                    let by_sum = (other_sum.sum, other_sum.documents).cmp(&(sum.sum, sum.documents));
                    by_sum.then_with(|| text.len().cmp(&other.len())).then_with(|| text.cmp(other))
                });
                suggestions.truncate(limit);
                return Ok((snapshot.position(), suggestions.into_iter().map(|(text, _)| text).collect()));
            }
        }
        Ok((snapshot.position(), Vec::new()))
    }
}
