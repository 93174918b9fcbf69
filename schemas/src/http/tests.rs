//! Headers and bodies: what is read, and what is refused with which rule.

use super::*;
use crate::api::book::{RegisterBook, ReviseBook};
use crate::api::stock::{AdjustStock, CountStock};
use axum::body::Body as HttpBody;
use domain::book::description::Changes;

/// Extracts `E` from a request with these headers; an error answers with its rule.
async fn extract<E: FromRequestParts<(), Rejection = Problem>>(headers: &[(&str, &[u8])]) -> Result<E, Rule> {
    let mut request = Request::builder();
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    E::from_request_parts(&mut parts, &()).await.map_err(|problem| problem.rule)
}

#[tokio::test]
async fn min_position_is_a_decimal_below_2_to_the_63() {
    let extract = async |value: &str| extract::<MinPosition>(&[("Colophon-Min-Position", value.as_bytes())]).await;
    assert_eq!(extract("0").await, Ok(MinPosition(Some(0))));
    assert_eq!(extract("9223372036854775807").await, Ok(MinPosition(Some(i64::MAX as u64))));
    for value in ["9223372036854775808", "18446744073709551616", "-1", "+1", "1.0", "0x1", "", "١", "1 2"] {
        assert_eq!(extract(value).await, Err(Rule::Malformed), "{value}");
    }
}

#[tokio::test]
async fn a_header_that_may_come_once_comes_once() {
    let twice: &[(&str, &[u8])] = &[("Colophon-Min-Position", b"1"), ("Colophon-Min-Position", b"1")];
    assert_eq!(extract::<MinPosition>(twice).await, Err(Rule::Malformed));
    let twice: &[(&str, &[u8])] = &[("Idempotency-Key", b"a"), ("Idempotency-Key", b"a")];
    assert_eq!(extract::<IdempotencyKey>(twice).await, Err(Rule::Malformed));
    assert_eq!(extract::<IdempotencyKey>(&[("Idempotency-Key", b"\xff")]).await, Err(Rule::Malformed));
    assert_eq!(extract::<IdempotencyKey>(&[]).await, Ok(IdempotencyKey(None)));
}

#[tokio::test]
async fn if_match_takes_one_strong_tag() {
    let extract = async |value: &str| extract::<IfMatch>(&[("If-Match", value.as_bytes())]).await.map(|tag| tag.0);
    assert_eq!(extract("\"3\"").await, Ok(Some(Precondition::Revision(3))));
    for never in ["W/\"3\"", "\"03\"", "\"x\"", "\"\"", "\"+3\"", "\"18446744073709551616\""] {
        assert_eq!(extract(never).await, Ok(Some(Precondition::Never)), "{never}");
    }
    for malformed in ["*", "3", "\"3\", \"4\"", "\"3", "", "'3'"] {
        assert_eq!(extract(malformed).await, Err(Rule::Malformed), "{malformed}");
    }
}

#[tokio::test]
async fn an_idempotency_key_is_the_same_bare_and_quoted() {
    let extract = async |value: &str| extract::<IdempotencyKey>(&[("Idempotency-Key", value.as_bytes())]).await;
    let key = |key: &str| Ok(IdempotencyKey(Some(key.to_owned())));
    assert_eq!(extract("k-1").await, key("k-1"));
    assert_eq!(extract("\"k-1\"").await, key("k-1"));
    assert_eq!(extract(r#""a\"b\\c""#).await, key(r#"a"b\c"#));
    let longest = "x".repeat(255);
    assert_eq!(extract(&longest).await, key(&longest));
    assert_eq!(extract(&format!("\"{longest}\"")).await, key(&longest));
    for malformed in ["", "\"\"", "a b", "\"a b\"", "\"a", "\"a\\x\"", "\"a\"b\"", &format!("{longest}x")] {
        assert_eq!(extract(malformed).await, Err(Rule::Malformed), "{malformed}");
    }
}

#[test]
fn if_none_match_is_compared_weakly() {
    let matches = |value: &str| {
        let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_str(value).unwrap())]);
        not_modified(&headers, 3)
    };
    for value in ["\"3\"", "W/\"3\"", "\"1\", \"3\"", "*"] {
        assert!(matches(value), "{value}");
    }
    for value in ["\"2\"", "3", "\"33\"", ""] {
        assert!(!matches(value), "{value}");
    }
    assert!(!not_modified(&HeaderMap::new(), 3));
}

async fn body<T: DeserializeOwned>(content_type: &str, bytes: &[u8]) -> Result<T, Problem> {
    let request = Request::builder().header("Content-Type", content_type);
    let request = request.body(HttpBody::from(bytes.to_vec())).unwrap();
    Body::from_request(request, &()).await.map(|Body(body)| body)
}

#[tokio::test]
async fn a_body_is_json() {
    for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
        assert!(body::<CountStock>(content_type, br#"{"on_hand":1}"#).await.is_ok(), "{content_type}");
    }
    for content_type in ["", "text/plain", "application/jsonx", "text/json", "application/x-www-form-urlencoded"] {
        let problem = body::<CountStock>(content_type, br#"{"on_hand":1}"#).await.unwrap_err();
        assert_eq!(problem.rule, Rule::UnsupportedMediaType, "{content_type}");
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_with_the_place() {
    let deep = format!(r#"{{"delta":{}"#, "[".repeat(10_000));
    let cases: &[(&[u8], &str)] = &[
        (b"", "EOF"),
        (b"\0", "expected value"),
        (b"null", "expected an object"),
        (b"[1,\"x\"]", "expected an object"),
        (b"{\"delta\":1,\"reason\":\"x\"} {}", "more than one"),
        (b"{\"delta\":1,\"reason\":\"x\",\"colour\":1}", "colour"),
        (b"{\"delta\":1,\"delta\":2,\"reason\":\"x\"}", "duplicate field `delta`"),
        (b"{\"delta\":1}", "missing field `reason`"),
        (b"{\"delta\":1.5,\"reason\":\"x\"}", "field `delta`"),
        (b"{\"delta\":1e3,\"reason\":\"x\"}", "field `delta`"),
        (b"{\"delta\":\"1\",\"reason\":\"x\"}", "field `delta`"),
        (b"{\"delta\":99999999999999999999,\"reason\":\"x\"}", "field `delta`"),
        (b"{\"delta\":1,\"reason\":null}", "field `reason`"),
        (b"{\"delta\":1,\"reason\":\"\xff\"}", "reason"),
        (deep.as_bytes(), "field `delta`"),
    ];
    for (bytes, expected) in cases {
        let problem = body::<AdjustStock>("application/json", bytes).await.unwrap_err();
        assert_eq!(problem.rule, Rule::Malformed);
        assert!(problem.detail.contains(expected), "{} does not name {expected}", problem.detail);
    }
}

#[tokio::test]
async fn an_object_inside_a_body_is_an_object_too() {
    let book =
        |price: &str| format!(r#"{{"isbn":"0306406152","title":"T","authors":["A"],"language":"en","price":{price}}}"#);
    let read = async |price: &str| body::<RegisterBook>("application/json", book(price).as_bytes()).await;
    assert!(read(r#"{"amount":1,"currency":"CNY"}"#).await.unwrap().price.is_some());
    assert!(read("null").await.unwrap().price.is_none());
    for price in [r#"[1,"CNY"]"#, r#"{"amount":1,"currency":"CNY","tax":0}"#, r#"{"amount":-1,"currency":"CNY"}"#, "1"]
    {
        let problem = read(price).await.unwrap_err();
        assert!(problem.detail.contains("field `price"), "{}", problem.detail);
    }
}

#[tokio::test]
async fn a_revision_tells_absent_from_null() {
    let read = async |bytes: &str| body::<ReviseBook>("application/json", bytes.as_bytes()).await;
    assert_eq!(Changes::try_from(read("{}").await.unwrap()).unwrap(), Changes::default());
    let cleared = Changes::try_from(read(r#"{"price":null,"subjects":null}"#).await.unwrap()).unwrap();
    assert_eq!(cleared.price, Some(None));
    assert_eq!(cleared.subjects.unwrap().as_slice(), []);
    assert_eq!(cleared.edition, None);
    assert!(read(r#"{"title":null}"#).await.is_err());
    assert!(read(r#"{"isbn":"0306406152"}"#).await.is_err());
    let kept = serde_json::to_string(&read(r#"{"price":null,"title":"T"}"#).await.unwrap()).unwrap();
    assert_eq!(kept, r#"{"title":"T","price":null}"#);
}

#[tokio::test]
async fn an_id_is_a_uuid_of_36_characters() {
    let id = async |path: &str| {
        let route = axum::Router::new().route("/{id}", axum::routing::get(async |Id(id): Id| id.to_string()));
        let request = Request::builder().uri(path).body(HttpBody::empty()).unwrap();
        tower::ServiceExt::oneshot(route, request).await.unwrap().status()
    };
    assert_eq!(id("/6f1d2c1e-8f0b-4e0a-9a53-5a0d3c6f7b21").await, StatusCode::OK);
    for path in ["/6f1d2c1e8f0b4e0a9a535a0d3c6f7b21", "/x", "/%ff", "/%7B6f1d2c1e-8f0b-4e0a-9a53-5a0d3c6f7b%7D"] {
        assert_eq!(id(path).await, StatusCode::NOT_FOUND, "{path}");
    }
}
