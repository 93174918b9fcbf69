//! What a SQLite log holds, in numbers.

use super::reader::SqliteLogReader;
use super::rows::unavailable;
use crate::event_log::LogError;
use crate::event_log::stats::Stats;
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

pub(super) async fn read(log: &SqliteLogReader) -> Result<Stats, LogError> {
    log.file.read(query).await.map_err(unavailable)
}

async fn query(connection: &mut SqliteConnection) -> Result<Stats, sqlx::Error> {
    let whole = sqlx::query_as(WHOLE).fetch_one(&mut *connection).await?;
    let types = sqlx::query_as(TYPES).fetch_all(&mut *connection).await?;
    let categories = sqlx::query_as(CATEGORIES).fetch_all(connection).await?;
    Ok(Stats::of(whole, types, categories))
}
