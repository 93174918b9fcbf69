//! What a Postgres log holds, in numbers.

use super::rows::unavailable;
use super::session::Server;
use crate::event_log::LogError;
use crate::event_log::stats::Stats;
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

pub(super) async fn read(server: &Server) -> Result<Stats, LogError> {
    let late = |_| LogError::Unavailable(format!("it was not counted within {} s", COUNTED_WITHIN.as_secs()));
    timeout(COUNTED_WITHIN, query(server)).await.map_err(late)?.map_err(unavailable)
}

async fn query(server: &Server) -> Result<Stats, sqlx::Error> {
    let mut connection = server.connect().await?;
    let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let whole = sqlx::query_as(WHOLE).fetch_one(&mut *transaction).await?;
    let types = sqlx::query_as(TYPES).fetch_all(&mut *transaction).await?;
    let categories = sqlx::query_as(CATEGORIES).fetch_all(&mut *transaction).await?;
    transaction.rollback().await?;
    connection.close().await?;
    Ok(Stats::of(whole, types, categories))
}
