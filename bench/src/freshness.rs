//! `bench freshness`: how long it is from a command's answer to the first read that shows it, in one process and over Kafka.
//!
//! A sample adjusts a stock and then reads it with the position of the answer: what the read takes is the sample. It is
//! taken at rest, and beside writers that together write half as much as the deployment can at most.

use crate::deployment::Deployment;
use crate::server::Server;
use anyhow::{Context, ensure};
use platform::identity::Realm;
use platform::identity::signing_key::SigningKey;
use platform::seam::Seam;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Books whose stocks are written.
const BOOKS: usize = 64;

/// Writers at once.
const WRITERS: usize = 32;

/// Samples of one state.
const SAMPLES: usize = 500;

/// How long the most that can be written is looked for.
const PEAK: Duration = Duration::from_secs(5);

const TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);

/// Measures the embedded form, and the distributed one where `DATABASE_URL` and `KAFKA_BROKERS` say on what.
pub(crate) async fn run(binary: &Path, directory: &Path) -> anyhow::Result<()> {
    let data = tempfile::tempdir_in(directory)?;
    let server = Server::start(binary, &data.path().join("data"), &directory.join("freshness-server.log"))?;
    measure("embedded", server.url(), &data.path().join("data")).await?;
    server.stop()?;
    match (std::env::var("DATABASE_URL"), std::env::var("KAFKA_BROKERS")) {
        (Ok(postgres), Ok(kafka)) => {
            let deployment = Deployment::start(binary, directory, &postgres, &kafka).await?;
            measure("over Kafka", deployment.url(), deployment.keys()).await?;
            deployment.stop()
        }
        _ => {
            println!("skipped: DATABASE_URL and KAFKA_BROKERS do not say where the distributed form is to run");
            Ok(())
        }
    }
}

async fn measure(form: &str, url: &str, keys: &Path) -> anyhow::Result<()> {
    let shop = Arc::new(Shop::open(url, keys).await?);
    let rest = samples(&shop).await?;
    let peak = shop.peak().await?;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(Arc::clone(&shop).write_at(peak / 2.0, Arc::clone(&stop)));
    let busy = samples(&shop).await?;
    stop.store(true, Ordering::SeqCst);
    let written = writing.await??;
    for (state, samples) in [("at rest".to_owned(), rest), (format!("beside {written:.0} writes/s of {peak:.0}"), busy)]
    {
        let at = |share: usize| samples[(samples.len() * share / 1_000).min(samples.len() - 1)].as_secs_f64() * 1e3;
        println!("{form}, {state}: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms", at(500), at(950), at(990));
    }
    Ok(())
}

/// From the answer to the read that shows it, in order.
async fn samples(shop: &Shop) -> anyhow::Result<Vec<Duration>> {
    let mut samples = Vec::with_capacity(SAMPLES);
    for n in 0..SAMPLES {
        let book = &shop.books[n % BOOKS];
        let position = shop.adjust(book).await?;
        let begun = Instant::now();
        shop.read(book, position).await?;
        samples.push(begun.elapsed());
    }
    samples.sort();
    Ok(samples)
}

/// Books in a shop, and who may write their stocks.
struct Shop {
    http: reqwest::Client,
    url: String,
    token: String,
    books: Vec<String>,
}

impl Shop {
    async fn open(url: &str, data: &Path) -> anyhow::Result<Self> {
        let key = SigningKey::load(&data.join("keys").join("signing.pem"))?;
        let realm = Realm { issuer: "colophon".to_owned(), audience: "colophon".to_owned() };
        let now = Seam::system().clock.now();
        let token = key.sign(&realm, "bench", &["manager".to_owned()], TOKEN_LIFETIME, now);
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build()?;
        let mut shop = Self { http, url: url.to_owned(), token, books: Vec::new() };
        for n in 0..BOOKS {
            let body = json!({"isbn": isbn(n), "title": "A title", "authors": ["Ann Example"], "language": "en"});
            let book = shop.post("/v1/books", &body).await?.1;
            shop.books.push(book["id"].as_str().context("a registered book has an id")?.to_owned());
        }
        Ok(shop)
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<(u64, Value)> {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.token).json(body);
        let response = request.send().await?.error_for_status()?;
        let position = response.headers().get("colophon-position").context("a write is answered with a position")?;
        let position = position.to_str()?.parse()?;
        Ok((position, response.json().await?))
    }

    async fn adjust(&self, book: &str) -> anyhow::Result<u64> {
        let body = json!({"delta": 1, "reason": "freshness"});
        Ok(self.post(&format!("/v1/stock/{book}/adjustments"), &body).await?.0)
    }

    async fn read(&self, book: &str, position: u64) -> anyhow::Result<()> {
        let request = self.http.get(format!("{}/v1/stock/{book}", self.url)).header("Colophon-Min-Position", position);
        let response = request.send().await?;
        ensure!(response.status().is_success(), "a read at position {position}: {}", response.status());
        response.bytes().await?;
        Ok(())
    }

    /// Writes per second by writers that do nothing else.
    async fn peak(self: &Arc<Self>) -> anyhow::Result<f64> {
        let (written, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (shop, written) = (Arc::clone(self), Arc::clone(&written));
            writers.spawn(async move {
                while begun.elapsed() < PEAK {
                    shop.adjust(&shop.books[writer % BOOKS]).await?;
                    written.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            });
        }
        while let Some(writer) = writers.join_next().await {
            writer??;
        }
        Ok(written.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
    }

    /// Writes so many times per second, however long the answers take; answers with how many it were.
    async fn write_at(self: Arc<Self>, per_second: f64, stop: Arc<AtomicBool>) -> anyhow::Result<f64> {
        let mut beat = interval(Duration::from_secs_f64(1.0 / per_second.max(1.0)));
        beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut writing, begun, mut written) = (JoinSet::new(), Instant::now(), 0_usize);
        while !stop.load(Ordering::SeqCst) {
            beat.tick().await;
            let shop = Arc::clone(&self);
            writing.spawn(async move { shop.adjust(&shop.books[written % BOOKS]).await });
            written += 1;
            while let Some(ended) = writing.try_join_next() {
                ended??;
            }
        }
        Ok(written as f64 / begun.elapsed().as_secs_f64())
    }
}

/// The `n`-th valid ISBN-13 of some range.
fn isbn(n: usize) -> String {
    let digits = format!("9780{n:08}");
    let weighted = |(place, digit): (usize, u8)| u32::from(digit - b'0') * if place % 2 == 0 { 1 } else { 3 };
    let sum: u32 = digits.bytes().enumerate().map(weighted).sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}
