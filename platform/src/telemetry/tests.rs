//! What reaches the log and the metrics.

use super::*;

#[test]
fn milliseconds_are_counted_in_buckets_up_to_ten_seconds() {
    let recorder = recorder();
    let metrics = Metrics(recorder.handle());
    metrics::with_local_recorder(&recorder, || {
        for sample_ms in [0.05, 9.0, 799.0, 20_000.0] {
            metrics::histogram!("book_api_latency_milliseconds", "endpoint" => "/v1/books", "method" => "GET")
                .record(sample_ms);
        }
        metrics::counter!("panics_total", "operation" => "GET /v1/books").increment(1);
    });
    let text = metrics.render();
    for line in [
        "# TYPE book_api_latency_milliseconds histogram",
        r#"book_api_latency_milliseconds_bucket{endpoint="/v1/books",method="GET",le="0.1"} 1"#,
        r#"book_api_latency_milliseconds_bucket{endpoint="/v1/books",method="GET",le="10"} 2"#,
        r#"book_api_latency_milliseconds_bucket{endpoint="/v1/books",method="GET",le="800"} 3"#,
        r#"book_api_latency_milliseconds_bucket{endpoint="/v1/books",method="GET",le="10000"} 3"#,
        r#"book_api_latency_milliseconds_bucket{endpoint="/v1/books",method="GET",le="+Inf"} 4"#,
        r#"panics_total{operation="GET /v1/books"} 1"#,
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
}

#[test]
fn a_filter_that_cannot_be_read_is_told() {
    let error = init(Format::Json, "platform=loud").unwrap_err().to_string();
    assert!(error.contains("platform=loud"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn keeping_ends_when_it_is_stopped() {
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(Metrics(recorder().handle()).keep(stop.clone()));
    tokio::time::sleep(UPKEEP * 3).await;
    assert!(!keeping.is_finished());
    stop.cancel();
    keeping.await.unwrap();
}
