//! Rows of a Postgres log as events: read in pages, each of which is verified.

use super::CHANNEL;
use crate::event_log::seal::{self, Head};
use crate::event_log::{BodyHash, CommandId, Envelope, EventId, LogError, Position, RecordedEvent, Revision, StreamId};
use crate::seam::Timestamp;
use bytes::Bytes;
use sqlx::Row;
use sqlx::postgres::{PgExecutor, PgRow};
use uuid::Uuid;

const STREAM: &str = "SELECT '' AS kind, * FROM events WHERE stream = $1 AND revision >= $2 ORDER BY revision LIMIT $3";

const ALL: &str = "SELECT '' AS kind, * FROM events WHERE position > $1 ORDER BY position LIMIT $2";

/// Rows of a stream, the one at `after` among them: the next one's checksum has to continue it.
pub(super) async fn stream(
    connection: impl PgExecutor<'_>,
    stream: &StreamId,
    after: Revision,
    limit: usize,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let limit = limit.saturating_add(usize::from(after.0 > 0));
    sqlx::query(STREAM)
        .bind(stream.as_str())
        .bind(i64::try_from(after.0).unwrap_or(i64::MAX))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await
}

/// The events of rows that [`stream`] read after the same revision.
pub(super) fn stream_events(rows: &[PgRow], after: Revision) -> Result<Vec<RecordedEvent>, LogError> {
    let mut events = rows.iter().map(event).collect::<Result<Vec<_>, _>>()?;
    let mut before = Head { revision: after, checksum: 0 };
    if after.0 > 0 && events.first().is_some_and(|event| event.revision == after) {
        let anchor = events.remove(0);
        seal::verify(&anchor)?;
        before = Head::of(&anchor);
    }
    seal::verify_stream(before, &events)?;
    Ok(events)
}

/// Rows of the whole log after a position.
pub(super) async fn all(
    connection: impl PgExecutor<'_>,
    after: Position,
    limit: usize,
) -> Result<Vec<PgRow>, sqlx::Error> {
    sqlx::query(ALL)
        .bind(i64::try_from(after.0).unwrap_or(i64::MAX))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await
}

/// The events of rows that [`all`] read after the same position.
pub(super) fn all_events(rows: &[PgRow], after: Position) -> Result<Vec<RecordedEvent>, LogError> {
    let events = rows.iter().map(event).collect::<Result<Vec<_>, _>>()?;
    seal::verify_all(after, &events)?;
    Ok(events)
}

/// Reads a row of `events`, its columns behind one other.
pub(super) fn event(row: &PgRow) -> Result<RecordedEvent, LogError> {
    let read = || -> Result<RecordedEvent, sqlx::Error> {
        let body_hash = <[u8; 32]>::try_from(row.try_get::<&[u8], _>(6)?);
        let version = u16::try_from(row.try_get::<i32, _>(8)?).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(RecordedEvent {
            position: Position(row.try_get::<i64, _>(1)?.cast_unsigned()),
            stream: StreamId::new(row.try_get(2)?),
            revision: Revision(row.try_get::<i64, _>(3)?.cast_unsigned()),
            envelope: Envelope {
                id: EventId(row.try_get(4)?),
                command_id: CommandId(row.try_get(5)?),
                body_hash: BodyHash(body_hash.map_err(|error| sqlx::Error::Decode(error.into()))?),
                event_type: row.try_get(7)?,
                version,
                recorded_at: Timestamp(row.try_get(9)?),
                traceparent: row.try_get(10)?,
            },
            data: Bytes::from(row.try_get::<Vec<u8>, _>(11)?),
            previous_checksum: row.try_get::<i64, _>(12)?.cast_unsigned(),
            checksum: row.try_get::<i64, _>(13)?.cast_unsigned(),
        })
    };
    read().map_err(|error| LogError::Damaged {
        position: row.try_get::<i64, _>(1).unwrap_or_default().cast_unsigned(),
        stream: row.try_get(2).unwrap_or_else(|_| "unknown".to_owned()),
        what: format!("expected an event, found: {error}"),
    })
}

/// Writes events within a transaction that others end.
pub(super) async fn insert(connection: impl PgExecutor<'_>, events: &[RecordedEvent]) -> Result<(), sqlx::Error> {
    // Whoever waits for more is told with the commit.
    const INSERT: &str = "WITH written AS (
            INSERT INTO events SELECT * FROM UNNEST(
                $1::bigint[], $2::text[], $3::bigint[], $4::uuid[], $5::uuid[], $6::bytea[], $7::text[], $8::integer[],
                $9::bigint[], $10::text[], $11::bytea[], $12::bigint[], $13::bigint[])
            RETURNING position)
        SELECT pg_notify($14, max(position)::text) FROM written";
    fn column<'a, T>(events: &'a [RecordedEvent], of: impl Fn(&'a RecordedEvent) -> T) -> Vec<T> {
        events.iter().map(of).collect()
    }
    sqlx::query(INSERT)
        .bind(column(events, |event| event.position.0.cast_signed()))
        .bind(column(events, |event| event.stream.as_str()))
        .bind(column(events, |event| event.revision.0.cast_signed()))
        .bind(column(events, |event| event.envelope.id.0))
        .bind(column::<Uuid>(events, |event| event.envelope.command_id.0))
        .bind(column(events, |event| event.envelope.body_hash.0.as_slice()))
        .bind(column(events, |event| event.envelope.event_type.as_str()))
        .bind(column(events, |event| i32::from(event.envelope.version)))
        .bind(column(events, |event| event.envelope.recorded_at.0))
        .bind(column(events, |event| event.envelope.traceparent.as_str()))
        .bind(column(events, |event| event.data.as_ref()))
        .bind(column(events, |event| event.previous_checksum.cast_signed()))
        .bind(column(events, |event| event.checksum.cast_signed()))
        .bind(CHANNEL)
        .execute(connection)
        .await
        .map(drop)
}

/// What a database that does not answer as it should is to those who ask the log.
pub(super) fn unavailable(error: sqlx::Error) -> LogError {
    LogError::Unavailable(error.to_string())
}
