//! The query API: what its routes share.

use crate::book_cache::BookCache;
use axum::Json;
use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, ETAG, LINK};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use platform::event_log::Position;
use platform::read_store::ReadStore;
use platform::search_index::SearchIndexes;
use platform::vault::Vault;
use platform::view_store::StoreError;
use schemas::http::{MinPosition, PARKED, POSITION, etag, not_modified};
use schemas::problems::{Problem, Rule};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// After how many seconds a read that came too early is worth another try.
const RETRY_AFTER_S: u64 = 1;

/// How much the reads take on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a read waits for the position that it asks for.
    pub wait: Duration,
    /// Bytes of book bodies kept in memory.
    pub book_cache_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { wait: Duration::from_secs(2), book_cache_bytes: 32 << 20 }
    }
}

/// What the read routes need.
#[derive(Clone)]
pub struct QueryApi {
    pub(crate) store: Arc<ReadStore>,
    pub(crate) search: Arc<SearchIndexes>,
    pub(crate) books: Arc<BookCache>,
    pub(crate) vault: Arc<dyn Vault>,
    wait: Duration,
}

impl QueryApi {
    /// Reads `store` and `search`; whose orders are whose, `vault` knows.
    pub fn new(store: Arc<ReadStore>, search: Arc<SearchIndexes>, vault: Arc<dyn Vault>, limits: Limits) -> Self {
        Self { store, search, vault, books: Arc::new(BookCache::new(limits.book_cache_bytes)), wait: limits.wait }
    }

    /// Waits, within bounds, until a view has come as far as the sender asks.
    pub(crate) async fn reach(&self, view: &str, MinPosition(asked): MinPosition) -> Result<(), Problem> {
        let Some(asked) = asked else { return Ok(()) };
        let reached = self.store.wait_for(view, Position(asked));
        self.within_bounds(asked, reached, || self.store.position(view)).await
    }

    /// Waits, within bounds, until searches have come as far as the sender asks.
    pub(crate) async fn reach_search(&self, MinPosition(asked): MinPosition) -> Result<(), Problem> {
        let Some(asked) = asked else { return Ok(()) };
        self.within_bounds(asked, self.search.wait_for(Position(asked)), || self.search.position()).await
    }

    async fn within_bounds(
        &self,
        asked: u64,
        reached: impl Future<Output = Position>,
        position: impl Fn() -> Position,
    ) -> Result<(), Problem> {
        if tokio::time::timeout(self.wait, reached).await.is_ok() {
            return Ok(());
        }
        let position = position().0;
        let detail = format!("position {asked} was asked for, and position {position} is reached");
        Err(Problem {
            position: Some(position),
            retry_after_s: Some(RETRY_AFTER_S),
            ..Problem::new(Rule::NotYet, detail)
        })
    }

    /// Says of an answer, where it is so, that the view has set the object's stream aside.
    pub(crate) fn marked(&self, mut response: Response, view: &str, stream: &str) -> Response {
        if let Some(position) = self.store.parked_at(view, stream) {
            response.headers_mut().insert(PARKED, HeaderValue::from(position.0));
        }
        response
    }
}

/// The read routes, with their part of the OpenAPI document.
pub fn routes(api: QueryApi) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(crate::book::by_id))
        .routes(routes!(crate::book::by_isbn))
        .routes(routes!(crate::book::list))
        .routes(routes!(crate::stock::figures))
        .routes(routes!(crate::stock::ledger))
        .routes(routes!(crate::order::by_id))
        .routes(routes!(crate::order::list))
        .routes(routes!(crate::order::history))
        .routes(routes!(crate::bestseller::list))
        .routes(routes!(crate::search::search))
        .routes(routes!(crate::search::suggestions))
        .with_state(api)
}

/// One object, or that it is as the sender knows it.
pub(crate) fn object(headers: &HeaderMap, body: Bytes, revision: u64, position: Position) -> Response {
    let mut response = if not_modified(headers, revision) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
    };
    response.headers_mut().insert(ETAG, etag(revision));
    response.headers_mut().insert(POSITION, HeaderValue::from(position.0));
    response
}

/// A page of a listing; `next` is the path of the one after it.
pub(crate) fn page(body: impl Serialize, next: Option<&str>, position: Position) -> Response {
    let mut response = Json(body).into_response();
    if let Some(next) = next {
        let link = HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).expect("a path is visible ASCII");
        response.headers_mut().insert(LINK, link);
    }
    response.headers_mut().insert(POSITION, HeaderValue::from(position.0));
    response
}

/// There is no such thing, as far as the view has come.
pub(crate) fn not_found(detail: &str, position: Position) -> Problem {
    Problem { position: Some(position.0), ..Problem::new(Rule::NotFound, detail) }
}

/// The store failed: its reasons are for the log, not for the sender.
pub(crate) fn unavailable(error: StoreError) -> Problem {
    tracing::error!(%error, "a view cannot be read");
    Problem {
        retry_after_s: Some(RETRY_AFTER_S),
        ..Problem::new(Rule::Unavailable, "the views do not answer at the moment")
    }
}
