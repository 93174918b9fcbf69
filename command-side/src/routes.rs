//! The command API: what its routes share.

use crate::commands::{Commands, Lane, Loaded, Request, outdated};
use crate::idempotency::{body_hash, command_id};
use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::ETAG;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::Command;
use platform::event_log::{Position, Revision, StreamId};
use platform::identity::{Principal, Reach};
use platform::seam::Seam;
use platform::trace::TraceContext;
use platform::vault::Vault;
use platform::webhook::Secret;
use schemas::http::{IdempotencyKey, IfMatch, POSITION, Precondition, etag};
use schemas::problems::{Problem, Rule};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the write routes need.
#[derive(Clone)]
pub struct CommandApi {
    /// Where commands go.
    pub commands: Arc<dyn Commands>,
    /// For the ids of commands without a key.
    pub seam: Seam,
    /// Who customers are.
    pub vault: Arc<dyn Vault>,
    /// How long an order waits for its payment.
    pub hold: Duration,
    /// What the payment provider signs with.
    pub webhook_secret: Arc<Secret>,
}

/// The write routes, with their part of the OpenAPI document.
pub fn routes(api: CommandApi) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(crate::book::register))
        .routes(routes!(crate::book::revise))
        .routes(routes!(crate::book::retire))
        .routes(routes!(crate::stock::adjust))
        .routes(routes!(crate::stock::count))
        .routes(routes!(crate::order::place))
        .routes(routes!(crate::order::cancel))
        .routes(routes!(crate::order::ship))
        .routes(routes!(crate::order::refund))
        .routes(routes!(crate::order::take_back))
        .routes(routes!(crate::payment::callback))
        .with_state(api)
}

/// Who sends a write, and how it is told from its repeats.
pub(crate) struct Sender {
    pub(crate) principal: Principal,
    pub(crate) reach: Reach,
    traceparent: String,
    pub(crate) key: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Sender {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Principal>().cloned();
        let principal = principal.ok_or_else(|| Problem::new(Rule::Unauthenticated, "this call needs a token"))?;
        let traceparent = parts.extensions.get::<TraceContext>().map(TraceContext::traceparent).unwrap_or_default();
        let IdempotencyKey(key) = IdempotencyKey::from_request_parts(parts, state).await?;
        let reach = parts.extensions.get::<Reach>().copied().unwrap_or(Reach::Own);
        Ok(Self { principal, reach, traceparent, key })
    }
}

impl Sender {
    /// The request for a command that came with `body` to `operation` (method and path).
    pub(crate) fn request(
        self,
        api: &CommandApi,
        operation: &str,
        body: &impl Serialize,
        stream: StreamId,
        if_match: Option<Revision>,
        command: Command,
    ) -> Request {
        Request {
            id: command_id(&self.principal, operation, self.key.as_deref(), &api.seam),
            body_hash: body_hash(body),
            stream,
            if_match,
            lane: Lane::Customer,
            traceparent: self.traceparent,
            command,
        }
    }
}

/// Demands an `If-Match`, as the routes do that compare and set (RFC 6585 section 3, RFC 9110 section 13.1.1).
pub(crate) fn required(IfMatch(precondition): IfMatch, current: Revision) -> Result<Revision, Problem> {
    match precondition {
        Some(Precondition::Revision(revision)) => Ok(Revision(revision)),
        Some(Precondition::Never) => Err(outdated(current.0)),
        None => Err(Problem::new(
            Rule::PreconditionRequired,
            "this call needs an `If-Match` header with the entity tag that was read, such as \"3\"",
        )),
    }
}

/// The `If-Match` of a route that does not demand one.
pub(crate) fn optional(if_match: IfMatch, current: Revision) -> Result<Option<Revision>, Problem> {
    if if_match.0.is_none() { Ok(None) } else { required(if_match, current).map(Some) }
}

/// An answer with its entity tag and position.
pub(crate) fn answer(status: StatusCode, body: impl Serialize, revision: Revision, position: Position) -> Response {
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(ETAG, etag(revision.0));
    response.headers_mut().insert(POSITION, HeaderValue::from(position.0));
    response
}

/// The one aggregate of `stream`, as far as it is durable.
pub(crate) async fn peek_one(api: &CommandApi, stream: StreamId) -> Result<Loaded, Problem> {
    let loaded = api.commands.peek(Lane::Customer, vec![stream]).await?.pop();
    Ok(loaded.expect("a peek answers once per stream"))
}
