//! Operational routes: whether the process lives, is ready, how it fares, and what its API is.

use crate::lag::Lag;
use crate::views::Views;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use platform::event_log::{EventLog, Position};
use platform::seam::Seam;
use platform::telemetry::Metrics;
use projections::any_view;
use projections::health::Health;
use schemas::problems::{Problem, Rule};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the operational routes look at.
#[derive(Clone)]
pub struct Operations {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The views, where this process has any.
    pub views: Option<Views>,
    /// Those that this process builds or reads.
    pub names: Vec<&'static str>,
    /// How they fare, where this process watches them.
    pub health: Option<Arc<Health>>,
    /// Where the log stood at the start: views that have come so far show all that was written before it.
    pub caught_up_at: Position,
    /// The process's metrics.
    pub metrics: Metrics,
    /// The OpenAPI document.
    pub document: Arc<OnceLock<String>>,
    /// Set when the process is going down.
    pub stopping: CancellationToken,
    /// For the age of what is not in a view yet.
    pub seam: Seam,
}

/// The operational routes.
pub fn routes(operations: Operations) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(livez))
        .routes(routes!(readyz))
        .routes(routes!(metrics_text))
        .routes(routes!(openapi_json))
        .routes(routes!(problems))
        .with_state(operations)
}

/// Whether the process lives.
#[utoipa::path(get, path = "/livez", tag = "operations", responses((status = 200, description = "It does", body = String)))]
async fn livez() -> &'static str {
    "alive\n"
}

/// How far the log and its views are.
#[derive(Debug, Serialize, ToSchema)]
struct Readiness {
    /// The log's last position.
    position: u64,
    /// How far each view has come.
    views: BTreeMap<&'static str, u64>,
    /// How many streams views have set aside, where they have: `colophon dead-letters list` names them.
    parked: BTreeMap<&'static str, usize>,
    /// What is wrong and needs somebody to look at it.
    alarms: Vec<String>,
}

/// Whether requests should be sent here.
#[utoipa::path(
    get, path = "/readyz", tag = "operations",
    responses(
        (status = 200, description = "They should", body = Readiness),
        (status = 503, description = "Views have not caught up with the log yet, or the process is going down", body = schemas::problems::Body),
    )
)]
async fn readyz(State(operations): State<Operations>) -> Result<Json<Readiness>, Problem> {
    if operations.stopping.is_cancelled() {
        return Err(Problem::new(Rule::Unavailable, "the server is stopping"));
    }
    let views = operations.views();
    for (view, position) in &views {
        if *position < operations.caught_up_at {
            let (position, end) = (position.0, operations.caught_up_at.0);
            let detail = format!("the view `{view}` is at position {position}, on its way to {end}");
            return Err(Problem::new(Rule::Unavailable, detail));
        }
    }
    let position = operations.log.head().await.map_err(|error| {
        tracing::error!(%error, "the log does not tell where it ends");
        Problem::new(Rule::Unavailable, "the event log does not answer")
    })?;
    let set_aside = operations.health.iter().flat_map(|health| health.set_aside());
    let parked = set_aside.map(|(view, set_aside)| (view, set_aside.parked.len())).filter(|(_, streams)| *streams > 0);
    Ok(Json(Readiness {
        position: position.0,
        views: views.into_iter().map(|(view, at)| (view, at.0)).collect(),
        parked: parked.collect(),
        alarms: operations.health.iter().flat_map(|health| health.alarms()).map(|alarm| alarm.to_string()).collect(),
    }))
}

/// How the process fares, in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses((status = 200, description = "Every metric", body = String)))]
async fn metrics_text(State(operations): State<Operations>) -> Response {
    operations.measure_lag().await;
    let text_format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, text_format)], operations.metrics.render()).into_response()
}

impl Operations {
    /// How far reads of each view are.
    fn views(&self) -> BTreeMap<&'static str, Position> {
        let Some(views) = &self.views else { return BTreeMap::new() };
        let ours = any_view::ALL.into_iter().filter(|view| self.names.contains(&view.name()));
        ours.filter_map(|view| Some((view.name(), views.position(view)?))).collect()
    }

    /// How far the views are behind the log, now that somebody asks.
    async fn measure_lag(&self) {
        let Ok(head) = self.log.head().await else { return };
        metrics::gauge!("log_position").set(head.0 as f64);
        for (view, position) in self.views() {
            let Ok(lag) = Lag::of(self.log.as_ref(), position, head, self.seam.clock.now()).await else { continue };
            metrics::gauge!("projection_lag_events", "view" => view).set(lag.events as f64);
            metrics::gauge!("projection_lag_seconds", "view" => view).set(lag.seconds);
            metrics::gauge!("projection_oldest_event_seconds", "view" => view).set(lag.oldest_seconds);
        }
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
async fn openapi_json(State(operations): State<Operations>) -> Response {
    let document = operations.document.get().cloned().unwrap_or_default();
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], document).into_response()
}

/// The rules that a request can break, to which `type` of a problem points.
#[utoipa::path(get, path = "/problems", tag = "operations", responses((status = 200, description = "The list", body = String, content_type = "text/markdown")))]
async fn problems() -> Response {
    let markdown = HeaderValue::from_static("text/markdown; charset=utf-8");
    ([(CONTENT_TYPE, markdown)], Rule::document()).into_response()
}
