//! What whoever runs the server relies on: probes, metrics, logs, and an orderly end.

use crate::colophon::{Colophon, answer, book, isbn};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test]
async fn probes_and_metrics_tell_how_it_fares() {
    let colophon = Colophon::start().await;
    assert_eq!(colophon.get("/livez").await.body, "alive\n");
    let id = colophon.register(&isbn(1)).await;
    let path = format!("/v1/books/{id}");
    colophon.get_at(&path, 1).await;
    colophon.get_at(&path, 1).await;
    colophon.get_at(&format!("/v1/stock/{id}"), 1).await;
    assert_eq!(colophon.ready().await["position"], 1);
    colophon.eventually("/metrics", |metrics| metrics.body.contains("projection_parked_streams")).await;
    let metrics = colophon.metrics().await;
    for (name, value) in [
        ("log_position", 1.0),
        ("log_events_total", 1.0),
        ("log_commits_total", 1.0),
        ("projection_lag_events{view=\"books\"}", 0.0),
        ("projection_lag_seconds{view=\"stock\"}", 0.0),
        ("projection_parked_streams{view=\"books\"}", 0.0),
        ("book_cache_requests_total{cache_type=\"book_body\"}", 2.0),
        ("book_cache_hits_total{cache_type=\"book_body\"}", 1.0),
        ("book_api_latency_milliseconds_count{endpoint=\"/v1/books/{id}\",method=\"GET\"}", 2.0),
        ("book_api_latency_milliseconds_count{endpoint=\"/v1/books\",method=\"POST\"}", 1.0),
        ("log_commit_milliseconds_count", 1.0),
    ] {
        assert_eq!(metrics.get(name), Some(&value), "{name} in {metrics:#?}");
    }
    assert!(metrics.keys().any(|name| name.contains("le=\"800\"")), "the bucket of the latency alert");
    let problems = colophon.get("/problems").await;
    assert!(problems.body.contains("## isbn_taken"), "{}", problems.body);
}

#[tokio::test]
async fn a_log_line_names_the_trace_of_its_problem() {
    let environment = [("COLOPHON_LOGGING__FORMAT", "json"), ("COLOPHON_LOGGING__FILTER", "debug,hyper=info")];
    let colophon = Colophon::start_with(Arc::new(tempfile::tempdir().unwrap()), &[], &environment).await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = colophon.manager(Method::POST, "/v1/books").json(&book("x"));
    let refused = answer(request.header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"))).await;
    assert_eq!(refused.json()["trace_id"], trace_id);
    let log = colophon.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_trace = |line: &&Value| line["span"]["trace_id"] == trace_id;
    let line = lines.iter().find(of_trace).unwrap_or_else(|| panic!("{log}"));
    assert_eq!(line["status"], 422);
    let secret = colophon.token("manager");
    assert!(!log.contains(&secret) && !log.contains(secret.rsplit('.').next().unwrap()), "tokens are not logged");
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_answers_what_it_has_and_goes() {
    let colophon = Colophon::start().await;
    let id = colophon.register(&isbn(1)).await;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let request = colophon.manager(Method::POST, &format!("/v1/stock/{id}/adjustments"));
        let request = request.json(&json!({"delta": 1, "reason": "test"}));
        writers.spawn(async move {
            let mut acknowledged = 0_u64;
            // Until the connection is refused: what is answered before that is an answer.
            while let Ok(answer) = request.try_clone().unwrap().send().await {
                assert_eq!(answer.status(), 200);
                acknowledged += 1;
            }
            acknowledged
        });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    let directory = colophon.stop();
    assert!(begun.elapsed() < Duration::from_secs(10), "it takes {:?} to stop under load", begun.elapsed());
    let acknowledged: u64 = writers.join_all().await.iter().sum();
    assert!(!directory.path().join("data/admin.sock").exists());
    let colophon = Colophon::start_with(directory, &[], &[]).await;
    let stock = colophon.get_at(&format!("/v1/stock/{id}"), acknowledged + 1).await.json();
    assert!(acknowledged > 0 && stock["on_hand"].as_u64().unwrap() >= acknowledged, "{acknowledged} {stock}");
}

#[tokio::test]
async fn the_demo_has_something_to_read_and_begins_only_once() {
    let colophon = Colophon::start_with(Arc::new(tempfile::tempdir().unwrap()), &["--demo"], &[]).await;
    let books = colophon.get("/v1/books?limit=100").await.json();
    assert_eq!(books["items"].as_array().unwrap().len(), 12);
    let position = colophon.get("/readyz").await.json()["position"].clone();
    let colophon = Colophon::start_with(colophon.stop(), &["--demo"], &[]).await;
    assert_eq!(colophon.get("/readyz").await.json()["position"], position);
}
