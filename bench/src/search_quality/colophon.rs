//! Colophon over HTTP.

use super::library::Book;
use anyhow::{Context, bail, ensure};
use reqwest::StatusCode;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long list and search may take to show all that was imported.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(500);
/// Books by whose number is seen that the search has all.
const PROBES: usize = 50;
const PAGE_BOOKS: &str = "100";

/// A server.
pub(crate) struct Colophon {
    http: reqwest::Client,
    url: String,
}

impl Colophon {
    /// The server at a URL.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).no_proxy().build()?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned() })
    }

    /// The ISBNs of the ten best hits.
    pub(crate) async fn search(&self, query: &str) -> anyhow::Result<Vec<String>> {
        let answer = self.get("/v1/search", &[("q", query), ("limit", "10")]).await?;
        let hits = answer["hits"].as_array().with_context(|| format!("an answer without hits: {answer}"))?;
        ensure!(hits.len() <= 10, "{query:?} has {} hits, asked for were 10", hits.len());
        hits.iter().map(|hit| text(&hit["book"], "isbn")).collect()
    }

    /// Every book, once the list shows a certain one and grows no more.
    pub(crate) async fn books(&self, last_isbn: &str) -> anyhow::Result<Vec<Book>> {
        let begun = Instant::now();
        let mut before = 0;
        loop {
            let books = self.listed().await?;
            let is_complete = books.len() == before && books.iter().any(|book| book.isbn == last_isbn);
            if is_complete {
                return Ok(books);
            }
            ensure!(
                begun.elapsed() < SETTLE_TIMEOUT,
                "of {} books none is the last of the file, {last_isbn}",
                books.len()
            );
            before = books.len();
            sleep(PAUSE).await;
        }
    }

    /// Waits until the search finds books by their numbers, the last one first.
    pub(crate) async fn wait_until_found(&self, books: &[Book]) -> anyhow::Result<()> {
        let begun = Instant::now();
        for book in books.iter().rev().step_by((books.len() / PROBES).max(1)) {
            while !self.search(&book.isbn).await?.contains(&book.isbn) {
                ensure!(begun.elapsed() < SETTLE_TIMEOUT, "the search does not find {} by its number", book.isbn);
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    async fn listed(&self) -> anyhow::Result<Vec<Book>> {
        let mut books = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let cursors = cursor.iter().map(|cursor| ("cursor", cursor.as_str()));
            let parameters: Vec<_> = cursors.chain([("limit", PAGE_BOOKS)]).collect();
            let page = self.get("/v1/books", &parameters).await?;
            let items = page["items"].as_array().with_context(|| format!("no page of books: {page}"))?;
            for item in items {
                let names = item["authors"].as_array().with_context(|| format!("a book without authors: {item}"))?;
                let authors = names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
                books.push(Book { isbn: text(item, "isbn")?, title: text(item, "title")?, authors });
            }
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return Ok(books);
            }
        }
    }

    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        let request = self.http.get(format!("{}{path}", self.url)).query(parameters);
        let response = request.send().await.with_context(|| format!("GET {path}"))?;
        let status = response.status();
        let body = response.text().await?;
        match status {
            StatusCode::OK => {
                serde_json::from_str(&body).with_context(|| format!("GET {path} answered no JSON: {body}"))
            }
            StatusCode::NOT_FOUND => bail!("this server has no {path}: it answered 404"),
            _ => bail!("GET {path} with {parameters:?} answered {status}: {body}"),
        }
    }
}

fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    value[field].as_str().map(str::to_owned).with_context(|| format!("a book without {field}: {value}"))
}
