//! A deployment whose processes and services fail under load. However that goes: what was acknowledged is there, once; the
//! views are the fold of the log; and what waited is taken in soon.
//!
//! `make test` runs short outages; `COLOPHON_FAULTS=full` (`make test-faults`) runs them at full length.

#![expect(clippy::print_stdout, reason = "a fault's figures are what it is run for")]

use crate::cluster::services::{Kafka, Postgres};
use crate::cluster::{Cluster, Ground, USUAL};
use crate::colophon::{answer, book, isbn, said};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Who writes at once.
const WRITERS: usize = 12;

/// Books whose stocks are written.
const BOOKS: u32 = 24;

/// Longer than anything may take to be taken in, besides the outage.
const DRAIN: Duration = Duration::from_secs(30);

/// Short in `make test`, as long as asked for in full.
fn lasting(full_s: u64) -> Duration {
    let is_full = std::env::var("COLOPHON_FAULTS").is_ok_and(|form| form == "full");
    if is_full { Duration::from_secs(full_s) } else { Duration::from_secs(full_s.min(6)) }
}

/// A write that was answered: with the same key it is answered the same.
struct Acknowledged {
    path: String,
    key: String,
    body: Value,
    answer: String,
}

/// Writers that go on whatever fails, each repeating what was not answered.
struct Load {
    stop: Arc<AtomicBool>,
    writing: JoinSet<Vec<Acknowledged>>,
    position: Arc<AtomicU64>,
    longest_wait_ms: Arc<AtomicU64>,
    books: Vec<String>,
    token: String,
}

impl Load {
    /// Registers the books, and begins to write by two nodes.
    async fn begin(cluster: &Cluster) -> Self {
        let token = cluster.token("manager", "manager");
        let mut books = Vec::new();
        for n in 0..BOOKS {
            let mut body = book(&isbn(n));
            body["price"] = json!({"amount": 100, "currency": "CNY"});
            let request = cluster.request("node-1", Method::POST, "/v1/books").bearer_auth(&token);
            let registered = answer(request.header("Idempotency-Key", format!("book-{n}")).json(&body)).await;
            assert_eq!(registered.status, 201, "{registered:?}");
            books.push(registered.json()["id"].as_str().unwrap().to_owned());
        }
        let (stop, position) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let longest_wait_ms = Arc::new(AtomicU64::new(0));
        let mut load = Self { stop, writing: JoinSet::new(), position, longest_wait_ms, books, token };
        for writer in 0..WRITERS {
            let writer = Writer {
                number: writer,
                urls: ["node-1", "node-2"].map(|node| format!("http://{}", cluster.address(node))),
                books: load.books.clone(),
                token: load.token.clone(),
                client: cluster.client.clone(),
                stop: Arc::clone(&load.stop),
                position: Arc::clone(&load.position),
                longest_wait_ms: Arc::clone(&load.longest_wait_ms),
            };
            load.writing.spawn(writer.write());
        }
        load
    }

    /// How far acknowledged writes have come.
    fn position(&self) -> u64 {
        self.position.load(Ordering::SeqCst)
    }

    /// Waits until something more is acknowledged; answers how long that took.
    async fn moves(&self) -> Duration {
        let (before, begun) = (self.position(), Instant::now());
        while self.position() <= before {
            assert!(begun.elapsed() < DRAIN, "nothing is acknowledged any more");
            sleep(Duration::from_millis(10)).await;
        }
        begun.elapsed()
    }

    /// Ends the load, and demands that nothing is lost, doubled or wrong, and that views are level within a bound.
    async fn ends_well(mut self, cluster: &Cluster, within: Duration) {
        self.stop.store(true, Ordering::SeqCst);
        let mut acknowledged = Vec::new();
        while let Some(written) = self.writing.join_next().await {
            acknowledged.extend(written.unwrap());
        }
        assert!(acknowledged.len() > WRITERS, "hardly anything was written");
        let (begun, last) = (Instant::now(), self.position());
        for node in ["node-1", "node-2"] {
            for path in [
                "/v1/books?limit=1".to_owned(),
                format!("/v1/stock/{}", self.books[0]),
                "/v1/search?q=title".to_owned(),
            ] {
                let read = cluster.get_at(node, &path, &self.token, last).await;
                assert_eq!(read.status, 200, "{read:?}");
            }
        }
        let drained = begun.elapsed();
        assert!(drained <= within + DRAIN / 3, "the views were level after {drained:?} only");
        // One effect per key, and the copies that the effects add up to.
        let mut copies = vec![0_u64; self.books.len()];
        for write in &acknowledged {
            let place = self.books.iter().position(|book| write.path.contains(book.as_str())).unwrap();
            copies[place] += 1;
        }
        for (book, copies) in self.books.iter().zip(copies) {
            let stock = cluster.get_at("node-1", &format!("/v1/stock/{book}"), &self.token, last).await.json();
            assert_eq!(stock["on_hand"], copies, "one effect per acknowledged write: {stock}");
        }
        for write in acknowledged.iter().step_by(acknowledged.len() / 50 + 1) {
            let request = cluster.request("node-2", Method::POST, &write.path).bearer_auth(&self.token);
            let again = answer(request.header("Idempotency-Key", &write.key).json(&write.body)).await;
            assert_eq!((again.status, &again.body), (200, &write.answer), "{}", write.key);
        }
        // Every row of every view against a fold of the log, and the log against itself.
        for arguments in [&["log", "verify"][..], &["replay", "verify"], &["replay", "rebuild", "--all"]] {
            let output = cluster.tool("node-1", arguments);
            assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        }
        println!(
            "{} writes acknowledged, none lost; views level {:.1} s after the end; longest wait for an answer {} ms",
            acknowledged.len(),
            drained.as_secs_f64(),
            self.longest_wait_ms.load(Ordering::SeqCst)
        );
    }
}

struct Writer {
    number: usize,
    urls: [String; 2],
    books: Vec<String>,
    token: String,
    client: reqwest::Client,
    stop: Arc<AtomicBool>,
    position: Arc<AtomicU64>,
    longest_wait_ms: Arc<AtomicU64>,
}

impl Writer {
    async fn write(self) -> Vec<Acknowledged> {
        let mut acknowledged = Vec::new();
        for n in 0_usize.. {
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            let book = &self.books[(self.number * 7 + n) % self.books.len()];
            let (path, key) = (format!("/v1/stock/{book}/adjustments"), format!("{}-{n}", self.number));
            let body = json!({"delta": 1, "reason": key});
            let (begun, mut attempt) = (Instant::now(), self.number);
            let answer = loop {
                let request = self.client.post(format!("{}{path}", self.urls[attempt % 2])).bearer_auth(&self.token);
                let request = request.header("Idempotency-Key", &key).timeout(Duration::from_secs(3));
                match request.json(&body).send().await {
                    Ok(response) if response.status() == 200 => {
                        let position = response.headers()["colophon-position"].to_str().unwrap().parse().unwrap();
                        if let Ok(answer) = response.text().await {
                            self.position.fetch_max(position, Ordering::SeqCst);
                            break answer;
                        }
                    }
                    Ok(response) => assert_eq!(response.status(), 503, "no other answer reaches a caller"),
                    Err(_) => {}
                }
                attempt += 1;
                sleep(Duration::from_millis(20)).await;
                assert!(begun.elapsed() < Duration::from_secs(200), "{path} is never answered");
            };
            let waited_ms = u64::try_from(begun.elapsed().as_millis()).unwrap();
            self.longest_wait_ms.fetch_max(waited_ms, Ordering::SeqCst);
            acknowledged.push(Acknowledged { path, key, body, answer });
            sleep(Duration::from_millis(5)).await;
        }
        acknowledged
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_killed_under_load() {
    let Some(ground) = Ground::shared().await else { return };
    let mut cluster = Cluster::usual(&ground, &[]).await;
    let load = Load::begin(&cluster).await;
    for (name, _) in USUAL {
        load.moves().await;
        // A node is reached by its address: it has to have the same one again.
        cluster.restart_killed(name);
        load.moves().await;
        sleep(lasting(60) / 12).await;
    }
    load.ends_well(&cluster, DRAIN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_stands_still_is_replaced_and_neither_appends_nor_answers_when_it_wakes() {
    let Some(ground) = Ground::shared().await else { return };
    let cluster = Cluster::usual(&ground, &[]).await;
    let load = Load::begin(&cluster).await;
    for _ in 0..2 {
        let writer = cluster.writer().await;
        cluster.signal(writer, "-STOP");
        let begun = Instant::now();
        let other = if writer == "node-1" { "node-2" } else { "node-1" };
        let takes_over = async {
            while cluster.metrics(other).await.get("command_writer") != Some(&1.0) {
                sleep(Duration::from_millis(20)).await;
            }
            load.moves().await;
        };
        tokio::time::timeout(Duration::from_secs(15), takes_over).await.expect("the other node writes");
        let taken_over = begun.elapsed();
        println!("{other} writes {:.1} s after {writer} stood still", taken_over.as_secs_f64());
        assert!(taken_over < Duration::from_secs(8), "writes went on after {taken_over:?} only");
        sleep(lasting(60) / 3).await;
        cluster.signal(writer, "-CONT");
        load.moves().await;
    }
    load.ends_well(&cluster, DRAIN).await;
}

/// Orders of one hot book through two nodes, while the log's writer is killed: every copy is sold once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_book_and_64_buyers_while_the_writer_is_killed() {
    let Some(ground) = Ground::shared().await else { return };
    let mut cluster = Cluster::usual(&ground, &[]).await;
    let manager = cluster.token("manager", "manager");
    let mut body = book(&isbn(1));
    body["price"] = json!({"amount": 100, "currency": "CNY"});
    let registered =
        answer(cluster.request("node-1", Method::POST, "/v1/books").bearer_auth(&manager).json(&body)).await;
    let id = registered.json()["id"].as_str().unwrap().to_owned();
    let stocked = json!({"delta": 50, "reason": "delivery"});
    let path = format!("/v1/stock/{id}/adjustments");
    assert_eq!(
        answer(cluster.request("node-2", Method::POST, &path).bearer_auth(&manager).json(&stocked)).await.status,
        200
    );

    let answers = Arc::new(Mutex::new(Vec::new()));
    let mut buyers = JoinSet::new();
    for n in 0..64 {
        let (token, answers) = (cluster.token(&format!("buyer-{n}"), "user"), Arc::clone(&answers));
        let urls = ["node-1", "node-2"].map(|node| format!("http://{}/v1/orders", cluster.address(node)));
        let (client, body) = (cluster.client.clone(), json!({"lines": [{"book_id": id, "quantity": 1}]}));
        buyers.spawn(async move {
            for attempt in n.. {
                let request = client.post(&urls[attempt % 2]).bearer_auth(&token).header("Idempotency-Key", "one");
                let request = request.header("Prefer", "wait=10").json(&body).timeout(Duration::from_secs(12));
                match request.send().await {
                    Ok(response) if response.status() == 201 => {
                        let position: u64 = response.headers()["colophon-position"].to_str().unwrap().parse().unwrap();
                        let order: Value = response.json().await.unwrap();
                        answers.lock().unwrap().push((order["id"].as_str().unwrap().to_owned(), position));
                        return;
                    }
                    Ok(response) => assert_eq!(response.status(), 503, "no conflict reaches a buyer"),
                    Err(_) => {}
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
    }
    let writer = cluster.writer().await;
    cluster.restart_killed(writer);
    tokio::time::timeout(Duration::from_secs(120), buyers.join_all()).await.expect("every buyer is answered");
    let answers = answers.lock().unwrap().clone();
    let last = answers.iter().map(|(_, position)| *position).max().unwrap();
    let (mut held, mut rejected) = (0, 0);
    for (order, _) in &answers {
        let begun = Instant::now();
        loop {
            let read = cluster.get_at("node-1", &format!("/v1/orders/{order}"), &manager, last).await.json();
            match read["status"].as_str().unwrap() {
                "awaiting_payment" => break held += 1,
                "rejected" => break rejected += 1,
                status => assert!(begun.elapsed() < DRAIN, "{order} stays {status}"),
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!((held, rejected), (50, 14), "every copy is promised once");
    let stock = cluster.get_at("node-2", &format!("/v1/stock/{id}"), &manager, last).await.json();
    assert_eq!((&stock["on_hand"], &stock["reserved"]), (&json!(50), &json!(50)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_and_a_projector_that_stand_still_past_their_time() {
    let Some(ground) = Ground::shared().await else { return };
    let mut cluster = Cluster::usual(&ground, &[]).await;
    cluster.begin("relay-2", &["relay"]);
    cluster.begin("projector-2", &["projector"]);
    let load = Load::begin(&cluster).await;
    let outage = lasting(60) + Duration::from_secs(4);
    for name in ["relay", "projector"] {
        cluster.signal(name, "-STOP");
    }
    sleep(outage).await;
    load.moves().await;
    for name in ["relay", "projector"] {
        cluster.signal(name, "-CONT");
    }
    sleep(Duration::from_secs(2)).await;
    load.ends_well(&cluster, outage * 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_join_and_leave_all_the_time() {
    let Some(ground) = Ground::shared().await else { return };
    let mut cluster = Cluster::usual(&ground, &[]).await;
    let load = Load::begin(&cluster).await;
    let (begun, length) = (Instant::now(), lasting(600));
    while begun.elapsed() < length {
        cluster.begin("projector-2", &["projector"]);
        sleep(Duration::from_secs(2)).await;
        cluster.begin("projector-3", &["projector"]);
        cluster.stop("projector-2");
        sleep(Duration::from_secs(1)).await;
        cluster.kill("projector-3");
    }
    load.ends_well(&cluster, DRAIN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_and_a_database_that_are_stopped() {
    let (Some(mut postgres), Some(mut kafka)) = (Postgres::start(), Kafka::start(1)) else { return };
    let ground = Ground { postgres: postgres.url(), kafka: kafka.addresses() };
    let cluster = Cluster::usual(&ground, &[]).await;
    let load = Load::begin(&cluster).await;
    let outage = lasting(60);
    kafka.end(0);
    sleep(outage).await;
    // The log does not wait for the broker.
    load.moves().await;
    kafka.begin(0);
    load.moves().await;
    postgres.end();
    sleep(outage).await;
    postgres.begin();
    load.moves().await;
    load.ends_well(&cluster, outage * 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_brokers_of_which_one_is_lost() {
    let (Some(ground), Some(mut kafka)) = (Ground::shared().await, Kafka::start(3)) else { return };
    let ground = Ground { kafka: kafka.addresses(), ..ground };
    let cluster = Cluster::usual(&ground, &[("COLOPHON_KAFKA__REPLICATION", "3")]).await;
    let load = Load::begin(&cluster).await;
    load.moves().await;
    kafka.end(0);
    sleep(lasting(60)).await;
    load.moves().await;
    load.ends_well(&cluster, lasting(60) * 2).await;
}
