//! `colophon log export`: every event as a line of JSON, verified on the way.

use super::options::ExportOptions;
use super::output::event_bar;
use super::{PAGE, record};
use crate::cli::say;
use anyhow::{Context, bail};
use indicatif::ProgressBar;
use platform::event_log::seal::Chain;
use platform::event_log::sqlite::reader::SqliteLogReader;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use tempfile::NamedTempFile;
use tokio::time::Instant;

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 18;

/// Runs the command.
pub async fn run(log: &SqliteLogReader, options: ExportOptions) -> anyhow::Result<()> {
    let begun = Instant::now();
    let head = log.head().await?;
    let bar = event_bar(head.0);
    if options.file == Path::new("-") {
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
        export(log, &mut out, &bar).await?;
        return Ok(out.flush()?);
    }
    let path = &options.file;
    refuse_existing(&options)?;
    let cannot = || format!("{} cannot be written", path.display());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = NamedTempFile::with_prefix_in(".export", directory).with_context(cannot)?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
    let events = export(log, &mut out, &bar).await?;
    bar.finish_and_clear();
    let file = out.into_inner().map_err(|error| error.into_error()).with_context(cannot)?;
    file.as_file().sync_all().with_context(cannot)?;
    // Another process may have put a file there meanwhile.
    let placed = if options.force { file.persist(path) } else { file.persist_noclobber(path) };
    placed.map_err(|error| error.error).with_context(cannot)?;
    File::open(directory).and_then(|directory| directory.sync_all()).with_context(cannot)?;
    let seconds = begun.elapsed().as_secs_f64();
    say(format_args!("exported: {events} events, up to position {events}, to {} in {seconds:.1} s", path.display()));
    Ok(())
}

fn refuse_existing(options: &ExportOptions) -> anyhow::Result<()> {
    let path = &options.file;
    if path.is_dir() {
        bail!("{} is a directory: name a file in it", path.display());
    }
    if path.exists() && !options.force {
        bail!("{} is there already: choose another name, or replace it with --force", path.display());
    }
    Ok(())
}

/// Writes the log as it is now, and says how many events that were.
async fn export(log: &SqliteLogReader, out: &mut impl Write, bar: &ProgressBar) -> anyhow::Result<u64> {
    let (head, mut chain) = (log.head().await?, Chain::default());
    while chain.position() < head {
        let left = usize::try_from(head.0 - chain.position().0).unwrap_or(PAGE);
        let events = log.read_all(chain.position(), left.min(PAGE)).await?;
        if events.is_empty() {
            bail!("the log ends after position {}, expected events up to {}", chain.position().0, head.0);
        }
        for event in &events {
            chain.follow(event)?;
            out.write_all(&record::write(event)?)?;
            out.write_all(b"\n")?;
        }
        bar.set_position(chain.position().0);
    }
    Ok(head.0)
}
