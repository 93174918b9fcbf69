//! Streams as aggregates: events out of decisions, state out of events.

pub(crate) mod snapshot;
#[cfg(test)]
mod tests;

use crate::commands::{Loaded, Request};
use domain::Event;
use platform::event_log::{
    Envelope, EventId, EventLog, LogError, NewEvent, Position, RecordedEvent, Revision, StreamId,
};
use platform::seam::Timestamp;
use platform::snapshot_store::SnapshotStore;
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
    /// It does not reach as far as somebody says who saw it.
    #[error("stream {stream} ends before revision {revision}")]
    Short {
        /// Which stream.
        stream: StreamId,
        /// How far it should reach.
        revision: u64,
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

/// Where streams are read from.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) log: Arc<dyn EventLog>,
    /// None: every stream is folded from its first event.
    pub(crate) snapshots: Option<Arc<SnapshotStore>>,
}

/// An aggregate that was read.
pub(crate) struct Read {
    pub(crate) loaded: Loaded,
    /// The position of its last event.
    pub(crate) last: Position,
    /// The revision of the snapshot that its fold began with; 0 = with its first event.
    pub(crate) begun_at: Revision,
}

impl Streams {
    /// The aggregate as the whole stream tells it.
    pub(crate) async fn load(&self, stream: &StreamId) -> Result<Read, LoadError> {
        let mut fold = self.begin(stream, Revision(u64::MAX)).await?;
        let begun_at = fold.revision;
        loop {
            let events = self.log.read_stream(stream, fold.revision, PAGE).await?;
            for event in &events {
                fold = fold.take(event)?;
            }
            if events.len() < PAGE {
                return Ok(fold.read(begun_at));
            }
        }
    }

    /// The aggregate as it was after the command whose first event is `first`.
    pub(crate) async fn recall(&self, first: &RecordedEvent) -> Result<Read, LoadError> {
        let mut fold = self.begin(&first.stream, first.revision).await?;
        let begun_at = fold.revision;
        loop {
            let events = self.log.read_stream(&first.stream, fold.revision, PAGE).await?;
            for event in &events {
                if event.revision > first.revision && event.envelope.command_id != first.envelope.command_id {
                    return Ok(fold.read(begun_at));
                }
                fold = fold.take(event)?;
            }
            if events.len() < PAGE {
                return Ok(fold.read(begun_at));
            }
        }
    }

    /// The aggregate as it was at a revision.
    #[cfg(feature = "grpc")]
    pub(crate) async fn load_at(&self, stream: &StreamId, revision: Revision) -> Result<Loaded, LoadError> {
        let mut fold = self.begin(stream, Revision(revision.0.saturating_add(1))).await?;
        while fold.revision < revision {
            let events = self.log.read_stream(stream, fold.revision, PAGE).await?;
            if events.is_empty() {
                return Err(LoadError::Short { stream: stream.clone(), revision: revision.0 });
            }
            for event in events.iter().take_while(|event| event.revision <= revision) {
                fold = fold.take(event)?;
            }
        }
        Ok(fold.read(Revision(0)).loaded)
    }

    /// What a fold up to a revision begins with.
    #[cfg(feature = "grpc")]
    pub(crate) async fn begin_at(&self, stream: &StreamId, revision: Revision) -> Result<Loaded, LoadError> {
        let fold = self.begin(stream, Revision(revision.0.saturating_add(1))).await?;
        Ok(fold.read(Revision(0)).loaded)
    }

    /// The next events after a revision; none at the stream's end.
    #[cfg(feature = "grpc")]
    pub(crate) async fn page(&self, stream: &StreamId, after: Revision) -> Result<Vec<Event>, LoadError> {
        self.log.read_stream(stream, after, PAGE).await?.iter().map(decode).collect()
    }

    /// What the stream's fold begins with: its snapshot, if there is one before this revision that fits, or nothing.
    async fn begin(&self, stream: &StreamId, before: Revision) -> Result<Fold, LoadError> {
        let owner = schemas::stream::parse(stream.as_str());
        let owner = owner.ok_or_else(|| LoadError::UnknownStream(stream.clone()))?;
        let empty = Fold { state: schemas::stream::empty(&owner), revision: Revision(0), last: Position(0) };
        let Some(store) = self.snapshots.as_ref().filter(|_| schemas::snapshots::are_kept(&owner)) else {
            return Ok(empty);
        };
        Ok(snapshot::find(self.log.as_ref(), store, stream, &owner, before).await.unwrap_or(empty))
    }
}

struct Fold {
    state: domain::State,
    revision: Revision,
    last: Position,
}

impl Fold {
    fn take(self, recorded: &RecordedEvent) -> Result<Self, LoadError> {
        let state = domain::evolve(self.state, &decode(recorded)?);
        Ok(Self { state, revision: recorded.revision, last: recorded.position })
    }

    fn read(self, begun_at: Revision) -> Read {
        let loaded = Loaded { state: Arc::new(self.state), revision: self.revision };
        Read { loaded, last: self.last, begun_at }
    }
}

fn decode(recorded: &RecordedEvent) -> Result<Event, LoadError> {
    let Envelope { event_type, version, .. } = &recorded.envelope;
    schemas::events::decode(event_type, *version, &recorded.data).map_err(|source| LoadError::Undecodable {
        stream: recorded.stream.clone(),
        revision: recorded.revision.0,
        source,
    })
}
