//! `colophon log` on a log of real commands: beside its server, without one, and where a server refuses it.

use crate::colophon::{Colophon, command, command_on_full_disk, isbn, run, said, signal};
use crate::shop::{Customer, line, open, pay, stocked, until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Output, Stdio};

/// A tool's answer on a data directory, which is none of an error.
pub fn tool(data: &Path, arguments: &[&str]) -> String {
    let output = on(data, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

pub fn on(data: &Path, arguments: &[&str]) -> Output {
    run(&[arguments, &["--data-dir", data.to_str().unwrap()]].concat())
}

/// Why a tool refused.
pub fn refusal(data: &Path, arguments: &[&str]) -> String {
    let output = on(data, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stderr).unwrap()
}

/// Lines of JSON.
pub fn json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Every file below a directory, with a digest of its bytes. What SQLite shares between processes is no data.
pub fn files(directory: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(directory) else { return files };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.is_file() && !path.to_str().unwrap().ends_with("-shm") {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &std::fs::read(&path).unwrap());
            files.insert(path.display().to_string(), format!("{digest:?}"));
        }
    }
    files
}

/// A shop in which a book was sold: its id, and that of the order.
async fn after_a_sale() -> (Colophon, String, String) {
    let colophon = open("900").await;
    let ann = Customer::new(&colophon, "ann");
    let book = stocked(&colophon, &isbn(1), 100, 10).await;
    let order = ann.held(&colophon, "k", &book, 2).await;
    assert_eq!(pay(&colophon, "p", &order, 200).await.status, 200);
    until(&colophon, &order, "paid").await;
    crate::shop::stock_is(&colophon, &book, 8, 0).await;
    let refused = ann.order(&colophon, "l", &line(&book, 1_000)).await;
    assert_eq!(refused.json()["status"], "rejected");
    (colophon, book, order)
}

/// The answers of all the tools that only read.
fn answers(data: &Path, book: &str, order: &str) -> Vec<String> {
    let (order, stock) = (format!("order-{order}"), format!("stock-main-{book}"));
    let calls: [&[&str]; 15] = [
        &["log", "tail"],
        &["log", "tail", "--json", "-n", "3"],
        &["log", "tail", "--json", "--since", "1"],
        &["log", "tail", "--json", "--since", "3", "--until", "5"],
        &["log", "tail", "--json", "--since", "2026-01-01T00:00:00Z", "--until", "2126-01-01T00:00:00+08:00"],
        &["log", "tail", "--json", "--since", "2126-01-01T00:00:00Z"],
        &["log", "tail", "--json", "-n", "100", "--stream", "order-", "--type", "OrderPaid", "--type", "OrderPlaced"],
        &["log", "tail", "--json", "-n", "100", "--stream", &stock],
        &["log", "stream", &order],
        &["log", "stream", &order, "--json", "--after", "1"],
        &["log", "stats"],
        &["log", "stats", "--json"],
        &["log", "state", &order],
        &["log", "state", &stock, "--json"],
        &["log", "export", "-"],
    ];
    calls.iter().map(|arguments| tool(data, arguments)).collect()
}

#[tokio::test]
async fn the_tools_say_the_same_beside_a_server_and_without_one() {
    let (colophon, book, order) = after_a_sale().await;
    let data = colophon.data();
    let beside = answers(&data, &book, &order);
    let verdict = json(&tool(&data, &["log", "verify", "--json"])).remove(0);
    let _directory = colophon.stop();
    let before = files(&data);
    assert_eq!(answers(&data, &book, &order), beside);
    let again = json(&tool(&data, &["log", "verify", "--json"])).remove(0);
    assert_eq!((&verdict["verdict"], &verdict["events"]), (&again["verdict"], &again["events"]));
    assert_eq!(files(&data), before, "they read and change nothing");

    let all = json(&beside[2]);
    let head = all.len() as u64;
    let positions: Vec<_> = all.iter().map(|event| event["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (1..=head).collect::<Vec<_>>());
    let position = |answer: usize| -> Vec<u64> {
        json(&beside[answer]).iter().map(|event| event["position"].as_u64().unwrap()).collect()
    };
    assert_eq!((position(1), position(3)), (vec![head - 2, head - 1, head], vec![3, 4, 5]));
    assert_eq!((position(4), position(5)), (positions, vec![]));
    let types = |answer: usize| -> Vec<String> {
        json(&beside[answer]).iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(types(6), ["OrderPlaced", "OrderPaid", "OrderPlaced"]);
    assert!(types(7).iter().all(|name| name.starts_with("Stock")) && types(7).len() == 3, "{:?}", types(7));
    let revisions: Vec<_> = json(&beside[9]).iter().map(|event| event["revision"].as_u64().unwrap()).collect();
    assert_eq!(revisions, (2..=revisions.len() as u64 + 1).collect::<Vec<_>>());
    assert_eq!(beside[8].lines().count(), revisions.len() + 1);
    let stats = json(&beside[11]).remove(0);
    let sum: u64 = stats["types"].as_array().unwrap().iter().map(|of| of["events"].as_u64().unwrap()).sum();
    assert_eq!((sum, &stats["events"], &stats["streams"]), (head, &verdict["events"], &verdict["streams"]));
    assert_eq!(verdict["verdict"], "sound");
    assert_eq!(json(&beside[14]), all, "an export is what the tools print as JSON");
}

#[tokio::test]
async fn a_state_is_what_it_was_then() {
    let (colophon, _, order) = after_a_sale().await;
    let body = until(&colophon, &order, "paid").await;
    let (data, stream) = (colophon.data(), format!("order-{order}"));
    let state = |more: &[&str]| json(&tool(&data, &[&["log", "state", &stream, "--json"], more].concat())).remove(0);
    let now = state(&[]);
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(now["state"][field], *value, "{field}");
    }
    assert_eq!((&now["stream"], &now["revision"]), (&Value::from(stream.clone()), &body["revision"]));
    let events = json(&tool(&data, &["log", "stream", &stream, "--json"]));
    let mut statuses = Vec::new();
    for event in &events {
        let then = state(&["--at", &event["position"].to_string()]);
        assert_eq!((&then["position"], &then["at"]), (&event["position"], &event["recorded_at"]));
        assert_eq!(then, state(&["--at", &(event["position"].as_u64().unwrap()).to_string()]));
        statuses.push(then["state"]["status"].as_str().unwrap().to_owned());
    }
    statuses.dedup();
    assert_eq!(statuses, ["pending", "awaiting_payment", "paid"]);
    let first = state(&["--at", events[0]["recorded_at"].as_str().unwrap()]);
    assert_eq!(first["state"]["status"], "pending");
    assert!(tool(&data, &["log", "state", &stream]).contains("\"status\": \"paid\""));
    assert!(refusal(&data, &["log", "state", &stream, "--at", "1"]).contains("none as of then"));
    assert!(refusal(&data, &["log", "state", "nonsense"]).contains("expected book-ID"));
    colophon.stop();
}

#[tokio::test]
async fn following_shows_what_comes_and_ends_well() {
    let colophon = Colophon::start().await;
    colophon.register(&isbn(1)).await;
    let arguments = ["log", "tail", "--follow", "--json", "--type", "BookRegistered", "--data-dir"];
    let mut following = command(&arguments).arg(colophon.data()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = || json(&lines.next().unwrap().unwrap()).remove(0)["position"].as_u64().unwrap();
    assert_eq!(next(), 1);
    let book = colophon.register(&isbn(2)).await;
    assert_eq!(next(), 2);
    colophon.adjust(&book, 1).await;
    colophon.register(&isbn(3)).await;
    assert_eq!(next(), 4);
    signal(&following, "-INT");
    assert_eq!(following.wait().unwrap().code(), Some(0));
    colophon.stop();
}

#[tokio::test]
async fn what_is_not_there_is_named_and_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    for arguments in
        [&["log", "tail"][..], &["log", "verify"], &["log", "stats"], &["log", "export", "x.ndjson"], &["backup", "b"]]
    {
        assert!(refusal(&data, arguments).contains("there is no event log at"), "{arguments:?}");
        assert!(!data.exists() && !Path::new("x.ndjson").exists() && !Path::new("b").exists());
    }
    let (colophon, ..) = after_a_sale().await;
    let missing = refusal(&colophon.data(), &["log", "stream", "order-3a86290a-a908-55b8-a3b5-000000000000"]);
    assert!(missing.contains("order-3a86290a-a908-55b8-a3b5-000000000000"), "{missing}");
    let wrong = on(&colophon.data(), &["log", "tail", "--since", "yesterday"]);
    assert!(said(&wrong).contains("expected a position such as 4711, or a time such as"), "{}", said(&wrong));
    colophon.stop();
}

#[tokio::test]
async fn a_log_that_a_server_refuses_is_looked_into_all_the_same() {
    let (colophon, ..) = after_a_sale().await;
    let data = colophon.data();
    let directory = colophon.stop();
    std::fs::write(data.join("format"), "7\n").unwrap();
    assert!(!on(&data, &["serve", "--listen", "127.0.0.1:0"]).status.success());
    assert!(tool(&data, &["log", "verify"]).contains("the log is as it was written"));

    // One letter of the order's event, wherever it lies: SQLite's own checksums guard the write-ahead log, so the copy
    // that a backup makes is what is altered.
    let backup = directory.path().join("backup");
    tool(&data, &["backup", backup.to_str().unwrap()]);
    let mut file = std::fs::read(backup.join("log.sqlite")).unwrap();
    let place = file.windows(12).position(|bytes| bytes == b"\"unit_price\"").unwrap();
    file[place + 1] = b'U';
    let damaged = directory.path().join("damaged");
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(damaged.join("log.sqlite"), file).unwrap();
    let error = refusal(&damaged, &["log", "verify"]);
    assert!(
        error.contains("damaged at position") && error.contains("stream order-") && error.contains("expected checksum"),
        "{error}"
    );
    let output = on(&damaged, &["log", "verify", "--json"]);
    let verdict = json(std::str::from_utf8(&output.stdout).unwrap()).remove(0);
    assert_eq!((output.status.code(), &verdict["verdict"]), (Some(1), &Value::from("damaged")));
    let file = directory.path().join("export.ndjson");
    let error = refusal(&damaged, &["log", "export", file.to_str().unwrap()]);
    assert!(error.contains("damaged at position") && !file.exists(), "{error}");
    assert!(tool(&damaged, &["log", "stats"]).contains("OrderPlaced"), "counting goes on");

    // All that is sound comes before the error, and no import takes it for the whole.
    let sound = verdict["position"].as_u64().unwrap() - 1;
    let tail = on(&damaged, &["log", "tail", "--json", "--since", "1"]);
    let lines = json(std::str::from_utf8(&tail.stdout).unwrap());
    assert_eq!((tail.status.code(), lines.len() as u64), (Some(1), sound), "{}", said(&tail));
    let export = on(&damaged, &["log", "export", "-"]);
    let text = String::from_utf8(export.stdout).unwrap();
    let (whole, cut) = text.rsplit_once('\n').unwrap();
    assert_eq!((export.status.code(), json(whole)), (Some(1), lines));
    assert!(!cut.is_empty(), "it ends within a line");
    std::fs::write(&file, &text).unwrap();
    let error = refusal(&directory.path().join("new"), &["log", "import", file.to_str().unwrap()]);
    assert!(error.contains(&format!("line {}: expected an event", sound + 1)), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_named_once() {
    let colophon = Colophon::start().await;
    colophon.register(&isbn(1)).await;
    let (data, directory) = (colophon.data(), colophon.kill());
    // What processes share to read a log that was cut off; it has to be made anew.
    std::fs::remove_file(data.join("log.sqlite-shm")).unwrap();
    for arguments in [["log", "stats"], ["log", "verify"], ["log", "tail"], ["backup", "b"]] {
        let mut command = command_on_full_disk(0, &arguments);
        let output = command.current_dir(directory.path()).arg("--data-dir").arg(&data).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert_eq!(error.matches("full or read-only").count(), 1, "{arguments:?}: {error}");
        assert_eq!(error.matches("disk I/O error").count(), 1, "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn what_cannot_be_printed_is_an_error_unless_nobody_reads() {
    let directory = Colophon::start().await.stop();
    let data = directory.path().join("data");
    let printing: [&[&str]; 3] =
        [&["config", "example"], &["token", "--subject", "me", "--role", "user"], &["log", "stats"]];
    for arguments in printing {
        let out = std::fs::File::create(directory.path().join("out")).unwrap();
        let mut command = command_on_full_disk(0, arguments);
        // A key of its own place, so that the directory need not be taken, which writes there.
        let command = command.env("COLOPHON_AUTH__SIGNING_KEY_FILE", data.join("keys/signing.pem"));
        let output = command.arg("--data-dir").arg(&data).stdout(out).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(error.contains("standard output cannot be written"), "{arguments:?}: {error}");
    }
    for arguments in printing.into_iter().chain([&["dead-letters", "list"][..], &["replay", "list"]]) {
        let mut unread = command(arguments);
        let mut unread = unread.arg("--data-dir").arg(&data).stdout(Stdio::piped()).spawn().unwrap();
        drop(unread.stdout.take());
        assert!(unread.wait().unwrap().success(), "{arguments:?}");
    }
}
