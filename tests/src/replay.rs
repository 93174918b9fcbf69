//! `colophon replay`: views are built anew beside the live ones, compared, switched and rolled back, and nobody notices.

use crate::colophon::{Colophon, answer, command, isbn, said};
use crate::log_tools::{json, refusal, tool};
use crate::shop::{self, Customer, line, stocked};
use platform::data_directory::DataDirectory;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const VIEWS: [&str; 8] =
    ["books", "stock", "stock_ledger", "orders", "order_history", "bestsellers", "purchases", "search"];

/// Changes the views of a directory behind the server's back.
async fn tamper(data: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(data.join("views.sqlite"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{sql}");
    connection.close().await.unwrap();
}

/// Reads a path again and again: it is always answered, and never from an earlier moment than before.
async fn keep_reading(request: reqwest::RequestBuilder, stop: Arc<AtomicBool>) -> u64 {
    let (mut reads, mut last) = (0, 0);
    while !stop.load(Ordering::SeqCst) {
        let read = answer(request.try_clone().unwrap()).await;
        assert_eq!(read.status, 200, "{read:?}");
        assert!(read.position() >= last, "from {last} back to {}: {read:?}", read.position());
        (last, reads) = (read.position(), reads + 1);
    }
    reads
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilds_under_load_disturb_nobody_and_come_to_what_the_log_says() {
    let colophon = shop::open("900").await;
    let ann = Customer::new(&colophon, "ann");
    let book = stocked(&colophon, &isbn(0), 100, 100_000).await;
    let paid = ann.held(&colophon, "paid", &book, 2).await;
    shop::pay(&colophon, "paid", &paid, 200).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for path in [format!("/v1/books/{book}"), "/v1/books".to_owned(), "/v1/search?q=title".to_owned()] {
        readers.spawn(keep_reading(colophon.anonymous(Method::GET, &path), Arc::clone(&stop)));
    }
    for path in [format!("/v1/stock/{book}"), format!("/v1/stock/{book}/ledger"), "/v1/bestsellers".to_owned()] {
        readers.spawn(keep_reading(colophon.anonymous(Method::GET, &path), Arc::clone(&stop)));
    }
    readers.spawn(keep_reading(ann.request(&colophon, Method::GET, "/v1/orders"), Arc::clone(&stop)));
    let writing = async {
        let mut n = 1;
        while !stop.load(Ordering::SeqCst) {
            let (isbn, key, lines) = (isbn(n), format!("order-{n}"), line(&book, 1));
            let order = ann.order(&colophon, &key, &lines);
            let (_, adjusted, ordered) = tokio::join!(colophon.register(&isbn), colophon.adjust(&book, 1), order);
            assert_eq!((adjusted.status, ordered.status), (200, 201), "{ordered:?}");
            n += 1;
        }
        n
    };
    let rebuilding = async {
        for arguments in
            [["replay", "rebuild", "--all"], ["replay", "rebuild", "--all"], ["replay", "rollback", "orders"]]
        {
            let data = colophon.data();
            let rebuilt =
                tokio::task::spawn_blocking(move || command(&arguments).arg("--data-dir").arg(data).output().unwrap());
            let rebuilt = rebuilt.await.unwrap();
            assert!(rebuilt.status.success(), "{}", said(&rebuilt));
        }
        stop.store(true, Ordering::SeqCst);
    };
    let (written, ()) = tokio::join!(writing, rebuilding);
    let reads: u64 = readers.join_all().await.iter().sum();
    assert!(written > 3 && reads > 50, "{written} rounds of writes, {reads} reads");

    // What readers see is what a fold of the whole log comes to, row by row.
    let data = colophon.data();
    let verified = json(&tool(&data, &["replay", "verify", "--json"]));
    assert!(verified.iter().all(|view| view["finding"]["consistent"] == true), "{verified:?}");
    let told = json(&tool(&data, &["replay", "rebuild", "--all", "--no-switch", "--json"]));
    let rebuilt: Vec<_> = told.iter().filter(|told| told["told"] == "rebuilt").collect();
    assert_eq!(rebuilt.iter().map(|told| told["view"].as_str().unwrap()).collect::<Vec<_>>(), VIEWS);
    for told in rebuilt {
        let comparison = &told["rebuilt"]["comparison"];
        assert_eq!(
            (&comparison["differing"], told["rebuilt"]["switched"].as_bool()),
            (&json!(0), Some(false)),
            "{told}"
        );
        assert_eq!(comparison["live_events"], comparison["rebuilt_events"], "{told}");
    }
    assert!(told.iter().filter(|told| told["progress"]["step"] == "filled").count() >= 8, "it says how far it is");
}

/// The state of each generation of a view.
fn stages(data: &Path, view: &str) -> Vec<(u64, String)> {
    let listed = json(&tool(data, &["replay", "list", "--json"]));
    let of_view = listed.iter().filter(|generation| generation["view"] == view);
    of_view.map(|it| (it["generation"].as_u64().unwrap(), it["stage"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn a_wrong_row_is_named_and_only_replaced_when_that_is_accepted() {
    let mut colophon = Colophon::start().await;
    let ids = [colophon.register(&isbn(1)).await, colophon.register(&isbn(2)).await, colophon.register(&isbn(3)).await];
    let path = |n: usize| format!("/v1/books/{}", ids[n]);
    let right = [colophon.get_at(&path(0), 3).await.body, colophon.get(&path(1)).await.body];
    // A server that runs, and none: the same.
    for serving in [true, false] {
        let directory = colophon.stop();
        let data = directory.path().join("data");
        let live = stages(&data, "books").iter().find(|(_, stage)| stage == "live").unwrap().0;
        tamper(&data, &format!("UPDATE books_{live} SET title = 'planted' WHERE id = '{}'", ids[0])).await;
        tamper(&data, &format!("DELETE FROM books_{live} WHERE id = '{}'", ids[1])).await;
        let server = Colophon::start_with(Arc::clone(&directory), &[], &[]).await;
        assert_eq!(server.get(&path(0)).await.json()["title"], "planted");
        assert_eq!(server.get(&path(1)).await.status, 404);
        let server = if serving {
            Some(server)
        } else {
            drop(server.stop());
            None
        };

        let refused = command(&["replay", "rebuild", "books"]).arg("--data-dir").arg(&data).output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        let report = said(&refused);
        let named = format!(r#"books ["{}"]: title is "planted", and "A title" in the log"#, ids[0]);
        assert!(report.contains(&named), "{report}");
        assert!(report.contains(&format!(r#"books ["{}"]: is missing in the live generation"#, ids[1])), "{report}");
        assert!(!report.contains(&ids[2]) && report.contains("--accept-differences"), "{report}");
        let rebuilt = stages(&data, "books").into_iter().find(|(_, stage)| stage == "built").unwrap().0.to_string();
        if let Some(server) = &server {
            assert_eq!(server.get(&path(0)).await.json()["title"], "planted", "readers see what they saw");
        }
        let refused = refusal(&data, &["replay", "switch", "books", &rebuilt]);
        assert!(refused.contains("not what the log says"), "{refused}");
        tool(&data, &["replay", "switch", "books", &rebuilt, "--accept-differences"]);
        colophon = match server {
            Some(server) => server,
            None => Colophon::start_with(directory, &[], &[]).await,
        };
        assert_eq!([colophon.get(&path(0)).await.body, colophon.get(&path(1)).await.body], right, "{serving}");
        tool(&data, &["replay", "rebuild", "books"]);
    }
    // The search index as well; and what was accepted can be taken back.
    let data = colophon.data();
    tool(&data, &["replay", "rebuild", "search", "books"]);
    tool(&data, &["replay", "rollback", "search"]);
    assert_eq!(colophon.get("/v1/search?q=title").await.json()["total"], 3);
    assert!(refusal(&data, &["replay", "drop", "search", "1"]).contains("is the live one"));
    tool(&data, &["replay", "drop", "search", "2"]);
    assert!(refusal(&data, &["replay", "rollback", "search"]).contains("no generation that was live before"));
    assert!(refusal(&data, &["replay", "rebuild", "nothing"]).contains("there are books, stock"));
}

#[tokio::test]
async fn a_rebuild_that_is_killed_leaves_nothing_behind() {
    let mut colophon = Colophon::start().await;
    let mut book = String::new();
    for n in 0..100 {
        book = colophon.register(&isbn(n)).await;
    }
    let body = colophon.get_at(&format!("/v1/books/{book}"), 100).await.body;
    let (mut cut_off, begun) = (0, Instant::now());
    for round in 0..12 {
        let (data, kept) = (colophon.data(), Arc::clone(&colophon.directory));
        let server = if round % 3 != 0 {
            Some(colophon)
        } else {
            drop(colophon.stop());
            None
        };
        let mut rebuild = command(&["replay", "rebuild", "--all"]);
        let mut rebuild =
            rebuild.arg("--data-dir").arg(&data).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(15 * round)).await;
        let ended = rebuild.try_wait().unwrap().is_some();
        cut_off += u32::from(!ended);
        let directory = match server {
            // Either end of the socket is killed.
            Some(server) if round % 2 == 0 => server.kill(),
            other => {
                rebuild.kill().unwrap();
                other.map_or(kept, Colophon::kill)
            }
        };
        rebuild.wait().unwrap();
        colophon = Colophon::start_with(directory, &[], &[]).await;
        for view in ["books", "search"] {
            let stages = stages(&data, view);
            assert_eq!(stages.iter().filter(|(_, stage)| stage == "live").count(), 1, "{stages:?}");
            assert!(stages.iter().all(|(_, stage)| stage == "live" || stage == "kept"), "{stages:?}");
        }
        assert_eq!(colophon.get_at(&format!("/v1/books/{book}"), 100).await.body, body);
        assert_eq!(colophon.get_at("/v1/search?q=title", 100).await.json()["total"], 100);
    }
    assert!(cut_off > 2, "{cut_off} of 12 were cut off, in {:?}", begun.elapsed());
    tool(&colophon.data(), &["replay", "rebuild", "--all"]);
}

#[tokio::test]
async fn rows_and_aggregates_are_shown_as_they_were() {
    let colophon = shop::open("900").await;
    let ann = Customer::new(&colophon, "ann");
    let book = stocked(&colophon, &isbn(1), 100, 10).await;
    let order = ann.held(&colophon, "a", &book, 2).await;
    let history = async |what: &dyn Fn(&Value) -> bool| {
        shop::eventually(&colophon, &format!("/v1/orders/{order}/history"), what).await["items"].clone()
    };
    let placed_at = history(&|history| history["items"][0]["position"].is_u64()).await;
    shop::pay(&colophon, "p", &order, 200).await;
    let now = shop::until(&colophon, &order, "paid").await;
    let data = colophon.data();
    let at = |position: &Value, view: &str, id: &str| -> Vec<Value> {
        let told = tool(&data, &["replay", "at", &position.to_string(), "--view", view, "--id", id, "--json"]);
        json(&told).into_iter().map(|found| found["row"].clone()).collect()
    };
    let first = &placed_at[0]["position"];
    assert_eq!(at(first, "orders", &order)[0]["status"], "pending");
    // The saga's last step: nothing comes after it.
    let committed = |history: &Value| {
        history["items"].as_array().is_some_and(|items| items.iter().any(|item| item["type"] == "OrderStockCommitted"))
    };
    let all = history(&committed).await;
    let end = colophon.ready().await["position"].clone();
    assert_eq!(at(&end, "orders", &order)[0]["status"], now["status"]);
    assert_eq!(at(&end, "order_history", &order).len(), all.as_array().unwrap().len());
    assert_eq!(at(&end, "search", &book)[0]["sold"], 2);
    assert_eq!(at(first, "search", &book)[0]["sold"], 0);
    assert_eq!(at(first, "stock", &book)[0]["reserved"], 0);
    let time = placed_at[0]["at"].as_str().unwrap();
    let told = tool(&data, &["replay", "at", time, "--view", "orders", "--id", &order]);
    assert!(told.contains(r#""status": "pending""#), "{told}");
    let early = refusal(&data, &["replay", "at", "0", "--view", "orders", "--id", &order]);
    assert!(early.contains("has nothing about"), "{early}");
    let late = refusal(&data, &["replay", "at", "999999", "--view", "orders", "--id", &order]);
    assert!(late.contains("the log ends at position"), "{late}");
    let directory = colophon.stop();
    let told = tool(&directory.path().join("data"), &["replay", "at", time, "--view", "orders", "--id", &order]);
    assert!(told.contains(r#""status": "pending""#), "without a server: {told}");
}

#[tokio::test]
async fn an_event_that_a_view_has_missed_is_found_by_the_tool_and_by_the_server() {
    let colophon = Colophon::start().await;
    for n in 0..5 {
        colophon.register(&isbn(n)).await;
    }
    colophon.get_at("/v1/books", 5).await;
    let data = colophon.data();
    let verified = json(&tool(&data, &["replay", "verify", "--json"]));
    let of = |view: &str| verified.iter().find(|report| report["view"] == view).unwrap().clone();
    assert_eq!(
        of("books")["finding"],
        json!({
            "position": 5, "taken_events": 5, "expected_events": 5, "consistent": true,
        })
    );
    assert_eq!(of("orders")["finding"]["expected_events"], 0);
    assert_eq!(of("books")["lag"], json!({"events": 0, "seconds": 0.0, "oldest_seconds": 0.0}));

    // As if the worker had passed by one event: the row is as it was, and it is not counted.
    let directory = colophon.stop();
    tamper(&data, "UPDATE checkpoints SET events = events - 1, digest = digest - 17 WHERE table_name = 'books_1'")
        .await;
    let refused = refusal(&data, &["replay", "verify"]);
    assert!(refused.contains("books did not take what the log has: `colophon replay rebuild books`"), "{refused}");
    let colophon = Colophon::start_with(directory, &[], &[]).await;
    let ready =
        colophon.eventually("/readyz", |ready| ready.status == 200 && ready.json()["alarms"] != json!([])).await.json();
    let alarm = ready["alarms"][0].as_str().unwrap();
    assert!(alarm.starts_with("view `books`: up to position 5 it has taken 4 events"), "{alarm}");
    let metrics = colophon.metrics().await;
    for (name, value) in [("books", 1.0), ("stock", 0.0)] {
        assert_eq!(metrics.get(&format!("projection_inconsistent{{view=\"{name}\"}}")), Some(&value));
    }
    assert!(refusal(&data, &["replay", "verify"]).contains("books did not take"));
    assert!(refusal(&data, &["replay", "rebuild", "books"]).contains("not what the log says"));
    tool(&data, &["replay", "rebuild", "books", "--accept-differences"]);
    colophon.eventually("/readyz", |ready| ready.json()["alarms"] == json!([])).await;
    tool(&data, &["replay", "verify"]);
}

#[tokio::test]
async fn a_rebuild_goes_on_when_nobody_reads_any_more() {
    let colophon = Colophon::start().await;
    for n in 0..20 {
        colophon.register(&isbn(n)).await;
    }
    let data = colophon.data();
    let live = |view: &str| stages(&data, view).into_iter().find(|(_, stage)| stage == "live").unwrap().0;
    let rebuild = || {
        let arguments = ["replay", "rebuild", "--all", "--json", "--data-dir", data.to_str().unwrap()];
        let mut rebuilding = command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(rebuilding.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(rebuilding.wait().unwrap().success());
    };
    rebuild();
    assert!(VIEWS.iter().all(|view| live(view) == 2));
    let _directory = colophon.stop();
    rebuild();
    assert!(VIEWS.iter().all(|view| live(view) == 3));
}

#[tokio::test]
async fn a_second_tool_is_told_who_has_the_directory() {
    let directory = Colophon::start().await.stop();
    let data = directory.path().join("data");
    let _held = DataDirectory::open(&data).unwrap();
    let holder = format!("another tool (process {}) has the data directory", std::process::id());
    for arguments in [&["replay", "list"][..], &["dead-letters", "list"], &["import", "stock", "Cargo.toml"]] {
        let error = refusal(&data, arguments);
        assert!(error.contains(&holder) && error.contains("try again when it is done"), "{arguments:?}: {error}");
    }
}
