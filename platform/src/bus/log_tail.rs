//! The bus of a single process: the log's own tail, as one partition.

use super::{Bus, BusError, Delivery};
use crate::event_log::{EventLog, LogError, Position, RecordedEvent};
use futures_util::future::{BoxFuture, FutureExt};
use std::sync::Arc;

/// Deliveries straight from the log.
pub struct LogTail {
    log: Arc<dyn EventLog>,
    position: Position,
}

impl LogTail {
    /// Delivers what comes after `position`.
    pub fn new(log: Arc<dyn EventLog>, position: Position) -> Self {
        Self { log, position }
    }
}

impl Bus for LogTail {
    fn next(&mut self, limit: usize) -> BoxFuture<'_, Result<Vec<Delivery>, BusError>> {
        let silent = |error: LogError| BusError(error.to_string());
        async move {
            self.log.wait_past(self.position).await.map_err(silent)?;
            let events = self.log.read_all(self.position, limit).await.map_err(silent)?;
            let log = self.log.id();
            let deliver = |event: RecordedEvent| {
                let after = std::mem::replace(&mut self.position, event.position);
                Delivery { log, partition: 0, after, position: event.position, event: Some(event) }
            };
            Ok(events.into_iter().map(deliver).collect())
        }
        .boxed()
    }
}
