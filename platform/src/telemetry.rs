//! Logs and metrics: where they go and in what form.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::io::IsTerminal;
use std::time::Duration;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// The upper bounds of the buckets of every histogram of milliseconds: 0.1 ms to 10 s, finer where answers should be,
/// and at 800 ms, where the alert is.
const BUCKETS_MS: [f64; 18] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1_500.0, 2_500.0, 4_000.0, 6_000.0,
    10_000.0,
];

/// How often samples are moved into their buckets; until then each costs memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people at a terminal.
    Human,
    /// One JSON object per line, for machines.
    Json,
}

/// Why there is no telemetry.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("the log filter {filter:?} cannot be read: {reason}")]
    Filter {
        /// The filter.
        filter: String,
        /// Where it is wrong.
        reason: String,
    },
    /// There can be one destination per process.
    #[error("logs or metrics have a destination already")]
    Twice,
}

/// Sends the process's log to standard error, as far as `filter` lets it: a level, or `target=level` pairs.
///
/// A line written while a request is handled has the request's `trace_id`, by the span it is in.
pub fn init(format: Format, filter: &str) -> Result<(), TelemetryError> {
    let filter = check_filter(filter)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let initialised = match format {
        Format::Human => lines.finish().try_init(),
        Format::Json => lines.json().flatten_event(true).with_span_list(false).finish().try_init(),
    };
    initialised.map_err(|_| TelemetryError::Twice)
}

/// Reads a filter: a level, or `target=level` pairs.
pub fn check_filter(filter: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::try_new(filter)
        .map_err(|error| TelemetryError::Filter { filter: filter.to_owned(), reason: error.to_string() })
}

/// Sends panics to the log as well, in its form and with the trace id of the request that they happened in.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a thread panicked")));
}

/// What the process's metrics are read from.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// Makes the process's metrics go where they can be read from.
pub fn install_metrics() -> Result<Metrics, TelemetryError> {
    let recorder = recorder();
    let metrics = Metrics(recorder.handle());
    metrics::set_global_recorder(recorder).map_err(|_| TelemetryError::Twice)?;
    Ok(metrics)
}

fn recorder() -> metrics_exporter_prometheus::PrometheusRecorder {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_milliseconds".to_owned()), &BUCKETS_MS)
        .expect("the buckets are not empty")
        .build_recorder()
}

impl Metrics {
    /// Every metric, in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Keeps the samples between two readings from piling up; runs until it is stopped.
    pub async fn keep(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(UPKEEP)).await.is_some() {
            self.0.run_upkeep();
        }
    }
}

#[cfg(test)]
mod tests;
