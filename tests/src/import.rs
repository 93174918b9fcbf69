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

fn has_line(output: &Output, line: &str) -> bool {
    String::from_utf8_lossy(&output.stdout).lines().any(|it| it == line)
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
    for line in [
        "repaired: 6587",
        "  isbn_zeros: 6587 (the leading zeros of the ISBN put back: the check digit fits)",
        "left out: 31",
        "read as: goodbooks, UTF-8, separated by commas",
        "line 107: isbn: the row has no ISBN (isbn_shape)",
    ] {
        assert!(has_line(&first, line), "{line}: {}", said(&first));
    }
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
        ("books", "book.xlsx", b"PK\x03\x04\x14".to_vec(), "save the table as CSV"),
        ("books", "page.xml", b"<html></html>".to_vec(), "its root is <html>"),
        ("books", "names.csv", b"a,b\n1,2\n".to_vec(), "--map isbn=COLUMN"),
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

#[test]
fn a_real_catalogue_without_isbns_is_read_and_refused_row_by_row() {
    let Some(file) = shared::file("catalogue/douban_sample.csv.gz") else { return };
    let directory = tempfile::tempdir().unwrap();
    let failed = import(&directory.path().join("data"), "books", file.to_str().unwrap());
    assert_eq!((report(&failed), reasons(&failed), failed.status.code()), ((0, 0, 16_221), 16_221, Some(1)));
    let text = String::from_utf8_lossy(&failed.stdout);
    let mut reasons = text.lines().filter(|line| line.starts_with("line "));
    assert!(reasons.all(|line| line.contains("the row has no ISBN")), "{text}");
    assert!(String::from_utf8_lossy(&failed.stderr).contains("no row was accepted"), "{}", said(&failed));
}

/// Western text as an old spreadsheet writes it.
fn windows_1252(text: &str) -> Vec<u8> {
    text.chars().map(|character| if character == '€' { 0x80 } else { u8::try_from(character).unwrap() }).collect()
}

const RECORD: &str = "<Product><NotificationType>03</NotificationType><ProductIdentifier><ProductIDType>15</ProductIDType>\
    <IDValue>{isbn}</IDValue></ProductIdentifier><DescriptiveDetail><TitleDetail><TitleType>01</TitleType><TitleElement>\
    <TitleElementLevel>01</TitleElementLevel><TitleText>A title</TitleText></TitleElement></TitleDetail><Contributor>\
    <ContributorRole>A01</ContributorRole><PersonName>Ann</PersonName></Contributor></DescriptiveDetail></Product>";

/// A message with a record for each ISBN.
fn message<S: AsRef<str>>(isbns: &[S]) -> String {
    let records: Vec<_> = isbns.iter().map(|isbn| RECORD.replace("{isbn}", isbn.as_ref())).collect();
    format!("<?xml version=\"1.0\"?>\n<ONIXMessage release=\"3.0\">\n{}\n</ONIXMessage>\n", records.join("\n"))
}

#[test]
fn a_dry_run_tells_what_would_come_of_it_and_makes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let file =
        write(directory.path(), "books.csv", format!("isbn;title;author\n{0};T;Ann\n{0};T;Ann\nbad;T;Ann\n", isbn(1)));
    let dry = || run(&["import", "books", &file, "--dry-run", "--data-dir", data.to_str().unwrap()]);
    let told = dry();
    assert!(told.status.success() && !data.exists(), "{}", said(&told));
    assert_eq!(report(&told), (1, 1, 1));
    assert!(has_line(&told, "this was a dry run: nothing was changed"), "{}", said(&told));
    assert_eq!(report(&import(&data, "books", &file)), (1, 1, 1));
    assert_eq!(report(&dry()), (0, 2, 1));
    let stock = write(directory.path(), "stock.csv", format!("isbn,on_hand\n{},3\n", isbn(1)));
    let told = run(&["import", "stock", &stock, "--dry-run", "--data-dir", data.to_str().unwrap()]);
    assert_eq!(report(&told), (1, 0, 0));
    assert_eq!(report(&import(&data, "stock", &stock)), (1, 0, 0));
}

#[test]
fn refused_rows_are_written_down_mended_and_taken() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let refused = directory.path().join("refused.csv");
    let import = |file: &str, refused: &Path| {
        run(&["import", "books", file, "--refused", refused.to_str().unwrap(), "--data-dir", data.to_str().unwrap()])
    };
    let rows = format!("{};Gut;Ann\n306406153;\"Größe; 1\";Bo\n;Ohne;Cy\n", isbn(1));
    let file = write(directory.path(), "books.csv", windows_1252(&format!("ISBN;Titel;Autor\n{rows}")));
    let first = import(&file, &refused);
    assert_eq!(report(&first), (1, 0, 2), "{}", said(&first));
    let written = std::fs::read_to_string(&refused).unwrap();
    let lines: Vec<_> = written.lines().collect();
    assert_eq!(lines[0], "ISBN;Titel;Autor;refused_because");
    assert!(lines[1].starts_with("306406153;\"Größe; 1\";Bo;\"line 3: isbn \"\"306406153\"\": "), "{written}");
    assert!(lines[2].starts_with(";Ohne;Cy;\"line 4: isbn: the row has no ISBN"), "{written}");
    let mended = write(directory.path(), "mended.csv", written.replacen("306406153", "306406152", 1));
    let second = import(&mended, &refused);
    assert_eq!(report(&second), (1, 0, 1), "{}", said(&second));
    assert_eq!(std::fs::read_to_string(&refused).unwrap().lines().count(), 2);
    let itself = import(&mended, Path::new(&mended));
    assert!(!itself.status.success() && String::from_utf8_lossy(&itself.stderr).contains("the imported file itself"));

    let refused = directory.path().join("refused.xml");
    let file = write(directory.path(), "books.xml", message(&[isbn(5), "9780306406158".to_owned(), "--".to_owned()]));
    let first = import(&file, &refused);
    assert_eq!(report(&first), (1, 0, 2), "{}", said(&first));
    let written = std::fs::read_to_string(&refused).unwrap();
    assert!(written.contains("<!-- line 4: isbn \"9780306406158\": "), "{written}");
    let mended =
        write(directory.path(), "mended.xml", written.replace("<IDValue>9780306406158", "<IDValue>9780306406157"));
    let second = import(&mended, &refused);
    assert_eq!(report(&second), (1, 0, 1), "the record revises what the table said: {}", said(&second));
}

#[tokio::test]
async fn all_of_it_works_beside_a_server() {
    let colophon = Colophon::start().await;
    let place = colophon.directory.path().join("refused.xml");
    let isbns: Vec<_> = (0..50).map(isbn).chain(["9780306406158".to_owned()]).collect();
    let file = write(colophon.directory.path(), "books.xml", message(&isbns));
    let dry = colophon.tool(&["import", "books", &file, "--dry-run", "--refused", place.to_str().unwrap()]);
    assert_eq!(report(&dry), (50, 0, 1), "{}", said(&dry));
    assert!(has_line(&dry, "read as: onix 3.0, UTF-8"), "{}", said(&dry));
    let taken = colophon.tool(&["import", "books", &file]);
    assert_eq!(report(&taken), (50, 0, 1), "{}", said(&taken));
    let mended = std::fs::read_to_string(&place).unwrap().replace("<IDValue>9780306406158", "<IDValue>9780306406157");
    let mended = write(colophon.directory.path(), "mended.xml", mended);
    assert_eq!(report(&colophon.tool(&["import", "books", &mended, "--format", "onix"])), (1, 0, 0));
    let rows = format!("Nr;Was;Wer;Kosten\n{};Ein Titel;Ann;12,50 €\n", isbn(70));
    let table = write(colophon.directory.path(), "books.csv", windows_1252(&rows));
    let maps = ["--map", "isbn=Nr", "--map", "title=Was", "--map", "authors=Wer", "--map", "price=Kosten"];
    let arguments = [&["import", "books", &table, "--encoding", "windows-1252"][..], &maps].concat();
    let taken = colophon.tool(&arguments);
    assert_eq!(report(&taken), (1, 0, 0), "{}", said(&taken));
    let book = colophon.get_at(&format!("/v1/books/isbn/{}", isbn(70)), 52).await.json();
    assert_eq!(book["price"], serde_json::json!({"amount": 1250, "currency": "EUR"}));
}
