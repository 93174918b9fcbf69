//! Rows of a Postgres log as events, and events as rows: read in pages, each of which is verified.

use crate::event_log::seal;
use crate::event_log::{BodyHash, CommandId, Envelope, EventId, LogError, Position, RecordedEvent, Revision, StreamId};
use crate::seam::Timestamp;
use bytes::Bytes;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

const STREAM: &str = "SELECT NULL, * FROM events WHERE stream = $1 AND revision >= $2 ORDER BY revision LIMIT $3";

const ALL: &str = "SELECT NULL, * FROM events WHERE position > $1 ORDER BY position LIMIT $2";

const INSERT: &str = "
    INSERT INTO events SELECT * FROM unnest(
        $1::bigint[], $2::text[], $3::bigint[], $4::uuid[], $5::uuid[], $6::bytea[], $7::text[], $8::int[],
        $9::bigint[], $10::text[], $11::bytea[], $12::bigint[], $13::bigint[])";

/// Codes of damaged data and indexes (Postgres, Appendix A, class XX).
const DAMAGED: [&str; 2] = ["XX001", "XX002"];

/// Writes events, within a transaction that others end.
pub(super) async fn insert(transaction: &mut PgConnection, events: &[RecordedEvent]) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let numbers = |number: fn(&RecordedEvent) -> u64| -> Vec<i64> {
        events.iter().map(|event| number(event).cast_signed()).collect()
    };
    let envelopes = || events.iter().map(|event| &event.envelope);
    sqlx::query(INSERT)
        .bind(numbers(|event| event.position.0))
        .bind(events.iter().map(|event| event.stream.as_str()).collect::<Vec<_>>())
        .bind(numbers(|event| event.revision.0))
        .bind(envelopes().map(|envelope| envelope.id.0).collect::<Vec<_>>())
        .bind(envelopes().map(|envelope| envelope.command_id.0).collect::<Vec<_>>())
        .bind(envelopes().map(|envelope| envelope.body_hash.0.as_slice()).collect::<Vec<_>>())
        .bind(envelopes().map(|envelope| envelope.event_type.as_str()).collect::<Vec<_>>())
        .bind(envelopes().map(|envelope| i32::from(envelope.version)).collect::<Vec<_>>())
        .bind(envelopes().map(|envelope| envelope.recorded_at.0).collect::<Vec<_>>())
        .bind(envelopes().map(|envelope| envelope.traceparent.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.data.as_ref()).collect::<Vec<_>>())
        .bind(numbers(|event| event.previous_checksum))
        .bind(numbers(|event| event.checksum))
        .execute(transaction)
        .await
        .map(drop)
}

/// Rows of a stream, the one at `after` among them: the next one's checksum has to continue it.
pub(super) async fn stream(
    connection: &mut PgConnection,
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
    seal::verify_anchored(after, rows.iter().map(event).collect::<Result<_, _>>()?)
}

/// Rows of the whole log after a position.
pub(super) async fn all(
    connection: &mut PgConnection,
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

/// The log's last position.
pub(super) async fn head(connection: &mut PgConnection) -> Result<Position, sqlx::Error> {
    let head: i64 = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM events").fetch_one(connection).await?;
    Ok(Position(head.cast_unsigned()))
}

/// Reads a row of `events` behind one other column.
pub(super) fn event(row: &PgRow) -> Result<RecordedEvent, LogError> {
    let read = || -> Result<RecordedEvent, sqlx::Error> {
        let unreadable = |error: std::num::TryFromIntError| sqlx::Error::Decode(error.into());
        let body_hash = <[u8; 32]>::try_from(row.try_get::<&[u8], _>(6)?);
        Ok(RecordedEvent {
            position: Position(row.try_get::<i64, _>(1)?.cast_unsigned()),
            stream: StreamId::new(row.try_get(2)?),
            revision: Revision(row.try_get::<i64, _>(3)?.cast_unsigned()),
            envelope: Envelope {
                id: EventId(row.try_get(4)?),
                command_id: CommandId(row.try_get(5)?),
                body_hash: BodyHash(body_hash.map_err(|error| sqlx::Error::Decode(error.into()))?),
                event_type: row.try_get(7)?,
                version: row.try_get::<i32, _>(8)?.try_into().map_err(unreadable)?,
                recorded_at: Timestamp(row.try_get(9)?),
                traceparent: row.try_get(10)?,
            },
            data: Bytes::copy_from_slice(row.try_get(11)?),
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

/// What sqlx says of a server is without the password that it is reached by.
pub(super) fn unavailable(error: sqlx::Error) -> LogError {
    let code = error.as_database_error().and_then(|error| error.code());
    if code.is_some_and(|code| DAMAGED.contains(&code.as_ref())) {
        let what = format!("Postgres cannot read its own files: {error}");
        return LogError::Damaged { position: 0, stream: "unknown".to_owned(), what };
    }
    LogError::Unavailable(error.to_string())
}
