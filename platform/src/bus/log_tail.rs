//! The bus of a single process: the log's own tail, as one partition, read once for all views.

use super::{Bus, BusError, Deliveries, Delivery};
use crate::event_log::{EventLog, LogError, Position, RecordedEvent};
use futures_util::future::{BoxFuture, FutureExt};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Events that are kept for those who come later, and bytes of their data.
const EVENTS: usize = 4_096;
const BYTES: usize = 16 << 20;

/// A log, and the last events that were read from it.
pub struct Recent {
    log: Arc<dyn EventLog>,
    events: Mutex<Events>,
}

/// Events that follow on each other.
#[derive(Default)]
struct Events {
    events: VecDeque<RecordedEvent>,
    bytes: usize,
}

impl Recent {
    /// Nothing is read yet.
    pub fn of(log: Arc<dyn EventLog>) -> Arc<Self> {
        Arc::new(Self { log, events: Mutex::default() })
    }

    /// The events after a position. Of several tails that stand at the same place, one reads for all.
    async fn after(&self, position: Position, limit: usize) -> Result<Vec<RecordedEvent>, LogError> {
        let mut recent = self.events.lock().await;
        if let Some((first, last)) = recent.bounds() {
            if position.0 + 1 < first.0 {
                // Far behind: it should not keep the others waiting.
                drop(recent);
                return self.log.read_all(position, limit).await;
            }
            if position < last {
                return Ok(recent.after(position, limit));
            }
        }
        let events = self.log.read_all(position, limit).await?;
        recent.add(&events);
        Ok(events)
    }
}

impl Deliveries for Recent {
    fn subscribe(self: Arc<Self>, after: Position) -> Box<dyn Bus> {
        Box::new(LogTail::new(self, after))
    }
}

impl Events {
    fn bounds(&self) -> Option<(Position, Position)> {
        Some((self.events.front()?.position, self.events.back()?.position))
    }

    fn after(&self, position: Position, limit: usize) -> Vec<RecordedEvent> {
        let behind = self.events.partition_point(|event| event.position <= position);
        self.events.iter().skip(behind).take(limit).cloned().collect()
    }

    fn add(&mut self, events: &[RecordedEvent]) {
        let follows =
            |last: &RecordedEvent| events.first().is_some_and(|first| first.position.0 == last.position.0 + 1);
        if !self.events.back().is_some_and(follows) {
            *self = Self::default();
        }
        for event in events {
            self.bytes += event.data.len();
            self.events.push_back(event.clone());
        }
        while self.events.len() > EVENTS || self.bytes > BYTES {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.data.len();
        }
    }
}

/// Deliveries straight from the log.
pub struct LogTail {
    recent: Arc<Recent>,
    position: Position,
}

impl LogTail {
    /// Delivers what comes after `position`.
    pub fn new(recent: Arc<Recent>, position: Position) -> Self {
        Self { recent, position }
    }
}

impl Bus for LogTail {
    fn next(&mut self, limit: usize) -> BoxFuture<'_, Result<Vec<Delivery>, BusError>> {
        let silent = |error: LogError| BusError(error.to_string());
        async move {
            self.recent.log.wait_past(self.position).await.map_err(silent)?;
            let events = self.recent.after(self.position, limit).await.map_err(silent)?;
            let reached = events.last().map_or(self.position, |event| event.position);
            let after = std::mem::replace(&mut self.position, reached);
            Ok(Delivery::of_whole_log(self.recent.log.id(), after, events))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_log::memory::MemoryLog;
    use crate::event_log::{
        Append, BodyHash, CommandId, Decision, Envelope, EventId, LogId, NewEvent, Revision, StreamId,
    };
    use crate::seam::Timestamp;
    use proptest::prelude::*;
    use uuid::Uuid;

    async fn append(log: &MemoryLog, revision: u64, bytes: usize) {
        let command_id = CommandId(Uuid::from_u128(u128::from(revision) + 1));
        let envelope = Envelope {
            id: EventId::of(command_id, 0),
            command_id,
            body_hash: BodyHash([0; 32]),
            event_type: "Happened".to_owned(),
            version: 1,
            recorded_at: Timestamp(0),
            traceparent: String::new(),
        };
        let event = NewEvent { envelope, data: vec![b'x'; bytes].into() };
        let append = Append {
            stream: StreamId::new("a"),
            expected: Revision(revision),
            decisions: vec![Decision { command_id, events: vec![event] }],
        };
        log.append(vec![append]).await.unwrap();
    }

    fn log() -> Arc<MemoryLog> {
        Arc::new(MemoryLog::new(LogId(Uuid::from_u128(1))))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

        /// However several tails take turns, and wherever they begin, each gets every event once and in order.
        #[test]
        fn every_tail_gets_every_event_once(turns in prop::collection::vec((0..4_usize, 1..9_usize), 1..120)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let log = log();
                let recent = Recent::of(Arc::clone(&log) as Arc<dyn EventLog>);
                let begins = [0, 0, 7];
                let mut tails = begins.map(|begin| LogTail::new(Arc::clone(&recent), Position(begin)));
                let mut got = begins.map(|begin| vec![begin]);
                let mut written = 0;
                for (who, count) in turns {
                    if who == 3 {
                        for _ in 0..count {
                            append(&log, written, 300 << 10).await;
                            written += 1;
                        }
                    } else if tails[who].position.0 < written {
                        for delivery in tails[who].next(count).await.unwrap() {
                            assert_eq!(delivery.after.0, *got[who].last().unwrap());
                            got[who].push(delivery.position.0);
                        }
                    }
                }
                for got in got {
                    assert!(got.windows(2).all(|two| two[0] + 1 == two[1]), "{got:?}");
                }
                let kept = recent.events.lock().await;
                assert!(kept.bytes <= BYTES && kept.bytes == kept.events.iter().map(|event| event.data.len()).sum::<usize>());
            });
        }
    }
}
