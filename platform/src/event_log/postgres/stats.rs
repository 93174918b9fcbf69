//! What a Postgres log holds, in numbers.

use super::rows::unavailable;
use super::{PostgresLog, read};
use crate::event_log::sqlite::stats::{CategoryStats, Stats, TypeStats};
use crate::event_log::{LogError, Position};
use crate::seam::Timestamp;

const WHOLE: &str = "
    SELECT coalesce(max(position), 0), count(*), coalesce(sum(length(data)), 0)::bigint,
        (SELECT recorded_at FROM events ORDER BY position LIMIT 1),
        (SELECT recorded_at FROM events ORDER BY position DESC LIMIT 1), pg_table_size('events')
    FROM events";

const TYPES: &str = "
    SELECT event_type, version, count(*), sum(length(data))::bigint FROM events
    GROUP BY event_type, version ORDER BY event_type COLLATE \"C\", version";

/// Of the streams with the most events, the first by name.
const CATEGORIES: &str = "
    SELECT category, count(*), sum(events)::bigint, max(events), (array_agg(stream ORDER BY events DESC, stream))[1]
    FROM (SELECT split_part(stream, '-', 1) AS category, stream, count(*) AS events FROM events GROUP BY stream) AS own
    GROUP BY category ORDER BY category";

impl PostgresLog {
    /// What the log holds, counted by Postgres: its records are not verified.
    pub async fn stats(&self) -> Result<Stats, LogError> {
        type Whole = (i64, i64, i64, Option<i64>, Option<i64>, i64);
        let readers = &self.shared.readers;
        let (position, events, data_bytes, first, last, file_bytes): Whole =
            sqlx::query_as(WHOLE).fetch_one(readers).await.map_err(unavailable)?;
        let types: Vec<(String, i32, i64, i64)> =
            sqlx::query_as(TYPES).fetch_all(readers).await.map_err(unavailable)?;
        let categories: Vec<(String, i64, i64, i64, String)> =
            sqlx::query_as(CATEGORIES).fetch_all(readers).await.map_err(unavailable)?;
        let of_type = |(event_type, version, events, data_bytes): (String, i32, i64, i64)| TypeStats {
            event_type,
            version: u16::try_from(version).unwrap_or(u16::MAX),
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

    /// The position of the first event that was decided at `time` or later, if there is one. Reads the whole log.
    pub async fn first_since(&self, time: Timestamp) -> Result<Option<Position>, LogError> {
        let first = async |connection: &mut _| {
            sqlx::query_scalar("SELECT min(position) FROM events WHERE recorded_at >= $1")
                .bind(time.0)
                .fetch_one(connection)
                .await
        };
        let position: Option<i64> = read(&self.shared.readers, first).await?;
        Ok(position.map(|position| Position(position.cast_unsigned())))
    }
}
