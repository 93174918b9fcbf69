//! Who gets in, how much is taken on, and what a refusal looks like.

use super::*;
use axum::routing::{get, post};
use futures_util::stream;
use metrics_exporter_prometheus::PrometheusBuilder;
use platform::identity::Realm;
use platform::identity::signing_key::SigningKey;
use platform::seam::Timestamp;
use serde_json::Value;
use tower::ServiceExt;

const NOW: Timestamp = Timestamp(1_795_000_000_000_000);
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct House {
    router: Router,
    key: SigningKey,
    _directory: tempfile::TempDir,
}

fn realm() -> Realm {
    Realm { issuer: "colophon".to_owned(), audience: "colophon".to_owned() }
}

fn house(public_reads: bool, limits: Limits) -> House {
    let directory = tempfile::tempdir().unwrap();
    let key = SigningKey::load_or_create(&directory.path().join("key.pem")).unwrap();
    let routes = Router::new()
        .route("/livez", get(async || "alive"))
        .route("/secret", get(async || "not in the policy"))
        .route("/v1/books", get(async || "books").post(async |body: String| body))
        .route("/v1/books/{id}", get(panics))
        .route("/v1/books/{id}/retirement", post(async |principal: axum::Extension<Principal>| principal.0.subject))
        .route("/v1/stock/{book_id}", get(async || std::future::pending::<()>().await));
    let seam = Seam::seeded(7, NOW).0;
    let front = FrontDoor { verifier: key.verifier(realm()), public_reads, limits, seam };
    House { router: guard(routes, front), key, _directory: directory }
}

async fn panics() -> Response {
    panic!("on purpose")
}

impl House {
    fn token(&self, roles: &[&str]) -> String {
        let roles: Vec<_> = roles.iter().map(|role| (*role).to_owned()).collect();
        format!("Bearer {}", self.key.sign(&realm(), "someone", &roles, Duration::from_secs(60), NOW))
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn status(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.send(method, path, headers).await.status().as_u16()
    }
}

async fn problem(response: Response) -> (u16, String, Value) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    let body: Value = serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap();
    assert_eq!(body["status"], status);
    assert_eq!(body["trace_id"].as_str().unwrap().len(), 32);
    let rule = body["type"].as_str().unwrap().strip_prefix("/problems#").unwrap().to_owned();
    (status, rule, body)
}

async fn rule(response: Response) -> (u16, String) {
    let (status, rule, _) = problem(response).await;
    (status, rule)
}

fn is(status: u16, rule: &str) -> (u16, String) {
    (status, rule.to_owned())
}

#[tokio::test]
async fn the_router_s_refusals_are_problems_too() {
    let house = house(true, Limits::default());
    let response = house.send("GET", "/nowhere", &[("traceparent", TRACEPARENT)]).await;
    let (status, rule_of, body) = problem(response).await;
    assert_eq!((status, rule_of), is(404, "not_found"));
    assert_eq!(body["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    let response = house.send("DELETE", "/v1/books", &[]).await;
    assert_eq!(response.headers()["allow"], "GET,HEAD,POST");
    assert_eq!(rule(response).await, is(405, "method_not_allowed"));
    assert_eq!(rule(house.send("BREW", "/v1/books", &[]).await).await, is(405, "method_not_allowed"));
}

#[tokio::test]
async fn roles_decide_who_writes() {
    let house = house(true, Limits::default());
    let path = "/v1/books/x/retirement";
    let response = house.send("POST", path, &[]).await;
    assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
    assert_eq!(rule(response).await, is(401, "unauthenticated"));
    for (roles, status) in [
        (&["user"][..], 403),
        (&[], 403),
        (&["Admin", "manager ", "root"], 403),
        (&["manager"], 200),
        (&["user", "admin"], 200),
    ] {
        assert_eq!(house.status("POST", path, &[("authorization", &house.token(roles))]).await, status, "{roles:?}");
    }
    let response = house.send("POST", path, &[("authorization", &house.token(&["user"]))]).await;
    assert_eq!(rule(response).await, is(403, "forbidden"));
    // A route that the policy forgot is nobody's.
    assert_eq!(house.status("GET", "/secret", &[("authorization", &house.token(&["admin"]))]).await, 403);
}

#[tokio::test]
async fn a_token_that_is_not_valid_is_refused_wherever_it_comes() {
    let house = house(true, Limits::default());
    let good = house.token(&["admin"]);
    assert_eq!(house.status("GET", "/v1/books", &[("authorization", &good)]).await, 200);
    let other_installation = self::house(true, Limits::default()).token(&["admin"]);
    for value in [other_installation.as_str(), "Bearer x", "Bearer", "Basic YTpi", "", &format!("{good}x")] {
        let response = house.send("GET", "/v1/books", &[("authorization", value)]).await;
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer error=\"invalid_token\"");
        assert_eq!(rule(response).await, is(401, "unauthenticated"), "{value}");
    }
    let twice = [("authorization", good.as_str()), ("authorization", good.as_str())];
    assert_eq!(house.status("GET", "/v1/books", &twice).await, 401);
    // Monitoring has to work when nothing else does.
    assert_eq!(house.status("GET", "/livez", &[("authorization", "Bearer x")]).await, 200);
}

#[tokio::test]
async fn reads_can_be_closed() {
    let house = house(false, Limits::default());
    assert_eq!(house.status("GET", "/v1/books", &[]).await, 401);
    assert_eq!(house.status("GET", "/v1/books", &[("authorization", &house.token(&["user"]))]).await, 200);
    assert_eq!(house.status("GET", "/livez", &[]).await, 200);
}

#[test]
fn a_panic_is_a_problem_and_the_process_lives_on() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let house = house(true, Limits::default());
            let response = house.send("GET", "/v1/books/x", &[("traceparent", TRACEPARENT)]).await;
            let (status, rule, body) = problem(response).await;
            assert_eq!((status, rule), is(500, "internal"));
            assert_eq!(body["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
            assert!(!body.to_string().contains("on purpose"), "{body}");
            assert_eq!(house.status("GET", "/v1/books", &[]).await, 200);
            assert_eq!(house.status("HACK", "/x", &[]).await, 404);
        });
    });
    let text = metrics.render();
    for line in [
        r#"panics_total{operation="GET /v1/books/{id}"} 1"#,
        r#"book_api_latency_milliseconds_count{endpoint="/v1/books/{id}",method="GET"} 1"#,
        r#"book_api_latency_milliseconds_count{endpoint="/v1/books",method="GET"} 1"#,
        r#"book_api_latency_milliseconds_count{endpoint="unmatched",method="OTHER"} 1"#,
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn everything_has_a_bound() {
    let limits = Limits { body_bytes: 10, requests_in_flight: 1, ..Limits::default() };
    let house = house(true, limits);
    let admin = house.token(&["admin"]);
    let post = |body: Body| {
        let request = Request::post("/v1/books").header("authorization", &admin).body(body).unwrap();
        house.router.clone().oneshot(request)
    };
    assert_eq!(post(Body::from("0123456789")).await.unwrap().status(), 200);
    assert_eq!(rule(post(Body::from("0123456789a")).await.unwrap()).await, is(413, "content_too_large"));
    let chunks = stream::repeat_with(|| Ok::<_, std::io::Error>("chunk"));
    assert_eq!(rule(post(Body::from_stream(chunks)).await.unwrap()).await, is(413, "content_too_large"));
    let announced = [("authorization", admin.as_str()), ("content-length", "11")];
    assert_eq!(house.status("POST", "/v1/books", &announced).await, 413);
    let never = stream::pending::<Result<&str, std::io::Error>>();
    assert_eq!(rule(post(Body::from_stream(never)).await.unwrap()).await, is(408, "request_timeout"));
    let broken = stream::once(async { Err::<&str, _>(std::io::Error::other("gone")) });
    assert_eq!(rule(post(Body::from_stream(broken)).await.unwrap()).await, is(400, "malformed"));

    let long = format!("/v1/books?cursor={}", "x".repeat(limits.uri_bytes));
    assert_eq!(rule(house.send("GET", &long, &[]).await).await, is(414, "uri_too_long"));
    let wide = [("x", "y".repeat(limits.header_bytes))];
    let wide: Vec<_> = wide.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(rule(house.send("GET", "/v1/books", &wide).await).await, is(431, "headers_too_large"));
    let many = vec![("x", "y"); limits.header_fields + 1];
    assert_eq!(rule(house.send("GET", "/v1/books", &many).await).await, is(431, "headers_too_large"));

    // The one place is taken for as long as a request may be handled.
    let (stuck, refused) = tokio::join!(house.send("GET", "/v1/stock/x", &[]), async {
        tokio::task::yield_now().await;
        assert_eq!(house.status("GET", "/livez", &[]).await, 200, "monitoring gets in however full it is");
        house.send("GET", "/v1/books", &[]).await
    });
    assert_eq!(refused.headers()[RETRY_AFTER], "1");
    assert_eq!(rule(refused).await, is(503, "overloaded"));
    assert_eq!(rule(stuck).await, is(503, "unavailable"));
    assert_eq!(house.status("GET", "/v1/books", &[]).await, 200);
}
