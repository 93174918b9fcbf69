//! What a SQLite log holds, in numbers.

use super::reader::SqliteLogReader;
use super::rows::unavailable;
use crate::event_log::stats::{CategoryStats, Stats, TypeStats};
use crate::event_log::{LogError, Position};
use crate::seam::Timestamp;
use sqlx::SqliteConnection;

const WHOLE: &str = "
    SELECT coalesce(max(position), 0), count(*), coalesce(sum(length(data)), 0),
        (SELECT recorded_at FROM events ORDER BY position LIMIT 1),
        (SELECT recorded_at FROM events ORDER BY position DESC LIMIT 1),
        (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)
    FROM events";

const TYPES: &str = "
    SELECT event_type, version, count(*), sum(length(data)) FROM events
    GROUP BY event_type, version ORDER BY event_type, version";

/// Of the streams with the most events, the first by name: SQLite takes the other columns from the row of the maximum.
const CATEGORIES: &str = "
    SELECT category, count(*), sum(events), max(events), stream
    FROM (SELECT substr(stream, 1, instr(stream || '-', '-') - 1) AS category, stream, count(*) AS events
          FROM events GROUP BY stream ORDER BY stream)
    GROUP BY category ORDER BY category";

type Whole = (i64, i64, i64, Option<i64>, Option<i64>, i64);

pub(super) async fn read(log: &SqliteLogReader) -> Result<Stats, LogError> {
    log.file.read(query).await.map_err(unavailable)
}

async fn query(connection: &mut SqliteConnection) -> Result<Stats, sqlx::Error> {
    let (position, events, data_bytes, first, last, file_bytes): Whole =
        sqlx::query_as(WHOLE).fetch_one(&mut *connection).await?;
    let types: Vec<(String, u16, i64, i64)> = sqlx::query_as(TYPES).fetch_all(&mut *connection).await?;
    let categories: Vec<(String, i64, i64, i64, String)> = sqlx::query_as(CATEGORIES).fetch_all(connection).await?;
    let of_type = |(event_type, version, events, data_bytes): (String, u16, i64, i64)| TypeStats {
        event_type,
        version,
        events: events.cast_unsigned(),
        data_bytes: data_bytes.cast_unsigned(),
    };
    let of_category =
        |(category, streams, events, longest_events, longest): (String, i64, i64, i64, String)| CategoryStats {
            category,
            streams: streams.cast_unsigned(),
            events: events.cast_unsigned(),
            longest_events: longest_events.cast_unsigned(),
            longest,
        };
    Ok(Stats {
        position: Position(position.cast_unsigned()),
        events: events.cast_unsigned(),
        data_bytes: data_bytes.cast_unsigned(),
        first: first.map(Timestamp),
        last: last.map(Timestamp),
        file_bytes: file_bytes.cast_unsigned(),
        types: types.into_iter().map(of_type).collect(),
        categories: categories.into_iter().map(of_category).collect(),
    })
}
