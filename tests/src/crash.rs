//! Kills under load: what was acknowledged is there, and a repeated key has one effect.

use crate::colophon::{Colophon, answer, book, isbn};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Duration;

const WRITERS: u32 = 32;
const KILLS: u32 = 10;

/// A write, and what was answered, if anything was.
struct Sent {
    path: String,
    key: String,
    body: Value,
    acknowledged: Option<(u16, String)>,
}

/// Writes until the connection breaks: every other time a book, and copies of the one common book.
async fn write(colophon: &Colophon, common: &str, round: u32, writer: u32, sent: &Mutex<Vec<Sent>>) {
    for n in 0_u32.. {
        let key = format!("{round}-{writer}-{n}");
        let (path, body) = match n % 2 {
            0 => ("/v1/books".to_owned(), book(&isbn(1_000_000 + round * 1_000_000 + writer * 10_000 + n))),
            _ => (format!("/v1/stock/{common}/adjustments"), json!({"delta": 1, "reason": key})),
        };
        let request = colophon.manager(Method::POST, &path).header("Idempotency-Key", &key).json(&body);
        let acknowledged = match request.send().await {
            Ok(response) if response.status().is_success() => {
                let status = response.status().as_u16();
                response.text().await.ok().map(|body| (status, body))
            }
            // The connection broke, or the server says that it cannot tell.
            _ => None,
        };
        let ended = acknowledged.is_none();
        sent.lock().unwrap().push(Sent { path, key, body, acknowledged });
        if ended {
            return;
        }
    }
}

/// Every write again, with its key: the acknowledged ones get the same bytes, the others their one effect.
async fn all_have_one_effect(colophon: &Colophon, sent: &[Sent]) {
    assert!(sent.iter().any(|sent| sent.acknowledged.is_some()), "nothing was written before the end");
    let again = stream::iter(sent).for_each_concurrent(WRITERS as usize, async |sent| {
        let request = colophon.manager(Method::POST, &sent.path).header("Idempotency-Key", &sent.key).json(&sent.body);
        let again = answer(request).await;
        assert!(matches!(again.status, 200 | 201), "{again:?}");
        if let Some((status, body)) = &sent.acknowledged {
            assert_eq!((again.status, &again.body), (*status, body), "{}", sent.key);
        }
    });
    again.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kills_lose_nothing_that_was_acknowledged() {
    let mut colophon = Colophon::start().await;
    let common = colophon.register("9780306406157").await;
    let mut adjustments = 0;
    for round in 0..KILLS {
        let sent = Mutex::new(Vec::new());
        let writing = join_all((0..WRITERS).map(|writer| write(&colophon, &common, round, writer, &sent)));
        let killed = async {
            while sent.lock().unwrap().len() < WRITERS as usize {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // Not at the same point of the load each time.
            tokio::time::sleep(Duration::from_millis(u64::from(round) * 23)).await;
            colophon.signal("-KILL");
        };
        tokio::join!(writing, killed);
        let directory = colophon.kill();
        colophon = Colophon::start_with(directory, &[], &[]).await;

        let sent = sent.into_inner().unwrap();
        all_have_one_effect(&colophon, &sent).await;
        adjustments += sent.iter().filter(|sent| sent.path.ends_with("adjustments")).count() as u64;
        let position = colophon.adjust(&common, 1).await.position();
        adjustments += 1;
        let stock = colophon.get_at(&format!("/v1/stock/{common}"), position).await.json();
        assert_eq!(stock["on_hand"], adjustments, "one effect per key");
        assert_eq!(stock["revision"], adjustments);
    }
    colophon.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_the_server_with_the_reason_and_loses_nothing() {
    let colophon = Colophon::start().await;
    let common = colophon.register("9780306406157").await;
    let colophon = Colophon::start_on_full_disk(colophon.stop(), 2_000).await;
    let sent = Mutex::new(Vec::new());
    join_all((0..WRITERS).map(|writer| write(&colophon, &common, 0, writer, &sent))).await;
    let directory = colophon.fail();
    let colophon = Colophon::start_with(directory, &[], &[]).await;
    assert!(colophon.log().contains("the event log failed"), "{}", colophon.log());
    all_have_one_effect(&colophon, &sent.into_inner().unwrap()).await;
}
