//! The front door: every request comes in here, and every refusal leaves as a problem.

#[cfg(test)]
mod tests;

use crate::policy::{Access, Role, STAFF_ROLES, Verdict, look_up};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use platform::identity::verifier::Verifier;
use platform::identity::{Principal, Reach};
use platform::seam::Seam;
use platform::trace::TraceContext;
use schemas::problems::{Problem, Rule};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

/// Bytes of a refused request's body that are read nevertheless, and for how long.
const DRAIN_BYTES: usize = 64 << 10;
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// How much is taken on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests handled at once; more are refused with 503.
    pub requests_in_flight: usize,
    /// Bytes of one body; more are refused with 413.
    pub body_bytes: usize,
    /// How long a body may take to arrive; then it is refused with 408.
    pub body_timeout: Duration,
    /// How long handling a request may take; then it is answered with 503.
    pub handling_timeout: Duration,
    /// Bytes of path and query; more are refused with 414.
    pub uri_bytes: usize,
    /// Header fields; more are refused with 431.
    pub header_fields: usize,
    /// Bytes of all header fields; more are refused with 431.
    pub header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_in_flight: 1_024,
            body_bytes: 1 << 20,
            body_timeout: Duration::from_secs(10),
            handling_timeout: Duration::from_secs(15),
            // A search of 5,000 characters of any script, percent-encoded.
            uri_bytes: 48 << 10,
            header_fields: 100,
            header_bytes: 32 << 10,
        }
    }
}

/// What judges those who come in.
pub struct FrontDoor {
    /// Judges tokens.
    pub verifier: Verifier,
    /// Whether reads need no token.
    pub public_reads: bool,
    /// How much is taken on.
    pub limits: Limits,
    /// For the time, and for the ids of traces.
    pub seam: Seam,
}

struct Door {
    front: FrontDoor,
    places: Semaphore,
}

/// Puts the front door before all routes of a router, and before what is no route.
pub fn guard(router: Router, front: FrontDoor) -> Router {
    let places = Semaphore::new(front.limits.requests_in_flight);
    router.layer(from_fn_with_state(Arc::new(Door { front, places }), enter))
}

async fn enter(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    let context = TraceContext::continue_or_begin(traceparent, &door.front.seam);
    let path = request.extensions().get::<MatchedPath>().cloned();
    let endpoint = path.as_ref().map_or("unmatched", MatchedPath::as_str);
    let method = known(request.method());
    let span = tracing::info_span!("request", trace_id = context.trace_id(), method, endpoint);

    let response =
        AssertUnwindSafe(door.admit(request, next, endpoint, &context)).catch_unwind().instrument(span.clone());
    let response = response.await.unwrap_or_else(|_| {
        // What panicked has been logged by the panic hook, within the span.
        metrics::counter!("panics_total", "operation" => format!("{method} {endpoint}")).increment(1);
        Problem::internal().into_response()
    });
    let response = span.in_scope(|| render(response, context.trace_id()));
    let elapsed_ms = started.elapsed().as_secs_f64() * 1e3;
    metrics::histogram!("book_api_latency_milliseconds", "endpoint" => endpoint.to_owned(), "method" => method)
        .record(elapsed_ms);
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), elapsed_ms, "answered"));
    response
}

/// A method's name, as far as it is one of the usual: a label must not take any value that somebody sends.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

impl Door {
    async fn admit(&self, mut request: Request, next: Next, endpoint: &str, context: &TraceContext) -> Response {
        let limits = self.front.limits;
        let verdict = look_up(endpoint, request.method());
        let refusal = match within_bounds(&request, &limits) {
            Ok(()) => self.judge(verdict, endpoint, &mut request).err().map(Denied::into_response),
            Err(problem) => Some(problem.into_response()),
        };
        if let Some(refusal) = refusal {
            drain(request).await;
            return refusal;
        }
        // Monitoring gets in however full it is.
        let place = self.places.try_acquire();
        if place.is_err() && verdict != Verdict::Listed(Access::Operational) {
            drain(request).await;
            return overloaded().into_response();
        }
        request.extensions_mut().insert(context.clone());
        let request = match arrived(request, &limits).await {
            Ok(request) => request,
            Err(problem) => return problem.into_response(),
        };
        match timeout(limits.handling_timeout, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                tracing::error!("handling the request took too long");
                unavailable().into_response()
            }
        }
    }

    /// Refuses those who may not, and notes who the others are.
    fn judge(&self, verdict: Verdict, endpoint: &str, request: &mut Request) -> Result<(), Denied> {
        let access = match verdict {
            // No such route, or not with this method: the router says so.
            Verdict::OtherMethod => return Ok(()),
            Verdict::Unlisted if endpoint == "unmatched" => return Ok(()),
            Verdict::Unlisted => return Err(Denied::Forbidden),
            Verdict::Listed(access) => access,
        };
        if matches!(access, Access::Operational | Access::Signed) {
            return Ok(());
        }
        let principal = self.principal(request.headers())?;
        match (access, &principal) {
            (Access::Read, None) if !self.front.public_reads => return Err(Denied::NoToken),
            (Access::Roles(_) | Access::Own, None) => return Err(Denied::NoToken),
            (Access::Roles(roles), Some(principal)) if !has_one(principal, roles) => {
                return Err(Denied::Forbidden);
            }
            _ => {}
        }
        if let Some(principal) = principal {
            let reach = if has_one(&principal, STAFF_ROLES) { Reach::All } else { Reach::Own };
            request.extensions_mut().insert(reach);
            request.extensions_mut().insert(principal);
        }
        Ok(())
    }

    /// The bearer of the request's token (RFC 6750 section 2.1); a token that is not valid is refused wherever it comes.
    fn principal(&self, headers: &HeaderMap) -> Result<Option<Principal>, Denied> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let bearer = value.to_str().ok().filter(|_| values.next().is_none()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let token = bearer
            .ok_or_else(|| Denied::InvalidToken("`Authorization` holds other than one `Bearer <token>`".to_owned()))?;
        let now = self.front.seam.clock.now();
        self.front.verifier.verify(token, now).map(Some).map_err(|error| Denied::InvalidToken(error.to_string()))
    }
}

fn has_one(principal: &Principal, roles: &[Role]) -> bool {
    roles.iter().any(|role| principal.roles.iter().any(|held| held == role.name()))
}

fn within_bounds(request: &Request, limits: &Limits) -> Result<(), Problem> {
    let uri_bytes = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if uri_bytes > limits.uri_bytes {
        let detail = format!("path and query have {uri_bytes} bytes, at most {} are taken", limits.uri_bytes);
        return Err(Problem::new(Rule::UriTooLong, detail));
    }
    let headers = request.headers();
    let header_bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > limits.header_fields || header_bytes > limits.header_bytes {
        let (fields, bytes) = (limits.header_fields, limits.header_bytes);
        let detail = format!("at most {fields} header fields of together {bytes} bytes are taken");
        return Err(Problem::new(Rule::HeadersTooLarge, detail));
    }
    Ok(())
}

/// Reads what is left of a refused request, if it is little: a connection with an unread body has to be closed, which
/// the next request on it would meet.
async fn drain(request: Request) {
    let _ = timeout(DRAIN_TIMEOUT, to_bytes(request.into_body(), DRAIN_BYTES)).await;
}

/// The request with its whole body, once that has come.
async fn arrived(request: Request, limits: &Limits) -> Result<Request, Problem> {
    let too_large = || {
        let detail = format!("the body is larger than {} bytes", limits.body_bytes);
        Problem::new(Rule::ContentTooLarge, detail)
    };
    let (parts, body) = request.into_parts();
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limits.body_bytes as u64) {
        return Err(too_large());
    }
    let bytes = timeout(limits.body_timeout, to_bytes(body, limits.body_bytes)).await;
    let bytes = bytes.map_err(|_| Problem::new(Rule::RequestTimeout, "the body did not arrive in time"))?;
    let bytes = bytes.map_err(|error| {
        let source = std::error::Error::source(&error);
        match source.is_some_and(|source| source.is::<http_body_util::LengthLimitError>()) {
            true => too_large(),
            false => Problem::new(Rule::Malformed, "the body did not arrive whole"),
        }
    })?;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Gives a refusal its body, also one that the router made, with the trace by which the log tells more.
fn render(mut response: Response, trace_id: &str) -> Response {
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| {
        let status = response.status();
        (status.is_client_error() || status.is_server_error()).then(|| Problem::from_status(status))
    });
    let Some(problem) = problem else { return response };
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::from_u16(problem.rule.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if parts.status == StatusCode::SERVICE_UNAVAILABLE {
        parts.headers.entry(RETRY_AFTER).or_insert(HeaderValue::from_static("1"));
    }
    Response::from_parts(parts, Body::from(problem.body(trace_id)))
}

/// Why somebody may not.
enum Denied {
    NoToken,
    InvalidToken(String),
    Forbidden,
}

impl IntoResponse for Denied {
    /// What is denied for want of a token says how to bring one (RFC 6750 section 3).
    fn into_response(self) -> Response {
        let (challenge, why) = match self {
            Self::Forbidden => {
                return Problem::new(Rule::Forbidden, "none of the token's roles may do this").into_response();
            }
            Self::NoToken => ("Bearer", "this call needs a token: `Authorization: Bearer <token>`".to_owned()),
            Self::InvalidToken(why) => ("Bearer error=\"invalid_token\"", why),
        };
        let problem = Problem::new(Rule::Unauthenticated, why);
        ([(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))], problem).into_response()
    }
}

fn overloaded() -> Problem {
    Problem::new(Rule::Overloaded, "the server handles as many requests as it can; try again in a second")
}

fn unavailable() -> Problem {
    Problem::new(
        Rule::Unavailable,
        "the request was not handled in time; a repeat with the same key has no second effect",
    )
}
