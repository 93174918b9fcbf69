//! `colophon dead-letters`: a stream that a view cannot take waits in that view only, until it is taken up again.

use crate::colophon::{Colophon, answer, isbn};
use crate::evolution::append_unknown;
use crate::log_tools::{json, refusal, tool};
use platform::event_log::StreamId;
use platform::event_log::sqlite::SqliteLog;
use platform::seam::Seam;
use reqwest::Method;
use serde_json::json;
use std::path::Path;

/// Appends what a later version of the program might write: an event of a version that this one does not know.
async fn append_from_the_future(data: &Path, stream: &str, revision: u64) {
    let seam = Seam::system();
    let log = SqliteLog::open(&data.join("log.sqlite"), &seam).await.unwrap();
    append_unknown(&log, &seam, &StreamId::new(stream), revision, ("BookRevised", 99)).await;
}

/// Waits for the metric: it is looked after once a second.
async fn parked_streams(colophon: &Colophon, view: &str, streams: u32) {
    let line = format!("projection_parked_streams{{view=\"{view}\"}} {streams}\n");
    colophon.eventually("/metrics", |metrics| metrics.body.contains(&line)).await;
}

#[tokio::test]
async fn an_event_that_nobody_can_read_stops_its_own_book_only_and_reads_say_so() {
    let colophon = Colophon::start().await;
    let (poisoned, other) = (colophon.register(&isbn(1)).await, colophon.register(&isbn(2)).await);
    let data = colophon.data();
    let directory = colophon.stop();
    append_from_the_future(&data, &format!("book-{poisoned}"), 1).await;
    let colophon = Colophon::start_with(directory, &[], &[]).await;

    let parked = colophon.get_at(&format!("/v1/books/{poisoned}"), 3).await;
    assert_eq!((parked.status, parked.header("colophon-parked")), (200, "3"), "{parked:?}");
    assert_eq!(parked.json()["revision"], 1, "as it was before");
    let healthy = colophon.get_at(&format!("/v1/books/{other}"), 3).await;
    assert_eq!((healthy.status, healthy.header("colophon-parked")), (200, ""));
    let stock = colophon.adjust(&other, 1).await;
    assert_eq!(stock.status, 200);
    assert_eq!(colophon.get_at(&format!("/v1/stock/{other}"), stock.position()).await.json()["on_hand"], 1);
    parked_streams(&colophon, "books", 1).await;
    parked_streams(&colophon, "stock", 0).await;

    // Nothing is decided on a book whose history cannot be read whole.
    let change = colophon.manager(Method::PATCH, &format!("/v1/books/{poisoned}")).header("If-Match", "\"1\"");
    let refused = answer(change.json(&json!({"title": "New"}))).await;
    assert_eq!(refused.problem(), (503, "unavailable".to_owned()));
    assert!(colophon.log().contains("BookRevised version 99 is not known"), "{}", colophon.log());
}

#[tokio::test]
async fn a_parked_stream_is_listed_shown_retried_and_skipped() {
    let colophon = Colophon::start().await;
    let (book, other) = (colophon.register(&isbn(1)).await, colophon.register(&isbn(2)).await);
    let mut directory = colophon.stop();
    let data = directory.path().join("data");
    let stream = format!("book-{book}");
    append_from_the_future(&data, &stream, 1).await;
    let path = format!("/v1/books/{book}");

    let colophon = Colophon::start_with(directory, &[], &[]).await;
    let read = colophon.get_at(&path, 3).await;
    assert_eq!((read.status, read.header("colophon-parked")), (200, "3"), "{read:?}");
    assert_eq!(colophon.get(&format!("/v1/books/{other}")).await.header("colophon-parked"), "");
    assert_eq!(colophon.ready().await["parked"], json!({"books": 1, "search": 1}));
    parked_streams(&colophon, "books", 1).await;
    assert_eq!(colophon.adjust(&book, 3).await.status, 503, "the command side cannot read the book either");
    assert_eq!(colophon.adjust(&other, 3).await.status, 200);

    let listed = json(&tool(&data, &["dead-letters", "list", "--json"]));
    assert_eq!(listed.len(), 2);
    assert_eq!((&listed[0]["view"], &listed[0]["parked"]["stream"]), (&json!("books"), &json!(stream)));
    let table = tool(&data, &["dead-letters", "list", "--view", "books"]);
    assert!(table.contains("BookRevised version 99 is not known") && !table.contains("search"), "{table}");
    assert!(tool(&data, &["dead-letters", "list", "--view", "stock"]).contains("no stream is set aside"));
    let shown = tool(&data, &["dead-letters", "show", "books", &stream]);
    assert!(shown.contains("BookRevised version 99") && shown.contains("events behind it:  0"), "{shown}");
    assert!(refusal(&data, &["dead-letters", "show", "stock", &stream]).contains("has not set"));
    assert!(refusal(&data, &["dead-letters", "retry", "books", &stream]).contains("a stream cannot go on"));
    let at = tool(&data, &["replay", "at", "3", "--view", "books", "--id", &book]);
    assert!(at.contains("is set aside from position 3 on") && at.contains(r#""revision": 1"#), "{at}");
    // A rebuild parks it too: nothing differs.
    tool(&data, &["replay", "rebuild", "books", "search"]);
    assert_eq!(colophon.get_at(&path, 4).await.header("colophon-parked"), "3");

    let told = tool(&data, &["dead-letters", "skip", "books", &stream]);
    assert!(told.contains("goes on"), "{told}");
    assert_eq!(colophon.get(&path).await.header("colophon-parked"), "");
    parked_streams(&colophon, "books", 0).await;
    for remedy in ["skip", "retry"] {
        assert!(refusal(&data, &["dead-letters", remedy, "books", &stream]).contains("has not set"), "not once more");
    }
    assert!(tool(&data, &["dead-letters", "retry", "stock"]).contains("no stream is set aside"));
    assert_eq!(colophon.ready().await["parked"], json!({"search": 1}));

    // Without a server, and in another view; what is left out stays so in the next generation.
    directory = colophon.stop();
    assert_eq!(json(&tool(&data, &["dead-letters", "list", "--json"])).len(), 1);
    tool(&data, &["dead-letters", "skip", "search", &stream]);
    assert_eq!(tool(&data, &["dead-letters", "list", "--json"]), "");
    let told = tool(&data, &["replay", "rebuild", "books", "search"]);
    let listed = tool(&data, &["replay", "list"]);
    assert!(
        listed.lines().any(|line| line.starts_with("books") && line.contains("live") && line.ends_with('1')),
        "{listed}\n{told}"
    );
    let colophon = Colophon::start_with(directory, &[], &[]).await;
    assert_eq!(colophon.get_at(&path, 4).await.header("colophon-parked"), "");
    assert_eq!(colophon.ready().await["parked"], json!({}));
}

#[tokio::test]
async fn a_book_that_was_read_is_read_anew_once_its_stream_is_taken_up() {
    let colophon = Colophon::start().await;
    let book = colophon.register(&isbn(1)).await;
    let data = colophon.data();
    let directory = colophon.stop();
    let stream = format!("book-{book}");
    append_from_the_future(&data, &stream, 1).await;
    {
        let seam = Seam::system();
        let log = SqliteLog::open(&data.join("log.sqlite"), &seam).await.unwrap();
        append_unknown(&log, &seam, &StreamId::new(&stream), 2, ("BookRetired", 1)).await;
    }
    let colophon = Colophon::start_with(directory, &[], &[]).await;
    let path = format!("/v1/books/{book}");
    for _ in 0..2 {
        let read = colophon.get_at(&path, 3).await;
        assert_eq!((read.header("colophon-parked"), read.json()["revision"].as_u64()), ("2", Some(1)), "{read:?}");
    }
    assert!(tool(&data, &["dead-letters", "skip", "books", &stream]).contains("goes on, 1 events taken"));
    let read = colophon.get_at(&path, 3).await;
    assert_eq!((read.header("colophon-parked"), read.json()["revision"].as_u64()), ("", Some(3)), "{read:?}");
    assert_eq!(read.header("etag"), "\"3\"");
}
