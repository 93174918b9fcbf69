//! `bench search-quality`: how well books are found that somebody has in mind, beside the full-text search of databases.
//!
//! The books are those of two files, as far as the server takes them in: 10,000 in English and other languages of
//! Europe, and 16,000 in Chinese, both scripts. The Chinese file knows no ISBN, so its n-th row gets a made-up one: the
//! prefix 9799, which belongs to nobody, n in eight digits, and the check digit. Its titles of more than 200 characters
//! are left out.
//!
//! Each query is made by rule from one book, which it should find. The rules are those of [`queries::Kind`]; besides:
//!
//! - Editions of one work are as good as the book itself: the same title (without case, accents, punctuation, script of
//!   Chinese and what is in parentheses at its end, such as a series) and the same last name of the first author.
//! - Queries are typed in lower case and without accents.
//! - A query is too vague, and another one is tried, when the words that are meant are contained in more works than an
//!   answer has places: ten. Where a whole title is typed it may be 50, since the best match can be told then. Contained
//!   means that each word stands in title or authors, Latin ones at the beginning of a word, Chinese ones anywhere.
//! - A work has at most one query of each kind. Works and places within titles are drawn with a fixed seed.
//! - Of each kind, the queries with an even place are for tuning, the others for the report.
//!
//! MRR@10 is the mean of one divided by the place of the first book of the work, nothing if it is not among ten.
//! Recall@10 is the mean share of the work's books among ten. Peers know titles and authors only: they are not asked for
//! ISBNs, and the last row leaves those out. Nothing of it depends on the clock or on chance.

mod chance;
mod cluster;
mod colophon;
mod drafts;
mod files;
mod library;
mod peers;
mod pieces;
mod postgres;
mod queries;
pub(crate) mod speed;
mod sqlite;
mod table;
mod words;

use crate::server::{self, Server};
use anyhow::Context;
use clap::ValueEnum;
use colophon::Colophon;
use library::Library;
use peers::Engine;
use queries::Judged;
use std::path::Path;
use table::Table;

/// What to ask.
pub(crate) struct Options {
    /// Queries of each kind, both halves together.
    pub(crate) queries: usize,
    /// Which half of them.
    pub(crate) half: Half,
    /// How many queries of each kind to print that did not have their book first.
    pub(crate) misses: usize,
    /// A server that runs already and holds the books, and no others; without it, one is started.
    pub(crate) url: Option<String>,
}

/// Half of the queries: whoever tunes by the one is measured by the other.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Half {
    /// To tune by.
    Tune,
    /// To be measured by.
    Report,
}

/// Asks the server and its peers the same queries, and prints how well each finds what is meant.
pub(crate) async fn run(binary: &Path, directory: &Path, options: &Options) -> anyhow::Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/catalogue");
    if !data.exists() {
        println!("skipped: no ../shared");
        return Ok(());
    }
    let fresh = tempfile::tempdir_in(directory)?;
    let chinese = fresh.path().join("chinese.csv");
    let last_isbn = files::write_chinese(&data.join("douban_sample.csv.gz"), &chinese)?;
    if let Some(url) = &options.url {
        return compare(url, &last_isbn, options).await;
    }
    let home = fresh.path().join("data");
    let server = filled(binary, &home, &data, &chinese, &directory.join("search-quality-server.log")).await?;
    compare(server.url(), &last_isbn, options).await?;
    server.stop()
}

/// A server with the books of both files.
async fn filled(binary: &Path, home: &Path, data: &Path, chinese: &Path, log: &Path) -> anyhow::Result<Server> {
    let server = Server::start(binary, home, log)?;
    // Before the import: a server without search should not make anybody wait for it.
    Colophon::new(server.url())?.search("anything").await?;
    server::import(binary, home, "books", &data.join("goodbooks10k_books.csv.gz"))?;
    server::import(binary, home, "books", chinese)?;
    Ok(server)
}

/// Its books, once it finds all of them.
async fn books(server: &Colophon, last_isbn: &str) -> anyhow::Result<Library> {
    let library = Library::new(server.books(last_isbn).await?)?;
    server.wait_until_found(&library.books).await?;
    println!("{} books of {} works", library.books.len(), library.works);
    Ok(library)
}

async fn compare(url: &str, last_isbn: &str, options: &Options) -> anyhow::Result<()> {
    let server = Colophon::new(url)?;
    let library = books(&server, last_isbn).await?;
    let judged = Judged::draw(&library, options.queries);
    let mut table = Table::new(&library, &judged, options.half);
    table.add("Colophon", &Engine::Colophon(server)).await.context("Colophon")?;
    let peers = peers::open(&library).await?;
    for (name, engine) in &peers.engines {
        table.add(name, engine).await.context(*name)?;
    }
    peers.close()?;
    table.print();
    table.print_misses(options.misses);
    Ok(())
}
