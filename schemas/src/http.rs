//! Manners that every call under `/v1` shares: headers, ids and bodies, read as strictly as they are documented.

use crate::problems::{Problem, Rule};
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use object::Object;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use uuid::Uuid;

pub mod object;
#[cfg(test)]
mod tests;

/// How far the log was when an answer was made; decimal.
pub const POSITION: HeaderName = HeaderName::from_static("colophon-position");

/// How far a view has to be before it answers a read; decimal, below 2^63.
pub const MIN_POSITION: HeaderName = HeaderName::from_static("colophon-min-position");

/// Where a view has set the object aside, because it could not take an event of it; the answer is as of before that.
pub const PARKED: HeaderName = HeaderName::from_static("colophon-parked");

/// Makes a repeat of a write recognisable (draft-ietf-httpapi-idempotency-key-header-07).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A JSON object as body: no unknown fields, no duplicates, nothing behind it.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::from_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::from_status(StatusCode::PAYLOAD_TOO_LARGE),
            _ => malformed("the body did not arrive whole"),
        })?;
        parse(&bytes).map(Self)
    }
}

/// Reads a JSON object; the problem names the field and what was expected there.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let Object(value) = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { String::new() } else { format!("field `{path}`: ") };
        malformed(format!("the body cannot be read: {place}{}", error.inner()))
    })?;
    json.end().map_err(|error| malformed(format!("the body holds more than one JSON object: {error}")))?;
    Ok(value)
}

/// `application/json`, or a type with the suffix `+json` (RFC 6839).
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The parameters behind the `?`.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::try_from_uri(&parts.uri);
        query.map(|Query(params)| Self(params)).map_err(|rejection| malformed(rejection.body_text()))
    }
}

/// The id in the path. What is not a UUID is nobody's id: 404.
#[derive(Debug, Clone, Copy)]
pub struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let unknown = || Problem::new(Rule::NotFound, "nothing has this id: ids are UUIDs of 36 characters");
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| unknown())?;
        let (_, id) = params.iter().next().ok_or_else(unknown)?;
        Uuid::try_parse(id).ok().filter(|_| id.len() == 36).map(Self).ok_or_else(unknown)
    }
}

/// How far the view has to be before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoParams)]
#[into_params(names("Colophon-Min-Position"), parameter_in = Header)]
pub struct MinPosition(
    /// How far the view has to be; the answer waits for it, within bounds
    pub Option<u64>,
);

impl<S: Send + Sync> FromRequestParts<S> for MinPosition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = single(&parts.headers, &MIN_POSITION)? else { return Ok(Self(None)) };
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let position = value.parse().ok().filter(|position| digits && *position < 1 << 63);
        position
            .map(|position| Self(Some(position)))
            .ok_or_else(|| malformed("`Colophon-Min-Position` is a decimal integer from 0 to 9223372036854775807"))
    }
}

/// What the sender of a change has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// This revision.
    Revision(u64),
    /// Something that no object's tag ever equals: a weak tag, or one that is no revision.
    Never,
}

/// The `If-Match` header (RFC 9110 section 13.1.1), with exactly one entity tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch(pub Option<Precondition>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = single(&parts.headers, &IF_MATCH)? else { return Ok(Self(None)) };
        let weak = value.starts_with("W/");
        let tag = opaque_tag(value.strip_prefix("W/").unwrap_or(value));
        let tag = tag.ok_or_else(|| malformed("`If-Match` takes one entity tag in quotes, such as \"3\""))?;
        let revision = tag.parse().ok().filter(|revision: &u64| !weak && revision.to_string() == tag);
        Ok(Self(Some(revision.map_or(Precondition::Never, Precondition::Revision))))
    }
}

/// What is between the quotes of an entity tag (RFC 9110 section 8.8.3).
fn opaque_tag(tag: &str) -> Option<&str> {
    let inner = tag.strip_prefix('"')?.strip_suffix('"')?;
    inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"').then_some(inner)
}

/// The `Idempotency-Key` header: 1–255 visible characters, bare or as a string of RFC 8941 section 3.3.3.
#[derive(Debug, Clone, PartialEq, Eq, IntoParams)]
#[into_params(names("Idempotency-Key"), parameter_in = Header)]
pub struct IdempotencyKey(
    /// 1–255 visible characters: a repeat has no second effect
    pub Option<String>,
);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = single(&parts.headers, &IDEMPOTENCY_KEY)? else { return Ok(Self(None)) };
        let key = if value.starts_with('"') { unquote(value) } else { Some(value.to_owned()) };
        let fits = |key: &String| (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        key.filter(fits)
            .map(|key| Self(Some(key)))
            .ok_or_else(|| malformed("`Idempotency-Key` has 1 to 255 visible characters, bare or in quotes"))
    }
}

fn unquote(value: &str) -> Option<String> {
    let mut characters = value.strip_prefix('"')?.strip_suffix('"')?.chars();
    let mut key = String::new();
    while let Some(character) = characters.next() {
        match character {
            '\\' => key.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            '"' => return None,
            character => key.push(character),
        }
    }
    Some(key)
}

/// The value of a header that may come once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(malformed(format!("the header `{name}` came more than once")));
    }
    let value = value.to_str().map_err(|_| malformed(format!("the header `{name}` holds other than visible ASCII")))?;
    Ok(Some(value.trim()))
}

/// The strong entity tag of a revision.
pub fn etag(revision: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{revision}\"")).expect("a quoted number is visible ASCII")
}

/// Whether `If-None-Match` names this revision, or anything (RFC 9110 section 13.1.2: weak comparison).
pub fn not_modified(headers: &HeaderMap, revision: u64) -> bool {
    let own = revision.to_string();
    let names_it = |tag: &str| {
        let tag = tag.trim();
        tag == "*" || opaque_tag(tag.strip_prefix("W/").unwrap_or(tag)) == Some(&own)
    };
    let values = headers.get_all(IF_NONE_MATCH).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(names_it)
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(Rule::Malformed, detail)
}
