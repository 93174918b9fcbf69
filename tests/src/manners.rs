//! Bad input gets a 4xx with the rule it broke, and changes nothing; reads are as fresh as they are asked to be.

use crate::colophon::{Colophon, answer, book, isbn};
use reqwest::Method;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::time::Duration;

const UNKNOWN: &str = "3a86290a-a908-55b8-a3b5-000000000000";

/// A valid body with one field replaced; `null` in `value` stays a null, a missing one is told by `"<absent>"`.
fn with(field: &str, value: Value) -> Value {
    let mut body = book("9780306406157");
    if value == json!("<absent>") {
        body.as_object_mut().unwrap().remove(field);
    } else {
        body[field] = value;
    }
    body
}

#[tokio::test]
async fn bad_registrations_name_the_rule() {
    let colophon = Colophon::start().await;
    let long = |length: usize| json!("x".repeat(length));
    let cases = [
        (with("isbn", json!("<absent>")), 400, "malformed"),
        (with("isbn", json!(9_780_306_406_157_u64)), 400, "malformed"),
        (with("isbn", json!("")), 422, "isbn_shape"),
        (with("isbn", json!("978030640615")), 422, "isbn_shape"),
        (with("isbn", json!("９７８０３０６４０６１５７")), 422, "isbn_shape"),
        (with("isbn", json!("9780306406158")), 422, "isbn_checksum"),
        (with("isbn", json!("9771491950358")), 422, "isbn_prefix"),
        (with("isbn", json!("0000000000")), 422, "isbn_blank"),
        (with("title", json!("")), 422, "title_length"),
        (with("title", json!("   ")), 422, "title_length"),
        (with("title", long(201)), 422, "title_length"),
        (with("title", json!("two\nlines")), 422, "control_character"),
        (with("title", json!(null)), 400, "malformed"),
        (with("authors", json!([])), 422, "author_count"),
        (with("authors", json!(vec!["A"; 101])), 422, "author_count"),
        (with("authors", json!([""])), 422, "author_length"),
        (with("authors", json!("Ann")), 400, "malformed"),
        (with("language", json!("english language")), 422, "language"),
        (with("price", json!({"amount": -1, "currency": "CNY"})), 400, "malformed"),
        (with("price", json!({"amount": 1.5, "currency": "CNY"})), 400, "malformed"),
        (with("price", json!({"amount": 9_007_199_254_740_992_u64, "currency": "CNY"})), 422, "amount"),
        (with("price", json!({"amount": 1, "currency": "yuan"})), 422, "currency"),
        (with("price", json!({"amount": 1, "currency": "CNY", "tax": 1})), 400, "malformed"),
        (with("price", json!([1, "CNY"])), 400, "malformed"),
        (with("published_on", json!("2024-13")), 422, "publication_date"),
        (with("published_on", json!("2023-02-29")), 422, "publication_date"),
        (with("subjects", json!([{"scheme": "", "code": "FBA"}])), 422, "subject_length"),
        (with("format", json!("scroll")), 400, "malformed"),
        (with("colour", json!("red")), 400, "malformed"),
        (json!([]), 400, "malformed"),
        (json!(null), 400, "malformed"),
        (json!("isbn"), 400, "malformed"),
    ];
    for (body, status, rule) in cases {
        let answer = colophon.post("/v1/books", &body).await;
        assert_eq!(answer.problem(), (status, rule.to_owned()), "{body}: {answer:?}");
    }
    let deep = format!("{{\"isbn\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let twice = r#"{"isbn":"9780306406157","isbn":"9780306406157","title":"T","authors":["A"],"language":"en"}"#;
    let behind = format!("{} {{}}", book("9780306406157"));
    for body in ["", "{", "{\"isbn\":", &deep, twice, &behind, "\u{0}", "{\"isbn\":\"\\ud800\"}"] {
        let request = colophon.manager(Method::POST, "/v1/books").header("Content-Type", "application/json");
        let answer = answer(request.body(body.to_owned())).await;
        assert_eq!(answer.problem(), (400, "malformed".to_owned()), "{body:.40}");
    }
    let binary = colophon.manager(Method::POST, "/v1/books").header("Content-Type", "application/json");
    assert_eq!(answer(binary.body(vec![0xff; 100])).await.problem().1, "malformed");
    let form = colophon.manager(Method::POST, "/v1/books").header("Content-Type", "text/plain").body("{}");
    assert_eq!(answer(form).await.problem(), (415, "unsupported_media_type".to_owned()));
    let large = colophon.manager(Method::POST, "/v1/books").header("Content-Type", "application/json");
    assert_eq!(answer(large.body(" ".repeat(2 << 20))).await.problem(), (413, "content_too_large".to_owned()));
    assert_eq!(colophon.get("/readyz").await.json()["position"], 0, "nothing of all this is in the log");
}

#[tokio::test]
async fn bad_changes_name_the_rule() {
    let colophon = Colophon::start().await;
    let id = colophon.register("9780306406157").await;
    let (of_book, of_stock) = (format!("/v1/books/{id}"), format!("/v1/stock/{id}"));
    let adjustments = format!("{of_stock}/adjustments");
    let (patch, put, post) = (Method::PATCH, Method::PUT, Method::POST);
    let title = json!({"title": "T"});
    let cases = [
        (&patch, of_book.as_str(), None, title.clone(), 428, "precondition_required"),
        (&patch, &of_book, Some("\"2\""), title.clone(), 412, "precondition_failed"),
        (&patch, &of_book, Some("\"0\""), title.clone(), 412, "precondition_failed"),
        (&patch, &of_book, Some("W/\"1\""), title.clone(), 412, "precondition_failed"),
        (&patch, &of_book, Some("\"01\""), title.clone(), 412, "precondition_failed"),
        (&patch, &of_book, Some("1"), title.clone(), 400, "malformed"),
        (&patch, &of_book, Some("*"), title.clone(), 400, "malformed"),
        (&patch, &of_book, Some("\"1\""), json!({"isbn": "9780140328721"}), 400, "malformed"),
        (&patch, &of_book, Some("\"1\""), json!({"title": ""}), 422, "title_length"),
        (&patch, "/v1/books/not-a-uuid", None, title.clone(), 404, "not_found"),
        (&patch, &format!("/v1/books/{UNKNOWN}"), None, title.clone(), 404, "not_found"),
        (&patch, &format!("/v1/books/{UNKNOWN}"), Some("\"7\""), title.clone(), 404, "not_found"),
        (&post, &format!("/v1/books/{UNKNOWN}/retirement"), None, json!({}), 404, "not_found"),
        (&post, &format!("{of_book}/retirement"), None, json!({"why": "x"}), 400, "malformed"),
        (
            &post,
            &format!("/v1/stock/{UNKNOWN}/adjustments"),
            None,
            json!({"delta": 1, "reason": "x"}),
            404,
            "not_found",
        ),
        (&post, &adjustments, None, json!({"delta": 0, "reason": "x"}), 422, "delta"),
        (&post, &adjustments, None, json!({"delta": 1_000_000_001, "reason": "x"}), 422, "delta"),
        (&post, &adjustments, None, json!({"delta": i64::MIN, "reason": "x"}), 422, "delta"),
        (&post, &adjustments, None, json!({"delta": 1, "reason": " "}), 422, "reason_length"),
        (&post, &adjustments, None, json!({"delta": -1, "reason": "x"}), 409, "not_enough_stock"),
        (&put, &of_stock, None, json!({"on_hand": 1}), 428, "precondition_required"),
        (&put, &of_stock, Some("\"1\""), json!({"on_hand": 1}), 412, "precondition_failed"),
        (&put, &of_stock, Some("\"0\""), json!({"on_hand": 1_000_000_001}), 422, "copies"),
        (&put, &of_stock, Some("\"0\""), json!({"on_hand": -1}), 400, "malformed"),
    ];
    for (method, path, if_match, body, status, rule) in cases {
        let mut request = colophon.manager(method.clone(), path).json(&body);
        if let Some(if_match) = if_match {
            request = request.header("If-Match", if_match);
        }
        let answer = answer(request).await;
        assert_eq!(answer.problem(), (status, rule.to_owned()), "{method} {path} {if_match:?} {body}: {answer:?}");
    }
    for key in ["", "with space", "\"unclosed", "\"a\"b\"", &"x".repeat(256)] {
        let request = colophon.manager(Method::POST, &adjustments).header("Idempotency-Key", key);
        let answer = answer(request.json(&json!({"delta": 1, "reason": "x"}))).await;
        assert_eq!(answer.problem(), (400, "malformed".to_owned()), "{key}");
    }
    assert_eq!(colophon.get("/readyz").await.json()["position"], 1, "only the registration is in the log");
}

#[tokio::test]
async fn bad_reads_name_the_rule() {
    let colophon = Colophon::start_with(
        std::sync::Arc::new(tempfile::tempdir().unwrap()),
        &[],
        &[("COLOPHON_QUERIES__WAIT_MS", "50")],
    )
    .await;
    for (path, status, rule) in [
        ("/v1/books/not-a-uuid", 404, "not_found"),
        ("/v1/books/3a86290aa90855b8a3b52185ef2551fd", 404, "not_found"),
        ("/v1/books/%FF", 404, "not_found"),
        ("/v1/books/isbn/123", 404, "not_found"),
        ("/v1/books/isbn/9780306406157", 404, "not_found"),
        ("/v1/stock/not-a-uuid", 404, "not_found"),
        ("/v1/stock/not-a-uuid/ledger", 404, "not_found"),
        ("/v1/books?limit=0", 400, "malformed"),
        ("/v1/books?limit=101", 400, "malformed"),
        ("/v1/books?limit=-1", 400, "malformed"),
        ("/v1/books?limit=ten", 400, "malformed"),
        ("/v1/books?limit=1&limit=2", 400, "malformed"),
        ("/v1/books?cursor=%00", 400, "malformed"),
        ("/v1/books?cursor=zzz", 400, "malformed"),
        ("/v1/books/", 404, "not_found"),
        ("/v1", 404, "not_found"),
        ("/", 404, "not_found"),
        ("//v1/books", 404, "not_found"),
    ] {
        assert_eq!(colophon.get(path).await.problem(), (status, rule.to_owned()), "{path}");
    }
    for path in
        [&format!("/v1/books/{UNKNOWN}"), &format!("/v1/stock/{UNKNOWN}"), &format!("/v1/stock/{UNKNOWN}/ledger")]
    {
        let answer = colophon.get(path).await;
        assert_eq!((answer.problem().0, answer.position()), (404, 0), "{path}");
    }
    for position in ["", "-1", "+1", "1.0", "x", "9223372036854775808", "1 2"] {
        let request = colophon.anonymous(Method::GET, "/v1/books").header("Colophon-Min-Position", position);
        assert_eq!(answer(request).await.problem(), (400, "malformed".to_owned()), "{position}");
    }
    for position in [1, u64::MAX >> 1] {
        let answer = answer(colophon.at("/v1/books", position)).await;
        assert_eq!((answer.problem(), answer.header("retry-after")), ((503, "not_yet".to_owned()), "1"));
    }
    let delete = answer(colophon.anonymous(Method::DELETE, "/v1/books")).await;
    let mut allowed: Vec<_> = delete.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!((delete.problem().0, allowed), (405, vec!["GET", "HEAD", "POST"]));
    assert_eq!(colophon.get("/v1/books?cursor=&limit=").await.status, 200);
    let head = answer(colophon.anonymous(Method::HEAD, "/v1/books")).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn a_read_that_names_the_position_shows_the_write() {
    let colophon = Colophon::start().await;
    let id = colophon.register(&isbn(1)).await;
    let path = format!("/v1/books/{id}");
    for revision in 1..60_u64 {
        let change = colophon.manager(Method::PATCH, &path).header("If-Match", format!("\"{revision}\""));
        let written = answer(change.json(&json!({"title": format!("title {revision}")}))).await;
        assert_eq!(written.status, 200, "{written:?}");
        let read = colophon.get_at(&path, written.position()).await;
        assert_eq!((read.json(), read.header("etag")), (written.json(), written.header("etag")));
        assert!(read.position() >= written.position());
        // Once more, now from the cache.
        assert_eq!(colophon.get_at(&path, written.position()).await.json(), written.json());
    }
    let metrics = colophon.metrics().await;
    let of_bodies = |name: &str| metrics[&format!("{name}{{cache_type=\"book_body\"}}")];
    assert_eq!(of_bodies("book_cache_requests_total"), 118.0);
    assert!((1.0..=59.0).contains(&of_bodies("book_cache_hits_total")), "{metrics:?}");
}

#[tokio::test]
async fn pages_show_every_book_once_in_the_order_of_registration() {
    let colophon = Colophon::start().await;
    let mut ids = Vec::new();
    for n in 0..45 {
        ids.push(colophon.register(&isbn(n)).await);
    }
    let (mut next, mut seen, mut sizes) = ("/v1/books".to_owned(), Vec::new(), Vec::new());
    while !next.is_empty() {
        let page = colophon.get_at(&next, 45).await;
        let items = page.json()["items"].as_array().unwrap().clone();
        sizes.push(items.len());
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let link = page.header("link");
        assert_eq!(link.is_empty(), page.json()["next_cursor"].is_null());
        next = link.strip_prefix('<').and_then(|link| link.split('>').next()).unwrap_or_default().to_owned();
    }
    assert_eq!((seen, sizes), (ids, vec![20, 20, 5]));
}

#[tokio::test]
async fn a_refused_request_leaves_its_connection_usable() {
    let colophon = Colophon::start().await;
    let mut stream = std::net::TcpStream::connect(&colophon.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let body = " ".repeat(20_000);
    let head = format!("POST /v1/books HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    for (sent, status) in [
        (format!("{head}{body}"), "401"),
        (format!("{head}{body}"), "401"),
        ("GET /v1/books HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), "200"),
    ] {
        // The body comes when the refusal may be on its way already.
        for part in sent.as_bytes().chunks(4_000) {
            stream.write_all(part).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut answer = BufReader::new(&stream);
        let (mut line, mut length) = (String::new(), 0);
        answer.read_line(&mut line).unwrap();
        assert!(line.starts_with(&format!("HTTP/1.1 {status}")), "{line:?}");
        while line != "\r\n" {
            line.clear();
            answer.read_line(&mut line).unwrap();
            length = line.strip_prefix("content-length: ").map_or(length, |bytes| bytes.trim().parse().unwrap());
        }
        answer.read_exact(&mut vec![0; length]).unwrap();
    }
}
