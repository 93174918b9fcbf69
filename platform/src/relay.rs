//! The relay: sends the log to Kafka, batch by batch, as facts that workers check for completeness.

use crate::bus::kafka::Settings;
use crate::event_log::{EventLog, LogId, Position};
use crate::postgres::lease::Standing;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How far a log has been sent to a topic, as all nodes know it.
pub struct RelayProgress {}

impl RelayProgress {
    /// Knows the table; nothing of the log is sent yet where it has no row.
    pub async fn open(_url: &str, _log: LogId, _topic: &str) -> Result<Self, sqlx::Error> {
        unimplemented!()
    }

    /// All up to here is in the topic.
    pub async fn position(&self) -> Result<Position, sqlx::Error> {
        unimplemented!()
    }
}

/// Sends the log until it is stopped, from where it was left.
pub async fn run(
    _log: Arc<dyn EventLog>,
    _settings: Settings,
    _progress: Arc<RelayProgress>,
    _stop: CancellationToken,
) {
    unimplemented!()
}

/// Sends the log whenever the lease is ours, until it is stopped.
pub async fn run_with_lease(
    _standing: watch::Receiver<Standing>,
    _log: Arc<dyn EventLog>,
    _settings: Settings,
    _progress: Arc<RelayProgress>,
    _stop: CancellationToken,
) {
    unimplemented!()
}
