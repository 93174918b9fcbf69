//! Streams as aggregates: events out of decisions, state out of events.

use crate::commands::{Loaded, Request};
use domain::Event;
use platform::event_log::{
    Envelope, EventId, EventLog, LogError, NewEvent, Position, RecordedEvent, Revision, StreamId,
};
use platform::seam::Timestamp;
use schemas::events::DecodeError;
use std::sync::Arc;

/// Events read at once while a stream is folded.
const PAGE: usize = 1_000;

/// Why a stream could not be folded into an aggregate.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The log did not give its events.
    #[error(transparent)]
    Log(#[from] LogError),
    /// No aggregate has a stream of this name.
    #[error("stream {0} belongs to no aggregate that this version knows")]
    UnknownStream(StreamId),
    /// An event of it cannot be read.
    #[error("stream {stream}, revision {revision}: {source}")]
    Undecodable {
        /// Which stream.
        stream: StreamId,
        /// Which of its events.
        revision: u64,
        /// Why not.
        source: DecodeError,
    },
}

/// The events of one command, as they go to the log.
pub(crate) fn encode(request: &Request, events: &[Event], recorded_at: Timestamp) -> Vec<NewEvent> {
    let new_event = |(n, event)| {
        let encoded = schemas::events::encode(event);
        let envelope = Envelope {
            id: EventId::of(request.id, n),
            command_id: request.id,
            body_hash: request.body_hash,
            event_type: encoded.event_type.to_owned(),
            version: encoded.version,
            recorded_at,
            traceparent: request.traceparent.clone(),
        };
        NewEvent { envelope, data: encoded.data.into() }
    };
    (0..).zip(events).map(new_event).collect()
}

/// The aggregate as the whole stream tells it, and the position of its last event.
pub(crate) async fn load(log: &dyn EventLog, stream: &StreamId) -> Result<(Loaded, Position), LoadError> {
    let mut fold = Fold::of(stream)?;
    let mut last = Position(0);
    loop {
        let events = log.read_stream(stream, fold.revision, PAGE).await?;
        for event in &events {
            fold = fold.take(event)?;
            last = event.position;
        }
        if events.len() < PAGE {
            return Ok((fold.loaded(), last));
        }
    }
}

/// The aggregate as it was after the command whose first event is `first`, and the position of its last event.
pub(crate) async fn recall(log: &dyn EventLog, first: &RecordedEvent) -> Result<(Loaded, Position), LoadError> {
    let mut fold = Fold::of(&first.stream)?;
    let mut last = first.position;
    loop {
        let events = log.read_stream(&first.stream, fold.revision, PAGE).await?;
        for event in &events {
            if event.revision > first.revision && event.envelope.command_id != first.envelope.command_id {
                return Ok((fold.loaded(), last));
            }
            fold = fold.take(event)?;
            last = event.position;
        }
        if events.len() < PAGE {
            return Ok((fold.loaded(), last));
        }
    }
}

struct Fold {
    state: domain::State,
    revision: Revision,
}

impl Fold {
    fn of(stream: &StreamId) -> Result<Self, LoadError> {
        let owner = schemas::stream::parse(stream.as_str());
        let owner = owner.ok_or_else(|| LoadError::UnknownStream(stream.clone()))?;
        Ok(Self { state: schemas::stream::empty(&owner), revision: Revision(0) })
    }

    fn take(self, recorded: &RecordedEvent) -> Result<Self, LoadError> {
        let Envelope { event_type, version, .. } = &recorded.envelope;
        let event = schemas::events::decode(event_type, *version, &recorded.data).map_err(|source| {
            LoadError::Undecodable { stream: recorded.stream.clone(), revision: recorded.revision.0, source }
        })?;
        Ok(Self { state: domain::evolve(self.state, &event), revision: recorded.revision })
    }

    fn loaded(self) -> Loaded {
        Loaded { state: Arc::new(self.state), revision: self.revision }
    }
}
