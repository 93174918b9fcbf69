//! `colophon import` on real and on broken files, with and without a server, killed and completed.

use crate::colophon::{Colophon, command, isbn, run, said, write};
use crate::shared;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

const GOODBOOKS: &str = "catalogue/goodbooks10k_books.csv.gz";
const HEADER: &str = "isbn,authors,original_publication_year,title,language_code\n";

/// Accepted, there already, refused, as the report says.
fn report(output: &Output) -> (u64, u64, u64) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let count = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name:?}: {}", said(output))).parse().unwrap()
    };
    (count("accepted: "), count("there already: "), count("refused: "))
}

fn import(data: &Path, content: &str, file: &str) -> Output {
    run(&["import", content, file, "--data-dir", data.to_str().unwrap()])
}

fn reasons(output: &Output) -> usize {
    String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.starts_with("line ")).count()
}

#[test]
fn a_real_catalogue_goes_in_once() {
    let Some(file) = shared::file(GOODBOOKS) else { return };
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let first = import(&data, "books", file.to_str().unwrap());
    assert!(first.status.success(), "{}", said(&first));
    assert_eq!((report(&first), reasons(&first)), ((9_277, 0, 723), 723));
    let again = import(&data, "books", file.to_str().unwrap());
    assert!(again.status.success());
    assert_eq!(report(&again), (0, 9_277, 723));
}

#[test]
fn an_import_that_is_killed_is_completed_by_the_next() {
    let Some(file) = shared::file(GOODBOOKS) else { return };
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut killed = 0;
    for delay_ms in [80, 160, 240] {
        let mut importing = command(&["import", "books", file.to_str().unwrap(), "--data-dir", data.to_str().unwrap()]);
        let mut importing = importing.stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay_ms));
        killed += u32::from(importing.try_wait().unwrap().is_none());
        importing.kill().unwrap();
        importing.wait().unwrap();
    }
    assert!(killed > 0, "each was over before it could be killed");
    let completed = import(&data, "books", file.to_str().unwrap());
    let (accepted, there_already, refused) = report(&completed);
    assert_eq!((accepted + there_already, refused), (9_277, 723));
    assert_eq!(report(&import(&data, "books", file.to_str().unwrap())), (0, 9_277, 723));
}

#[tokio::test]
async fn an_import_works_beside_a_server() {
    let colophon = Colophon::start().await;
    let rows: String = (0..500).map(|n| format!("{},Ann,2001.0,Title {n},eng\n", isbn(n))).collect();
    let books = write(colophon.directory.path(), "books.csv", format!("{HEADER}{rows}bad,Ann,,T,\n"));
    let imported = colophon.tool(&["import", "books", &books, "--format", "goodbooks"]);
    assert!(imported.status.success(), "{}", said(&imported));
    assert_eq!(report(&imported), (500, 0, 1));
    assert!(String::from_utf8_lossy(&imported.stdout).contains("line 502: "), "{}", said(&imported));
    let stock = format!("isbn,on_hand,price\n{},7,42.00\n{},,\n", isbn(3), isbn(4));
    let stock = write(colophon.directory.path(), "stock.csv", stock);
    let imported = colophon.tool(&["import", "stock", &stock]);
    assert_eq!(report(&imported), (1, 1, 0), "{}", said(&imported));
    let book = colophon.get_at(&format!("/v1/books/isbn/{}", isbn(3)), 502).await.json();
    assert_eq!(book["price"], serde_json::json!({"amount": 4200, "currency": "CNY"}));
    let id = book["id"].as_str().unwrap();
    assert_eq!(colophon.get_at(&format!("/v1/stock/{id}"), 502).await.json()["on_hand"], 7);
}

#[tokio::test]
async fn an_import_whose_server_goes_away_says_so() {
    let Some(file) = shared::file(GOODBOOKS) else { return };
    let colophon = Colophon::start().await;
    let data = colophon.data();
    let mut importing = command(&["import", "books", file.to_str().unwrap(), "--data-dir", data.to_str().unwrap()]);
    let importing =
        importing.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while colophon.get("/readyz").await.json()["position"].as_u64() < Some(100) {}
    let _directory = colophon.stop();
    let ended = importing.wait_with_output().unwrap();
    assert!(!ended.status.success(), "{}", said(&ended));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("run the import again"), "{}", said(&ended));
    let completed = import(&data, "books", file.to_str().unwrap());
    let (accepted, there_already, refused) = report(&completed);
    assert_eq!((accepted + there_already, refused), (9_277, 723));
}

#[test]
fn a_file_that_is_none_is_an_error_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(format!("{HEADER}{}", "0306406152,Ann,,T,\n".repeat(1_000)).as_bytes()).unwrap();
    let mut truncated = gzip.finish().unwrap();
    truncated.truncate(30);
    let binary: Vec<u8> = (0..=255).rev().cycle().take(50_000).collect();
    for (content, name, bytes, part) in [
        ("books", "empty.csv", Vec::new(), "the file is empty"),
        ("books", "binary.csv", binary.clone(), "no column `isbn`"),
        ("books", "wrong.csv", b"name,price\na,b\n".to_vec(), "no column `isbn`"),
        ("books", "truncated.csv.gz", truncated, "cannot be read"),
        ("books", "header.csv", HEADER.as_bytes().to_vec(), "no row was accepted"),
        ("books", "bad.csv", format!("{HEADER}1,Ann,,T,\n").into_bytes(), "no row was accepted"),
        ("stock", "wrong-stock.csv", b"isbn,copies\n1,2\n".to_vec(), "no column `on_hand`"),
        ("stock", "binary-stock.csv", binary, "no column `isbn`"),
    ] {
        let file = write(directory.path(), name, bytes);
        let failed = import(&data, content, &file);
        let error = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert!(!failed.status.success() && error.contains(part) && error.contains(name), "{}", said(&failed));
    }
    for missing in [directory.path().join("absent.csv"), directory.path().to_owned()] {
        let failed = import(&data, "books", missing.to_str().unwrap());
        assert!(!failed.status.success() && String::from_utf8_lossy(&failed.stderr).contains("cannot be read"));
    }
    let unknown = run(&["import", "books", "x.csv", "--format", "excel", "--data-dir", data.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("goodbooks"), "{}", said(&unknown));
}
