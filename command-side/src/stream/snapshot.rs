//! Snapshots of streams: found if they fit the log, and taken. Whatever is wrong with one, the events tell the same.

use super::Fold;
use crate::commands::Loaded;
use platform::event_log::{EventLog, LogError, RecordedEvent, Revision, StreamId};
use platform::snapshot_store::{Snapshot, SnapshotStore};
use schemas::snapshots::Encoded;
use schemas::stream::Owner;

/// The stream's snapshot, if it is of today's fold, before this revision, and of an event that the log has.
pub(super) async fn find(
    log: &dyn EventLog,
    store: &SnapshotStore,
    stream: &StreamId,
    owner: &Owner,
    before: Revision,
) -> Option<Fold> {
    let snapshot = store.load(stream).await.filter(|snapshot| snapshot.revision < before)?;
    // What is wrong with the log comes to light when the stream is read from its beginning.
    let last = event_at(log, stream, snapshot.revision).await.ok()?;
    if !last.is_some_and(|event| snapshot.is_after(&event)) {
        tracing::warn!(%stream, "the snapshot of stream {stream} is not of this log, and is not used");
        return None;
    }
    let Snapshot { revision, position, fold_version, state, .. } = snapshot;
    let state = schemas::snapshots::decode(owner, &Encoded { fold_version, state })?;
    Some(Fold { state, revision, last: position })
}

/// Keeps the stream's durable state, if snapshots of such aggregates are kept. What fails is made up for by the next one.
pub(crate) async fn take(log: &dyn EventLog, store: &SnapshotStore, stream: &StreamId, loaded: &Loaded) {
    let Some(Encoded { fold_version, state }) = schemas::snapshots::encode(&loaded.state) else { return };
    let last = match event_at(log, stream, loaded.revision).await {
        Ok(Some(event)) => event,
        Ok(None) => return,
        Err(error) => return tracing::debug!(%stream, %error, "no snapshot of stream {stream} was taken"),
    };
    match store.save(&Snapshot::after(&last, fold_version, state)).await {
        Ok(()) => metrics::counter!("dispatcher_snapshots_total").increment(1),
        Err(error) => tracing::warn!(%stream, %error, "the snapshot of stream {stream} was not kept"),
    }
}

/// The stream's event at a revision; none if the stream does not reach so far.
async fn event_at(
    log: &dyn EventLog,
    stream: &StreamId,
    revision: Revision,
) -> Result<Option<RecordedEvent>, LogError> {
    let Some(before) = revision.0.checked_sub(1) else { return Ok(None) };
    Ok(log.read_stream(stream, Revision(before), 1).await?.pop())
}
