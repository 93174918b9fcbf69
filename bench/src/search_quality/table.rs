//! The figures.

use super::Half;
use super::library::Library;
use super::peers::Engine;
use super::queries::{Judged, Kind, Query};

const WIDTH: usize = 13;

/// How good an answer, or the mean of many, is.
#[derive(Clone, Copy, Default)]
struct Score {
    reciprocal_rank: f64,
    recall: f64,
}

/// A query that did not have its book first.
struct Miss<'a> {
    query: &'a Query,
    /// From 1 on.
    rank: Option<usize>,
    first: Option<usize>,
}

struct Column<'a> {
    name: &'static str,
    scores: Vec<(Kind, Score)>,
    misses: Vec<Miss<'a>>,
}

/// What every engine scored.
pub(crate) struct Table<'a> {
    library: &'a Library,
    queries: Vec<&'a Query>,
    columns: Vec<Column<'a>>,
}

impl<'a> Table<'a> {
    /// Begins without an engine.
    pub(crate) fn new(library: &'a Library, judged: &'a Judged, half: Half) -> Self {
        Self { library, queries: judged.half(half).collect(), columns: Vec::new() }
    }

    /// Asks an engine every query.
    pub(crate) async fn add(&mut self, name: &'static str, engine: &Engine) -> anyhow::Result<()> {
        let (mut scores, mut misses) = (Vec::new(), Vec::new());
        for query in &self.queries {
            // The peers know no numbers.
            if query.kind == Kind::Isbn && !matches!(engine, Engine::Colophon(_)) {
                continue;
            }
            let Some(found) = engine.ask(&query.typed, self.library).await? else { continue };
            scores.push((query.kind, score(query, &found)));
            let rank = rank(query, &found);
            if rank != Some(1) {
                misses.push(Miss { query, rank, first: found.first().copied() });
            }
        }
        self.columns.push(Column { name, scores, misses });
        Ok(())
    }

    /// Prints the means by kind, and over all kinds but the numbers.
    pub(crate) fn print(&self) {
        println!("\nMRR@10 / recall@10");
        let names = self.columns.iter().map(|column| format!("{:>WIDTH$}", column.name));
        println!("{:<20}{:>8}  {}", "", "queries", names.collect::<Vec<_>>().join("  "));
        for (kind, name) in Kind::ALL {
            self.print_row(name, |other| other == kind);
        }
        self.print_row("all but isbn", |kind| kind != Kind::Isbn);
    }

    fn print_row(&self, name: &str, of: impl Fn(Kind) -> bool) {
        let queries = self.queries.iter().filter(|query| of(query.kind)).count();
        let means = self.columns.iter().map(|column| {
            let scores: Vec<_> = column.scores.iter().filter(|(kind, _)| of(*kind)).map(|(_, score)| *score).collect();
            let mean = mean(&scores).map(|mean| format!("{:.2} / {:.2}", mean.reciprocal_rank, mean.recall));
            format!("{:>WIDTH$}", mean.unwrap_or_else(|| "-".to_owned()))
        });
        println!("{name:<20}{queries:>8}  {}", means.collect::<Vec<_>>().join("  "));
    }

    /// Prints the first so many queries of each kind that the first engine missed, those without the book before others.
    pub(crate) fn print_misses(&self, most: usize) {
        let Some(column) = self.columns.first().filter(|_| most > 0) else { return };
        for (kind, name) in Kind::ALL {
            let mut misses: Vec<_> = column.misses.iter().filter(|miss| miss.query.kind == kind).collect();
            misses.sort_by_key(|miss| miss.rank.is_some());
            println!("\n{name}: {} did not put the book first {} times", column.name, misses.len());
            for Miss { query, rank, first } in misses.into_iter().take(most) {
                let rank = rank.map_or("not found".to_owned(), |rank| format!("place {rank}"));
                let first = first.map_or("nothing".to_owned(), |first| self.described(first));
                println!("  {:?}: {rank}: {}\n    first: {first}", query.typed, self.described(query.book));
            }
        }
    }

    fn described(&self, place: usize) -> String {
        let book = &self.library.books[place];
        format!("{} ({})", book.title, book.authors.join(", "))
    }
}

fn rank(query: &Query, found: &[usize]) -> Option<usize> {
    found.iter().position(|place| query.relevant.contains(place)).map(|before| before + 1)
}

fn score(query: &Query, found: &[usize]) -> Score {
    // Nobody can find more books than an answer has places.
    let findable = query.relevant.len().min(10);
    let relevant = found.iter().filter(|place| query.relevant.contains(place)).count();
    Score {
        reciprocal_rank: rank(query, found).map_or(0.0, |rank| 1.0 / rank as f64),
        recall: relevant as f64 / findable as f64,
    }
}

fn mean(scores: &[Score]) -> Option<Score> {
    let share = |part: fn(&Score) -> f64| scores.iter().map(part).sum::<f64>() / scores.len() as f64;
    let mean = Score { reciprocal_rank: share(|score| score.reciprocal_rank), recall: share(|score| score.recall) };
    (!scores.is_empty()).then_some(mean)
}
