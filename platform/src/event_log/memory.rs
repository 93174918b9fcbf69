//! An event log in memory: for tests, and gone with the process.

use super::intake::{self, Intake};
use super::seal::{self, Head, Heads, seal};
use super::{Append, EventId, EventLog, LogError, LogId, Position, RecordedEvent, Revision, StreamId, Verdict};
use futures_util::future::{BoxFuture, FutureExt};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use tokio::sync::{mpsc, watch};

/// The log.
pub struct MemoryLog {
    id: LogId,
    records: Mutex<Records>,
    head: watch::Sender<Position>,
}

#[derive(Default)]
struct Records {
    events: Vec<RecordedEvent>,
    /// Where in `events` each stream's are.
    streams: HashMap<StreamId, Vec<usize>>,
    by_id: HashMap<EventId, usize>,
}

impl MemoryLog {
    /// An empty log.
    pub fn new(id: LogId) -> Self {
        Self { id, records: Mutex::default(), head: watch::Sender::new(Position(0)) }
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().expect("nothing panics while it holds the records")
    }
}

impl Records {
    fn heads(&self, batch: &[Append]) -> Heads {
        let head = |append: &Append| {
            let last = self.streams.get(&append.stream)?.last()?;
            Some((append.stream.clone(), Head::of(&self.events[*last])))
        };
        let first_ids =
            batch.iter().flat_map(|append| &append.decisions).map(|decision| EventId::of(decision.command_id, 0));
        Heads {
            position: Position(self.events.len() as u64),
            streams: batch.iter().filter_map(head).collect(),
            recorded: first_ids.filter_map(|id| Some((id, self.events[*self.by_id.get(&id)?].clone()))).collect(),
        }
    }

    fn append(&mut self, batch: Vec<Append>) -> Vec<Verdict> {
        let (verdicts, events) = seal(&self.heads(&batch), batch);
        for event in events {
            self.add(event);
        }
        verdicts
    }

    fn add(&mut self, event: RecordedEvent) {
        let place = self.events.len();
        self.streams.entry(event.stream.clone()).or_default().push(place);
        self.by_id.insert(event.envelope.id, place);
        self.events.push(event);
    }

    fn import(&mut self, events: Vec<RecordedEvent>) -> Result<Position, LogError> {
        let head = Position(self.events.len() as u64);
        if head.0 > 0 {
            return Err(intake::not_empty(head));
        }
        let ids: HashSet<_> = events.iter().map(|event| event.envelope.id).collect();
        if ids.len() < events.len() {
            return Err(intake::repeated_id());
        }
        for event in events {
            self.add(event);
        }
        Ok(Position(self.events.len() as u64))
    }
}

impl EventLog for MemoryLog {
    fn id(&self) -> LogId {
        self.id
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Vec<Verdict>, LogError>> {
        async move {
            let mut records = self.records();
            let verdicts = records.append(batch);
            self.head.send_replace(Position(records.events.len() as u64));
            Ok(verdicts)
        }
        .boxed()
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        let records = self.records();
        let places = records.streams.get(stream).map(Vec::as_slice).unwrap_or_default();
        let after = usize::try_from(after.0).unwrap_or(usize::MAX).min(places.len());
        let (before, after) = places.split_at(after);
        let before = before.last().map(|place| Head::of(&records.events[*place]));
        let events: Vec<_> = after.iter().take(limit).map(|place| records.events[*place].clone()).collect();
        let verified = seal::verify_stream(before.unwrap_or_default(), &events);
        std::future::ready(verified.map(|()| events)).boxed()
    }

    fn read_all(&self, after: Position, limit: usize) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        let places = usize::try_from(after.0).unwrap_or(usize::MAX);
        let events: Vec<_> = self.records().events.iter().skip(places).take(limit).cloned().collect();
        std::future::ready(seal::verify_all(after, &events).map(|()| events)).boxed()
    }

    fn wait_past(&self, position: Position) -> BoxFuture<'_, Result<Position, LogError>> {
        super::wait_past(self.head.subscribe(), position).boxed()
    }

    fn import(&self, last: Position, pages: mpsc::Receiver<Vec<RecordedEvent>>) -> BoxFuture<'_, Result<(), LogError>> {
        async move {
            let (mut intake, mut events) = (Intake::new(last, pages), Vec::new());
            while let Some(page) = intake.next().await? {
                events.extend(page);
            }
            let head = self.records().import(events)?;
            self.head.send_replace(head);
            Ok(())
        }
        .boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        std::future::ready(Ok(*self.head.borrow())).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_log::conformance;
    use std::sync::Arc;
    use uuid::Uuid;

    #[tokio::test]
    async fn conforms() {
        conformance::run(async |_| Arc::new(MemoryLog::new(LogId(Uuid::from_u128(1)))) as Arc<dyn EventLog>).await;
    }
}
