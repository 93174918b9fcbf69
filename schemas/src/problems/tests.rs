//! The list of rules is complete, distinct and the one in `docs/`.

use super::*;
use std::collections::HashSet;

#[test]
fn every_rule_is_listed_once() {
    for (index, rule) in Rule::ALL.into_iter().enumerate() {
        assert_eq!(rule as usize, index, "{rule:?}");
    }
    assert_eq!(Rule::ALL.len(), Rule::Unavailable as usize + 1);
    let slugs: HashSet<_> = Rule::ALL.map(Rule::slug).into();
    assert_eq!(slugs.len(), Rule::ALL.len());
}

#[test]
fn the_document_is_the_one_in_docs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/problems.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, Rule::document()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert_eq!(written, Rule::document(), "run `UPDATE_DOCS=1 cargo test -p schemas` to write docs/problems.md anew");
}

#[test]
fn a_bare_status_has_its_general_rule() {
    for (status, rule) in [
        (StatusCode::NOT_FOUND, Rule::NotFound),
        (StatusCode::METHOD_NOT_ALLOWED, Rule::MethodNotAllowed),
        (StatusCode::PAYLOAD_TOO_LARGE, Rule::ContentTooLarge),
        (StatusCode::SERVICE_UNAVAILABLE, Rule::Unavailable),
        (StatusCode::IM_A_TEAPOT, Rule::Malformed),
        (StatusCode::BAD_GATEWAY, Rule::Internal),
    ] {
        assert_eq!(Problem::from_status(status).rule, rule);
    }
}

#[test]
fn a_problem_carries_status_headers_and_itself() {
    let problem =
        Problem { position: Some(7), retry_after_s: Some(2), ..Problem::new(Rule::NotYet, "the view is at 5") };
    let response = problem.clone().into_response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[POSITION], "7");
    assert_eq!(response.headers()[RETRY_AFTER], "2");
    assert_eq!(response.extensions().get(), Some(&problem));
    let body: serde_json::Value = serde_json::from_slice(&problem.body("abc")).unwrap();
    let expected = serde_json::json!({
        "type": "/problems#not_yet", "title": Rule::NotYet.title(), "status": 503, "detail": "the view is at 5", "trace_id": "abc"
    });
    assert_eq!(body, expected);
}
