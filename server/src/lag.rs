//! How far a view is behind the log.

use platform::event_log::{EventLog, LogError, Position};
use platform::seam::Timestamp;
use serde::{Deserialize, Serialize};

/// What a view has still to take.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Lag {
    /// How many events.
    pub events: u64,
    /// From the last event that it has taken to the log's last one.
    pub seconds: f64,
    /// How long ago the oldest event was recorded that it has not taken.
    pub oldest_seconds: f64,
}

impl Lag {
    /// The lag of a view at `position` behind `head`.
    pub async fn of(log: &dyn EventLog, position: Position, head: Position, now: Timestamp) -> Result<Self, LogError> {
        if position >= head {
            return Ok(Self::default());
        }
        let at = async |position: u64| -> Result<Timestamp, LogError> {
            let events = log.read_all(Position(position.saturating_sub(1)), 1).await?;
            Ok(events.first().map_or(now, |event| event.envelope.recorded_at))
        };
        let (taken, oldest, last) = (at(position.0).await?, at(position.0 + 1).await?, at(head.0).await?);
        let seconds = |from: Timestamp, to: Timestamp| (to.0 - from.0).max(0) as f64 / 1e6;
        Ok(Self { events: head.0 - position.0, seconds: seconds(taken, last), oldest_seconds: seconds(oldest, now) })
    }
}
