//! The API as its users see it: one story, and the document, as snapshots. A change in them is a change of contract.

use crate::colophon::{Answer, Colophon, answer};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::fmt::Write;

/// Headers that belong to the contract.
const HEADERS: [&str; 8] =
    ["content-type", "location", "etag", "colophon-position", "link", "allow", "retry-after", "www-authenticate"];

/// What was asked and answered, without what differs from run to run.
struct Transcript(String);

impl Transcript {
    async fn say(&mut self, title: &str, request: RequestBuilder) -> Answer {
        let sent = request.try_clone().unwrap().build().unwrap();
        let path =
            sent.url().query().map_or(sent.url().path().to_owned(), |query| format!("{}?{query}", sent.url().path()));
        let answer = answer(request).await;
        write!(self.0, "# {title}\n{} {path}\n", sent.method()).unwrap();
        for name in ["if-match", "if-none-match", "idempotency-key", "colophon-min-position"] {
            if let Some(value) = sent.headers().get(name) {
                writeln!(self.0, "{name}: {}", value.to_str().unwrap()).unwrap();
            }
        }
        if let Some(body) = sent.body().and_then(|body| body.as_bytes()) {
            writeln!(self.0, "{}", String::from_utf8_lossy(body)).unwrap();
        }
        writeln!(self.0, "→ {}", answer.status).unwrap();
        for name in HEADERS.iter().filter(|name| !answer.header(name).is_empty()) {
            writeln!(self.0, "{name}: {}", answer.header(name)).unwrap();
        }
        writeln!(self.0, "{}\n", stable(&answer.body)).unwrap();
        answer
    }
}

fn stable(body: &str) -> String {
    let Ok(mut body) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    if let Some(trace_id) = body.get_mut("trace_id") {
        *trace_id = json!("…");
    }
    for item in body.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(at) = item.get_mut("at") {
            assert!(at.as_str().unwrap().ends_with('Z'));
            *at = json!("…");
        }
    }
    serde_json::to_string(&body).unwrap()
}

#[tokio::test]
async fn the_story_of_a_book() {
    let colophon = Colophon::start().await;
    let mut told = Transcript(String::new());
    let manager = |method, path: &str| colophon.manager(method, path);
    let full = json!({
        "isbn": "978-0-306-40615-7", "title": "The Typesetter's Daughter", "authors": ["Ada Quill", "Ira Folio"],
        "language": "en-GB", "price": {"amount": 4200, "currency": "CNY"}, "published_on": "2024-05",
        "edition": "2nd, revised", "format": "paperback", "subjects": [{"scheme": "thema", "version": "1.5", "code": "FBA"}],
    });
    let register = || manager(Method::POST, "/v1/books").json(&full).header("Idempotency-Key", "first");
    let registered = told.say("register", register()).await;
    let book = format!("/v1/books/{}", registered.json()["id"].as_str().unwrap());
    let stock = book.replace("books", "stock");
    told.say("the same key again", register()).await;
    told.say(
        "the same key, quoted",
        manager(Method::POST, "/v1/books").json(&full).header("Idempotency-Key", "\"first\""),
    )
    .await;
    let minimal = json!({"isbn": "0140328726", "title": "T", "authors": ["A"], "language": "zh-Hant"});
    told.say(
        "the key of another request",
        manager(Method::POST, "/v1/books").json(&minimal).header("Idempotency-Key", "first"),
    )
    .await;
    told.say("the ISBN again", manager(Method::POST, "/v1/books").json(&full)).await;
    told.say("another book", manager(Method::POST, "/v1/books").json(&minimal)).await;

    told.say("revise without If-Match", manager(Method::PATCH, &book).json(&json!({"title": "New"}))).await;
    told.say(
        "revise",
        manager(Method::PATCH, &book).header("If-Match", "\"1\"").json(&json!({"title": "New", "price": null})),
    )
    .await;
    told.say(
        "revise what has changed",
        manager(Method::PATCH, &book).header("If-Match", "\"1\"").json(&json!({"title": "Newer"})),
    )
    .await;
    told.say("change nothing", manager(Method::PATCH, &book).header("If-Match", "\"3\"").json(&json!({}))).await;

    told.say("stock before any copy", colophon.anonymous(Method::GET, &stock).header("Colophon-Min-Position", 4)).await;
    let adjustments = format!("{stock}/adjustments");
    told.say("adjust", manager(Method::POST, &adjustments).json(&json!({"delta": 5, "reason": "delivery"}))).await;
    told.say("adjust too far", manager(Method::POST, &adjustments).json(&json!({"delta": -6, "reason": "lost"}))).await;
    told.say("count", manager(Method::PUT, &stock).header("If-Match", "\"1\"").json(&json!({"on_hand": 3}))).await;
    told.say(
        "count what has moved",
        manager(Method::PUT, &stock).header("If-Match", "\"1\"").json(&json!({"on_hand": 2})),
    )
    .await;
    let retire = manager(Method::POST, &format!("{book}/retirement")).json(&json!({}));
    let retired = told.say("retire", retire).await;
    told.say(
        "revise a retired book",
        manager(Method::PATCH, &book).header("If-Match", "\"4\"").json(&json!({"title": "X"})),
    )
    .await;

    let read = |path: &str| colophon.anonymous(Method::GET, path).header("Colophon-Min-Position", retired.position());
    told.say("read", read(&book)).await;
    told.say("read what is known", read(&book).header("If-None-Match", "W/\"9\", \"4\"")).await;
    told.say("read by ISBN", read("/v1/books/isbn/0-306-40615-2")).await;
    told.say("read the stock", read(&stock)).await;
    told.say("read the ledger", read(&format!("{stock}/ledger?limit=1"))).await;
    let page = told.say("list", read("/v1/books?limit=1")).await.json();
    told.say("list on", read(&format!("/v1/books?cursor={}&limit=1", page["next_cursor"].as_str().unwrap()))).await;
    insta::assert_snapshot!(told.0);
}

#[tokio::test]
async fn the_document_lists_every_route_of_the_policy() {
    let colophon = Colophon::start().await;
    let document = colophon.get("/openapi.json").await.json();
    let listed: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| (path.clone(), method.to_uppercase()))
        })
        .collect();
    for entry in gateway::policy::POLICY {
        assert!(listed.contains(&(entry.path.to_owned(), entry.method.to_string())), "{} {}", entry.method, entry.path);
    }
    assert_eq!(listed.len(), gateway::policy::POLICY.len(), "a route without a policy: {listed:?}");
    insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
}
