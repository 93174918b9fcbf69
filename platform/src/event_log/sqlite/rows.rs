//! Rows of a SQLite log as events: read in pages, each of which is verified.

use crate::event_log::seal;
use crate::event_log::{BodyHash, CommandId, Envelope, EventId, LogError, Position, RecordedEvent, Revision, StreamId};
use crate::seam::Timestamp;
use crate::sqlite_code;
use bytes::Bytes;
use sqlx::Row;
use sqlx::sqlite::{SqliteExecutor, SqliteRow};

const STREAM: &str = "SELECT NULL, * FROM events WHERE stream = ? AND revision >= ? ORDER BY revision LIMIT ?";

const ALL: &str = "SELECT NULL, * FROM events WHERE position > ? ORDER BY position LIMIT ?";

/// Rows of a stream, the one at `after` among them: the next one's checksum has to continue it.
pub(super) async fn stream(
    connection: impl SqliteExecutor<'_>,
    stream: &StreamId,
    after: Revision,
    limit: usize,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let limit = limit.saturating_add(usize::from(after.0 > 0));
    sqlx::query(STREAM)
        .bind(stream.as_str())
        .bind(after.0.cast_signed())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await
}

/// The events of rows that [`stream`] read after the same revision.
pub(super) fn stream_events(rows: &[SqliteRow], after: Revision) -> Result<Vec<RecordedEvent>, LogError> {
    seal::verify_anchored(after, rows.iter().map(event).collect::<Result<_, _>>()?)
}

/// Rows of the whole log after a position.
pub(super) async fn all(
    connection: impl SqliteExecutor<'_>,
    after: Position,
    limit: usize,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    sqlx::query(ALL)
        .bind(i64::try_from(after.0).unwrap_or(i64::MAX))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await
}

/// The events of rows that [`all`] read after the same position.
pub(super) fn all_events(rows: &[SqliteRow], after: Position) -> Result<Vec<RecordedEvent>, LogError> {
    let events = rows.iter().map(event).collect::<Result<Vec<_>, _>>()?;
    seal::verify_all(after, &events)?;
    Ok(events)
}

/// Reads a row of `events` behind one other column.
pub(super) fn event(row: &SqliteRow) -> Result<RecordedEvent, LogError> {
    let read = || -> Result<RecordedEvent, sqlx::Error> {
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
                version: row.try_get(8)?,
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

pub(super) fn unavailable(error: sqlx::Error) -> LogError {
    if sqlite_code::is_damaged(&error) {
        let what = format!("the file itself cannot be read: {error}");
        return LogError::Damaged { position: 0, stream: "unknown".to_owned(), what };
    }
    LogError::Unavailable(sqlite_code::told(&error))
}
