//! What a Postgres log holds, in numbers.

use super::rows::unavailable;
use super::session::Server;
use crate::event_log::stats::{CategoryStats, Stats, TypeStats};
use crate::event_log::{LogError, Position};
use crate::seam::Timestamp;
use sqlx::Connection;
use std::time::Duration;
use tokio::time::timeout;

/// How long counting may take: some minutes for each hundred million events.
const COUNTED_WITHIN: Duration = Duration::from_mins(10);

const WHOLE: &str = "
    SELECT coalesce(max(position), 0), count(*), coalesce(sum(length(data)), 0),
        (SELECT recorded_at FROM events ORDER BY position LIMIT 1),
        (SELECT recorded_at FROM events ORDER BY position DESC LIMIT 1),
        pg_total_relation_size('events')
    FROM events";

const TYPES: &str = r#"
    SELECT event_type, version, count(*), sum(length(data)) FROM events
    GROUP BY event_type, version ORDER BY event_type COLLATE "C", version"#;

/// Of the streams with the most events, the first by name.
const CATEGORIES: &str = "
    WITH streams AS (
        SELECT split_part(stream, '-', 1) AS category, stream, count(*) AS events FROM events GROUP BY stream),
    longest AS (
        SELECT DISTINCT ON (category) category, stream, events FROM streams ORDER BY category, events DESC, stream)
    SELECT category, count(*), sum(streams.events)::bigint, longest.events, longest.stream
    FROM streams JOIN longest USING (category)
    GROUP BY category, longest.events, longest.stream ORDER BY category";

type Whole = (i64, i64, i64, Option<i64>, Option<i64>, i64);

pub(super) async fn read(server: &Server) -> Result<Stats, LogError> {
    let late = |_| LogError::Unavailable(format!("it was not counted within {} s", COUNTED_WITHIN.as_secs()));
    timeout(COUNTED_WITHIN, query(server)).await.map_err(late)?.map_err(unavailable)
}

async fn query(server: &Server) -> Result<Stats, sqlx::Error> {
    let mut connection = server.connect().await?;
    let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let (position, events, data_bytes, first, last, file_bytes): Whole =
        sqlx::query_as(WHOLE).fetch_one(&mut *transaction).await?;
    let types: Vec<(String, i32, i64, i64)> = sqlx::query_as(TYPES).fetch_all(&mut *transaction).await?;
    let categories: Vec<(String, i64, i64, i64, String)> =
        sqlx::query_as(CATEGORIES).fetch_all(&mut *transaction).await?;
    transaction.rollback().await?;
    connection.close().await?;
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
