//! `bench search`: how long searches take, on the books and queries of `bench search-quality`.
//!
//! Over HTTP: one connection, one request after another. In the index: everything between a question and a page of 20 hits
//! (reading the question, the query, facets, highlights, the books as they are sent), beside tantivy alone running the query
//! that the question comes to: the best 20, how many there are, and these 20 documents. Both sides take turns, query by query;
//! of each query the best of all rounds counts.

use super::colophon::Colophon;
use super::queries::{Judged, Kind};
use super::{Half, books, files, filled};
use anyhow::Context;
use platform::event_log::EventLog;
use platform::event_log::sqlite::SqliteLog;
use platform::seam::Seam;
use platform::search_index::{Asked, Order, Request, SearchIndexes};
use platform::view_store::Source;
use projections::search::LAYOUT;
use schemas::views::search::field;
use std::path::Path;
use std::time::{Duration, Instant};
use tantivy::TantivyDocument;
use tantivy::collector::{Count, TopDocs};

/// Hits on a page.
const HITS: usize = 20;

/// Times of one kind of queries.
#[derive(Default)]
struct Times {
    over_http: Vec<Duration>,
    search: Vec<Duration>,
    bare: Vec<Duration>,
}

/// Measures and prints.
pub(crate) async fn run(binary: &Path, directory: &Path, rounds: usize, queries: usize) -> anyhow::Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/catalogue");
    if !data.exists() {
        println!("skipped: no ../shared");
        return Ok(());
    }
    let fresh = tempfile::tempdir_in(directory)?;
    let (home, chinese) = (fresh.path().join("data"), fresh.path().join("chinese.csv"));
    let last_isbn = files::write_chinese(&data.join("douban_sample.csv.gz"), &chinese)?;
    let server = filled(binary, &home, &data, &chinese, &directory.join("search-server.log")).await?;
    let colophon = Colophon::new(server.url())?;
    let library = books(&colophon, &last_isbn).await?;
    let judged = Judged::draw(&library, queries);
    let asked: Vec<_> = [Half::Tune, Half::Report].into_iter().flat_map(|half| judged.half(half)).collect();
    let mut times: Vec<Times> = asked.iter().map(|_| Times::default()).collect();
    for _ in 0..rounds {
        for (query, times) in asked.iter().zip(&mut times) {
            let begun = Instant::now();
            colophon.search(&query.typed).await?;
            times.over_http.push(begun.elapsed());
        }
    }
    server.stop()?;

    let log = SqliteLog::open(&home.join("log.sqlite"), &Seam::system()).await?;
    let source = Source { log: log.id(), head: log.head().await?, partitions: 1 };
    let index = SearchIndexes::open(&home.join("search"), &LAYOUT, source)?.live();
    anyhow::ensure!(index.position() == source.head, "the index was not left whole");
    for _ in 0..rounds {
        for (query, times) in asked.iter().zip(&mut times) {
            let request = Request {
                text: &query.typed,
                filters: Vec::new(),
                order: Order::Relevance,
                counted: vec![field::LANGUAGE, field::SUBJECT, field::CURRENCY],
                after: None,
                limit: HITS,
            };
            let begun = Instant::now();
            let found = index.search(&request)?;
            times.search.push(begun.elapsed());
            let Asked { documents, query: bare } = index.query_of(&request)?.context("every query has words")?;
            let begun = Instant::now();
            let collector = (TopDocs::with_limit(HITS).order_by_score(), Count);
            let (best, total) = documents.search(&bare, &collector)?;
            for (_, at) in &best {
                std::hint::black_box(documents.doc::<TantivyDocument>(*at)?);
            }
            times.bare.push(begun.elapsed());
            anyhow::ensure!(found.total == total as u64, "both find the same: {:?}", query.typed);
        }
    }
    print(&asked.iter().map(|query| query.kind).collect::<Vec<_>>(), &times);
    Ok(())
}

fn print(kinds: &[Kind], times: &[Times]) {
    println!("milliseconds, p50 / p99");
    println!("{:<20}{:>8}{:>18}{:>18}{:>18}{:>8}", "", "queries", "HTTP", "search", "bare tantivy", "ratio");
    let of = |wanted: Option<Kind>| {
        kinds.iter().zip(times).filter(move |(kind, _)| wanted.is_none_or(|wanted| **kind == wanted))
    };
    let rows = Kind::ALL.into_iter().map(|(kind, name)| (Some(kind), name)).chain([(None, "all")]);
    for (kind, name) in rows {
        let best = |side: fn(&Times) -> &Vec<Duration>| {
            let mut best: Vec<_> = of(kind).filter_map(|(_, times)| side(times).iter().min().copied()).collect();
            best.sort();
            best
        };
        let (over_http, search, bare) =
            (best(|times| &times.over_http), best(|times| &times.search), best(|times| &times.bare));
        let shown = |times: &[Duration]| format!("{:.2} / {:.2}", at(times, 50), at(times, 99));
        let ratio = at(&search, 50) / at(&bare, 50);
        let count = search.len();
        println!("{name:<20}{count:>8}{:>18}{:>18}{:>18}{ratio:>8.2}", shown(&over_http), shown(&search), shown(&bare));
    }
}

/// Milliseconds below which so many percent lie.
fn at(sorted: &[Duration], percent: usize) -> f64 {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}
