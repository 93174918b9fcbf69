//! What became of a commit that was not answered: whoever has the log's lock after it sees all of the batch, or nothing.

use super::rows::unavailable;
use super::session::Server;
use crate::event_log::{LogError, RecordedEvent};
use crate::postgres::lock_log;
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How long it is tried to find out: a server that restarts is back by then, and callers are answered before they give up
/// by themselves. One that is gone for longer has to be asked again by the callers, whose commands keep their ids.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);

/// How long a server that did not answer is left alone.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Of the batch's events, those that are there as they were sealed: another node may have taken the same commands since.
const THERE: &str = "
    SELECT count(*) FROM unnest($1::uuid[], $2::bigint[]) AS asked (id, checksum) JOIN events USING (id, checksum)";

/// Answers `Ok` if all of the events are durable, with a session to go on with.
pub(super) async fn settle(server: &Server, events: &[RecordedEvent]) -> Result<PgConnection, LogError> {
    let deadline = Instant::now() + SETTLE_WITHIN;
    let answered = loop {
        match timeout_at(deadline, count(server, events)).await {
            Ok(Err(error)) if Instant::now() + RETRY_AFTER < deadline => {
                tracing::warn!(%error, "what became of a commit could not be asked yet");
                sleep(RETRY_AFTER).await;
            }
            answered => break answered.ok().and_then(Result::ok),
        }
    };
    let (outcome, settled) = match answered {
        Some((connection, found)) if found == events.len() => ("durable", Ok(connection)),
        Some((_, 0)) => ("lost", Err(LogError::Unavailable("the session ended before the commit".to_owned()))),
        Some((_, found)) => {
            let (first, count) = (&events[0], events.len());
            let what = format!("expected all {count} events of a transaction or none, found {found}");
            ("torn", Err(LogError::Damaged { position: first.position.0, stream: first.stream.to_string(), what }))
        }
        None => {
            let within = SETTLE_WITHIN.as_secs();
            let unknown = format!("whether a commit took place was not to be known within {within} s");
            ("unknown", Err(LogError::Unavailable(unknown)))
        }
    };
    metrics::counter!("log_settlements_total", "outcome" => outcome).increment(1);
    settled
}

/// How many of the events are there, once the transaction that was to write them has ended: it held the lock until then.
async fn count(server: &Server, events: &[RecordedEvent]) -> Result<(PgConnection, usize), LogError> {
    let ids: Vec<_> = events.iter().map(|event| event.envelope.id.0).collect();
    let checksums: Vec<_> = events.iter().map(|event| event.checksum.cast_signed()).collect();
    let counted = async {
        let mut connection = server.connect().await?;
        let mut transaction = connection.begin().await?;
        lock_log(&mut transaction).await?;
        let found: i64 = sqlx::query_scalar(THERE).bind(ids).bind(checksums).fetch_one(&mut *transaction).await?;
        transaction.rollback().await?;
        Ok((connection, usize::try_from(found).unwrap_or_default()))
    };
    counted.await.map_err(unavailable)
}
