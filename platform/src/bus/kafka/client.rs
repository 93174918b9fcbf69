//! What every client of the cluster is configured with, and what becomes of that which librdkafka reports by itself.

use super::Settings;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often it is said that the cluster does not answer.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// What is common to all clients.
pub(super) fn config(settings: &Settings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &settings.brokers)
        .set("client.id", "colophon")
        .set("socket.keepalive.enable", "true")
        // A cluster that is back is to be found soon.
        .set("reconnect.backoff.max.ms", "2000")
        .set_log_level(RDKafkaLogLevel::Notice);
    config
}

/// Brings librdkafka's reports to the log.
#[derive(Default)]
pub(super) struct Reports {
    said_at: Mutex<Option<Instant>>,
}

impl ClientContext for Reports {
    /// Every attempt to connect is among these, so they are for whoever looks for a fault.
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(facility, line, "librdkafka reports");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut said_at = self.said_at.lock().expect("nothing panics while it holds this");
        if said_at.is_none_or(|said_at| said_at.elapsed() >= AGAIN_AFTER) {
            *said_at = Some(Instant::now());
            tracing::warn!(%error, reason, "kafka does not answer as it should; waiting for it");
        }
    }
}
