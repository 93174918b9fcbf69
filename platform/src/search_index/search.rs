//! Searches: a question with filters and an order, answered page by page.

use super::collect::{Best, Collected, Counts, Order, Rank};
use super::highlight::{Marker, escape};
use super::plan::{Alike, Forgiving, Plan, constant, plan};
use super::question::Question;
use super::{SearchIndex, Snapshot};
use crate::event_log::Position;
use crate::view_store::StoreError;
use std::ops::Bound;
use tantivy::query::{BooleanQuery, Occur, Query, RangeQuery, TermQuery};
use tantivy::schema::{IndexRecordOption, Value};
use tantivy::{DocAddress, Searcher, TantivyDocument, TantivyError, Term};

/// What to search for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// What was typed; nothing finds everything.
    pub text: &'a str,
    /// What every hit has to be.
    pub filters: Vec<Filter>,
    /// Which hits come first.
    pub order: Order,
    /// Keywords of which the values are counted over all hits.
    pub counted: Vec<&'static str>,
    /// Behind which place the page begins.
    pub after: Option<Place>,
    /// The most hits.
    pub limit: usize,
}

/// What a hit has to be.
#[derive(Debug, Clone)]
pub enum Filter {
    /// A keyword has this value.
    Is(&'static str, String),
    /// A number lies between these, both included.
    Between(&'static str, Option<i64>, Option<i64>),
}

/// The place of a hit among the others. It stays where it is while others come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    rank: Rank,
    forgiving: bool,
}

impl Place {
    /// In bytes.
    pub fn to_bytes(self) -> [u8; 25] {
        let mut bytes = [u8::from(self.forgiving); 25];
        for (number, bytes) in self.rank.iter().zip(bytes.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// From bytes; none if they are no place.
    pub fn from_bytes(bytes: [u8; 25]) -> Option<Self> {
        let mut rank = Rank::default();
        for (number, bytes) in rank.iter_mut().zip(bytes.chunks_exact(8)) {
            *number = i64::from_be_bytes(bytes.try_into().ok()?);
        }
        (bytes[24] <= 1).then_some(Self { rank, forgiving: bytes[24] == 1 })
    }
}

/// A page of hits.
#[derive(Debug)]
pub struct Found {
    /// How far the index was.
    pub position: Position,
    /// The hits of this page.
    pub hits: Vec<Hit>,
    /// How many there are on all pages.
    pub total: u64,
    /// For each keyword that was to be counted, over all pages: at most 100 values.
    pub counts: Vec<Counts>,
    /// Where the next page begins, if there is one.
    pub next: Option<Place>,
    /// Where nothing was found: questions that find something.
    pub alternatives: Vec<String>,
}

/// A document that was found.
#[derive(Debug)]
pub struct Hit {
    /// What the layout shows of it.
    pub body: String,
    /// How well it answers the question.
    pub score: f32,
    /// Texts in which something was found, as HTML.
    pub highlights: Vec<(&'static str, String)>,
}

/// A query, and what it is asked of.
pub struct Asked {
    /// The documents.
    pub documents: Searcher,
    /// The query.
    pub query: Box<dyn Query>,
}

impl SearchIndex {
    /// Searches.
    pub fn search(&self, request: &Request<'_>) -> Result<Found, StoreError> {
        let snapshot = self.snapshot();
        let question = Question::read(request.text);
        let Answer { mut collected, marker, forgiving, .. } = self.best_answer(&snapshot, request, &question)?;
        let next = (collected.best.len() > request.limit).then(|| {
            collected.best.truncate(request.limit);
            let rank = collected.best.last().map_or([i64::MIN; 3], |(rank, ..)| *rank);
            Place { rank, forgiving: forgiving == Forgiving::All }
        });
        let hits = collected.best.iter().map(|(_, score, at)| self.hit(&snapshot, *at, *score, &marker));
        let hits = hits.collect::<Result<_, StoreError>>()?;
        let mut alternatives = Vec::new();
        if collected.total == 0 && request.after.is_none() {
            alternatives = self.alternatives(&snapshot, request, &question)?;
        }
        Ok(Found {
            position: snapshot.position(),
            hits,
            total: collected.total,
            counts: collected.counts,
            next,
            alternatives,
        })
    }

    /// What a search comes to, for whoever measures searches; none if it can find nothing.
    pub fn query_of(&self, request: &Request<'_>) -> Result<Option<Asked>, StoreError> {
        let (snapshot, question) = (self.snapshot(), Question::read(request.text));
        let Answer { query, .. } = self.best_answer(&snapshot, request, &question)?;
        Ok(query.map(|query| Asked { documents: snapshot.searcher, query }))
    }

    /// The answer to what was typed; if that finds nothing, to what is nearly that. Later pages go on as the first one began.
    fn best_answer(
        &self,
        snapshot: &Snapshot,
        request: &Request<'_>,
        question: &Question,
    ) -> Result<Answer, StoreError> {
        if request.after.is_some_and(|place| place.forgiving) {
            return self.answer(snapshot, request, question, Forgiving::All);
        }
        let answer = self.answer(snapshot, request, question, Forgiving::Unknown)?;
        if request.after.is_none() && answer.collected.total == 0 && question.asked {
            return self.answer(snapshot, request, question, Forgiving::All);
        }
        Ok(answer)
    }

    fn answer(
        &self,
        snapshot: &Snapshot,
        request: &Request<'_>,
        question: &Question,
        forgiving: Forgiving,
    ) -> Result<Answer, StoreError> {
        let collector = Best {
            order: request.order,
            ties: self.layout.ties,
            after: request.after.map(|place| place.rank),
            limit: request.limit + 1,
            counted: request.counted.clone(),
        };
        let Some(Plan { query, marker }) = self.query(snapshot, &request.filters, question, forgiving)? else {
            let collected = Collected { counts: vec![Vec::new(); request.counted.len()], ..Collected::default() };
            return Ok(Answer { collected, marker: Marker::default(), forgiving, query: None });
        };
        let collected = snapshot.searcher.search_with_statistics_provider(&query, &collector, &Alike)?;
        Ok(Answer { collected, marker, forgiving, query: Some(query) })
    }

    /// The question and the filters as a query; none if nothing can be found by it.
    pub(super) fn query(
        &self,
        snapshot: &Snapshot,
        filters: &[Filter],
        question: &Question,
        forgiving: Forgiving,
    ) -> Result<Option<Plan>, TantivyError> {
        let plan = if question.asked {
            plan(question, forgiving, &snapshot.searcher, &self.fields, &self.fields.texts)?
        } else {
            let all = TermQuery::new(self.fields.visible_term(), IndexRecordOption::Basic);
            Some(Plan { query: constant(Box::new(all), 0.0), marker: Marker::default() })
        };
        Ok(plan.map(|Plan { query, marker }| {
            if filters.is_empty() {
                return Plan { query, marker };
            }
            let filters = filters.iter().map(|filter| (Occur::Must, constant(self.filter(filter), 0.0)));
            let clauses = std::iter::once((Occur::Must, query)).chain(filters).collect();
            Plan { query: Box::new(BooleanQuery::new(clauses)), marker }
        }))
    }

    fn filter(&self, filter: &Filter) -> Box<dyn Query> {
        match filter {
            Filter::Is(name, value) => {
                let term = Term::from_field_text(self.fields.named(name), value);
                Box::new(TermQuery::new(term, IndexRecordOption::Basic))
            }
            Filter::Between(name, from, to) => {
                let bound = |limit: &Option<i64>| {
                    limit.map_or(Bound::Unbounded, |limit| {
                        Bound::Included(Term::from_field_i64(self.fields.named(name), limit))
                    })
                };
                Box::new(RangeQuery::new(bound(from), bound(to)))
            }
        }
    }

    fn hit(&self, snapshot: &Snapshot, at: DocAddress, score: f32, marker: &Marker) -> Result<Hit, StoreError> {
        let document: TantivyDocument = snapshot.searcher.doc(at)?;
        let body = document.get_first(self.fields.body).and_then(|body| body.as_str()).unwrap_or_default().to_owned();
        let mut highlights = Vec::new();
        for text in &self.fields.texts {
            let values: Vec<&str> = document.get_all(text.shown).filter_map(|value| value.as_str()).collect();
            let marked: Vec<_> = values.iter().map(|value| marker.mark(value)).collect();
            if marked.iter().any(Option::is_some) {
                let shown = |(value, marked): (&&str, Option<String>)| marked.unwrap_or_else(|| escaped(value));
                let shown: Vec<_> = values.iter().zip(marked).map(shown).collect();
                highlights.push((text.name, shown.join(", ")));
            }
        }
        Ok(Hit { body, score, highlights })
    }
}

struct Answer {
    collected: Collected,
    marker: Marker,
    forgiving: Forgiving,
    /// None if nothing can be found.
    query: Option<Box<dyn Query>>,
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    escape(text, &mut html);
    html
}
