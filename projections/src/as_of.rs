//! A view's rows of one object as they were at a position: folded from the log, without a store.

use crate::any_view::AnyView;
use crate::worker::{Worker, WorkerError};
use platform::bus::Delivery;
use platform::event_log::{LogError, LogId, Position, RecordedEvent};
use platform::view_store::memory::MemoryStore;
use platform::view_store::{Key, SetAside, ViewStore};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// Events read at once.
const PAGE: usize = 2_000;

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct AsOf {
    /// The object's rows, by key.
    pub rows: Vec<(Key, Value)>,
    /// Where and why the view could not take an event of them.
    pub set_aside: SetAside,
}

/// The rows of a view about `object` (the first value of their keys) as of `position`, folded from the log that `read`
/// reads from its beginning on.
pub async fn rows(
    view: &'static dyn AnyView,
    log: LogId,
    mut read: impl AsyncFnMut(Position, usize) -> Result<Vec<RecordedEvent>, LogError>,
    object: &str,
    position: Position,
) -> Result<AsOf, WorkerError> {
    let store = Arc::new(MemoryStore::new(log, view.key(), SetAside::default()));
    let mut worker = Worker::open(view, Arc::clone(&store) as _).await?;
    let is_of = |key: &Key| key.first().and_then(Value::as_str) == Some(object);
    let (mut at, mut taken) = (Position(0), Position(0));
    let mut streams = BTreeSet::new();
    while at < position {
        let limit = usize::try_from(position.0 - at.0).unwrap_or(PAGE).min(PAGE);
        let page = read(at, limit).await?;
        let Some(last) = page.last() else { break };
        at = last.position;
        let mut deliveries = Vec::new();
        for event in page.into_iter().filter(|event| view.takes(event)) {
            let keys = view.keys(&event, 0);
            let is_about = keys.iter().any(is_of) || event.stream.as_str().contains(object);
            if is_about {
                streams.insert(event.stream.as_str().to_owned());
            }
            // An event that cannot be read sets its stream aside, whatever else that is about.
            if is_about || keys.is_empty() {
                let after = std::mem::replace(&mut taken, event.position);
                let position = event.position;
                deliveries.push(Delivery { log, partition: 0, after, position, event: Some(event) });
            }
        }
        worker.take(&deliveries).await?;
    }
    let rows = store.rows().into_iter().filter(|(key, _)| is_of(key)).collect();
    let mut set_aside = store.set_aside();
    set_aside.parked.retain(|stream, _| streams.contains(stream));
    Ok(AsOf { rows, set_aside })
}
