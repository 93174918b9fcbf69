//! Streams that a view has set aside: taking them up again, with the event that stopped them or without it.

use crate::any_view::AnyView;
use crate::worker::WorkerError;
use platform::bus::{Checkpoint, Delivery};
use platform::event_log::{EventLog, LogError, Position, RecordedEvent, Revision, StreamId};
use platform::view_store::{Change, Parked, Skipped, ViewStore};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// Events of a stream read at once.
const PAGE: usize = 1_000;

/// How often a stream is taken up anew because the view moved meanwhile.
const ATTEMPTS: usize = 1_000;

/// What to do with the event that could not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Take it, as a program that was mended can.
    Retry,
    /// Leave it out for good.
    Skip,
}

/// What became of a stream that was taken up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It goes on: so many events that had waited are taken.
    TakenUp {
        /// How many.
        events: u64,
    },
    /// It cannot go on: this event could not be taken.
    Parked(Parked),
    /// The view has not set it aside.
    NotParked,
}

/// Takes up all that a generation has set aside, as far as it can now.
pub(crate) async fn retry_all(
    view: &'static dyn AnyView,
    log: &dyn EventLog,
    store: &Arc<dyn ViewStore>,
) -> Result<(), WorkerError> {
    for stream in store.set_aside().parked.into_keys() {
        if let Outcome::TakenUp { events } = take_up(view, log, store, &stream, Remedy::Retry).await? {
            tracing::info!(view = view.name(), %stream, events, "the view takes a stream up again that it had set aside");
        }
    }
    Ok(())
}

/// Takes up a stream that a generation has set aside: all its events up to where the generation stands, in their order and
/// at once, or up to the next one that it cannot take.
pub async fn take_up(
    view: &'static dyn AnyView,
    log: &dyn EventLog,
    store: &Arc<dyn ViewStore>,
    stream: &str,
    remedy: Remedy,
) -> Result<Outcome, WorkerError> {
    let mut first = None;
    for _ in 0..ATTEMPTS {
        // In this order: if somebody else takes the stream up meanwhile, the checkpoint is no longer the one that was read.
        let checkpoints = store.checkpoints().await?;
        let mut set_aside = store.set_aside();
        let Some(parked) = set_aside.parked.remove(stream) else { return Ok(Outcome::NotParked) };
        let Some(from) = checkpoints.into_iter().find(|checkpoint| checkpoint.partition == parked.partition) else {
            return Ok(Outcome::NotParked);
        };
        // Somebody else took the stream up as far as another event: that is not the one to be left out.
        if remedy == Remedy::Skip && *first.get_or_insert(parked.revision) != parked.revision {
            return Ok(Outcome::Parked(parked));
        }
        let mut change = Change { taken_up: vec![stream.to_owned()], ..Change::of(from.clone(), from.position) };
        if remedy == Remedy::Skip {
            let Parked { stream, revision, position, reason, .. } = parked.clone();
            change.skipped.push(Skipped { stream, revision, position, reason });
            set_aside.change(&change);
        }
        let deliveries = waiting(log, &parked, &from).await?;
        let deliveries: Vec<_> = deliveries.iter().collect();
        let folded = view.fold(&deliveries, &set_aside, store.as_ref()).await?;
        // They were counted when they were set aside.
        (change.upserts, change.deletes, change.parked) = (folded.upserts, folded.deletes, folded.parked);
        if store.write(&change).await? {
            let stopped = change.parked.into_iter().next();
            let left_out = u64::from(remedy == Remedy::Skip);
            let events = folded.tally.events - left_out;
            return Ok(stopped.map_or(Outcome::TakenUp { events }, Outcome::Parked));
        }
    }
    let what = format!("the view `{}` moved whenever the stream was to be taken up; try again", view.name());
    Err(LogError::Unavailable(what).into())
}

/// The events of a parked stream that a generation has passed by, as deliveries of their partition.
async fn waiting(log: &dyn EventLog, parked: &Parked, at: &Checkpoint) -> Result<Vec<Delivery>, LogError> {
    let stream = StreamId::new(&parked.stream);
    let mut deliveries: Vec<Delivery> = Vec::new();
    let mut after = Revision(parked.revision - 1);
    loop {
        let events = log.read_stream(&stream, after, PAGE).await?;
        let is_last = events.len() < PAGE;
        for event in events {
            if event.position > at.position {
                return Ok(deliveries);
            }
            after = event.revision;
            deliveries.push(delivery(at, event));
        }
        if is_last {
            return Ok(deliveries);
        }
    }
}

fn delivery(at: &Checkpoint, event: RecordedEvent) -> Delivery {
    let position = event.position;
    Delivery { log: at.log, partition: at.partition, after: Position(position.0 - 1), position, event: Some(event) }
}
