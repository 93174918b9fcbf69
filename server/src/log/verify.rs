//! `colophon log verify`: whether the log is as it was written, all of it.

use super::options::VerifyOptions;
use super::output::{Output, event_bar, pairs};
use platform::event_log::LogError;
use platform::event_log::reader::{LogReader, Verified};
use serde::Serialize;
use tokio::time::Instant;

/// The verdict, as JSON has it.
#[derive(Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
enum Verdict {
    Sound { events: u64, streams: u64, position: u64, duration_ms: u64 },
    Damaged { position: u64, stream: String, what: String },
}

/// Runs the command.
pub async fn run(log: &LogReader, options: VerifyOptions) -> anyhow::Result<()> {
    let (begun, mut out) = (Instant::now(), Output::new(options.form));
    let Verified { position, streams } = match with_bar(log).await {
        Ok(verified) => verified,
        Err(LogError::Damaged { position, stream, what }) => {
            let verdict = Verdict::Damaged { position, stream: stream.clone(), what: what.clone() };
            out.print(&verdict, |_| Ok(()))?;
            out.flush()?;
            return Err(LogError::Damaged { position, stream, what }.into());
        }
        Err(error) => return Err(error.into()),
    };
    let duration = begun.elapsed();
    let verdict = Verdict::Sound {
        events: position.0,
        streams,
        position: position.0,
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
    };
    out.print(&verdict, |out| {
        let counts = [
            ("events", position.0.to_string()),
            ("streams", streams.to_string()),
            ("last position", position.0.to_string()),
            ("duration", format!("{:.1} s", duration.as_secs_f64())),
        ];
        pairs(out, &counts)?;
        writeln!(out, "the log is as it was written")
    })?;
    Ok(out.flush()?)
}

/// Verifies a log and shows on a terminal how far it has come.
pub async fn with_bar(log: &LogReader) -> Result<Verified, LogError> {
    let head = log.head().await?;
    let bar = event_bar(head.0);
    let verified = log
        .verify(|position| {
            bar.set_position(position.0);
            if position >= head {
                bar.set_message("checking pages and indexes");
            }
        })
        .await;
    bar.finish_and_clear();
    verified
}
