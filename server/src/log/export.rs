//! `colophon log export`: every event as a line of JSON, verified on the way.

use super::options::ExportOptions;
use super::output::event_bar;
use super::record;
use crate::cli::say;
use crate::new_file::{Existing, NewFile};
use crate::stdout::{Out, Unread};
use anyhow::Context;
use indicatif::ProgressBar;
use platform::event_log::reader::LogReader;
use std::io::{BufWriter, Write};
use std::path::Path;
use tokio::time::Instant;

/// Bytes that are printed at once.
const BUFFER_BYTES: usize = 1 << 18;

/// What a printed export ends with that was cut off.
const CUT_OFF: &[u8] = b"{\"cut off here\":";

/// Runs the command.
pub async fn run(log: &LogReader, options: ExportOptions) -> anyhow::Result<()> {
    let begun = Instant::now();
    let bar = event_bar(log.head().await?.0);
    if options.file == Path::new("-") {
        let mut printed = Printed { out: BufWriter::with_capacity(BUFFER_BYTES, Out::new(Unread::Ends)), whole: false };
        export(log, &mut printed.out, &bar).await?;
        printed.whole = true;
        return Ok(printed.out.flush()?);
    }
    let path = &options.file;
    let mut file = NewFile::create(path, if options.force { Existing::IsReplaced } else { Existing::Stays })?;
    let exported = export(log, &mut file, &bar).await;
    let events = exported.with_context(|| format!("{} was not written", path.display()))?;
    bar.finish_and_clear();
    file.finish()?;
    let (path, seconds) = (path.display(), begun.elapsed().as_secs_f64());
    Ok(say(format_args!("exported: {events} events, up to position {events}, to {path} in {seconds:.1} s"))?)
}

/// An export on standard output, which ends within a line unless it is whole: else whoever imports what was cut off would
/// take it for all there is.
struct Printed {
    out: BufWriter<Out>,
    whole: bool,
}

impl Drop for Printed {
    fn drop(&mut self) {
        if !self.whole {
            // Whoever does not take this takes nothing.
            let _ = self.out.write_all(CUT_OFF).and_then(|()| self.out.flush());
        }
    }
}

/// Writes the log as it is now, and says how many events that were.
async fn export(log: &LogReader, out: &mut impl Write, bar: &ProgressBar) -> anyhow::Result<u64> {
    let whole = log
        .walk(|event| {
            out.write_all(&record::write(event)?)?;
            out.write_all(b"\n")?;
            bar.set_position(event.position.0);
            anyhow::Ok(())
        })
        .await?;
    Ok(whole.position.0)
}
