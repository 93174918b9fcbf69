//! `colophon import`: takes a file in, shows how it goes, and reports.

mod refused_file;
mod report;

use crate::admin::client;
use crate::cli::{BookFormat, BookImport, Global, ImportContent, ImportFile};
use crate::role::CommandRole;
use crate::settings::Settings;
use anyhow::{Context, bail};
use command_side::commands::Commands;
use command_side::dispatcher::Dispatcher;
use command_side::imports::{self, Content, Effect, Field, Progress, RefusedRows, Task};
use indicatif::{ProgressBar, ProgressStyle};
use platform::data_directory::{DataDirectory, DataDirectoryError, Layout};
use platform::event_log::memory::MemoryLog;
use platform::event_log::{EventLog, LogId};
use platform::seam::Seam;
use platform::telemetry;
use refused_file::RefusedFile;
use report::Report;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Runs the command.
pub async fn run(global: &Global, content: ImportContent) -> anyhow::Result<()> {
    let settings = Settings::load(global)?;
    telemetry::init(settings.logging.format.into(), "warn")?;
    let (options, task) = task_of(content, &settings)?;
    let path = &options.file;
    let opening = tokio::task::spawn_blocking({
        let path = path.clone();
        move || open(&path)
    });
    let (file, bar) = opening.await?.with_context(|| format!("{} cannot be read", path.display()))?;
    let refused = options.refused.as_deref().map(|refused| RefusedFile::create(refused, path)).transpose()?;
    let mut report = Report::new(task.effect, refused);
    import(&settings, task, file, &bar, &mut report).await?;
    bar.finish_and_clear();
    report.finish()?;
    report.verdict().with_context(|| path.display().to_string())
}

fn task_of(content: ImportContent, settings: &Settings) -> anyhow::Result<(ImportFile, Task)> {
    let (options, content) = match content {
        ImportContent::Books(BookImport { file, format, columns }) => {
            if !columns.is_empty() && !matches!(format, None | Some(BookFormat::Csv)) {
                bail!("--map names the columns of tables: it goes with --format csv");
            }
            let twice = |field: Field| columns.iter().filter(|(it, _)| *it == field).count() > 1;
            if let Some((field, _)) = columns.iter().find(|(field, _)| *field != Field::Isbn && twice(*field)) {
                bail!("--map names two columns for `{}`", field.name());
            }
            let format = format.map(|format| match format {
                BookFormat::Goodbooks => imports::BookFormat::Goodbooks,
                BookFormat::Onix => imports::BookFormat::Onix,
                BookFormat::Csv => imports::BookFormat::Csv,
            });
            (file, Content::Books { format, columns })
        }
        ImportContent::Stock(file) => (file, Content::Stock),
    };
    let task = Task {
        content,
        currency: settings.catalogue.currency,
        encoding: options.encoding.clone(),
        effect: if options.dry_run { Effect::DryRun } else { Effect::Real },
        refused_rows: if options.refused.is_some() { RefusedRows::Kept } else { RefusedRows::Named },
    };
    Ok((options, task))
}

/// The file, and the bar that shows how much of it is read.
fn open(path: &Path) -> anyhow::Result<(Box<dyn Read + Send>, ProgressBar)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        bail!("it is a directory");
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left  {msg}");
    let bar = ProgressBar::new(metadata.len()).with_style(style.context("the bar's template")?);
    Ok((Box::new(bar.wrap_read(file)), bar))
}

/// Imports in this process or beside the server, whichever has the data directory.
async fn import(
    settings: &Settings,
    task: Task,
    file: Box<dyn Read + Send>,
    bar: &ProgressBar,
    report: &mut Report,
) -> anyhow::Result<()> {
    let directory = settings.data_directory();
    if task.effect == Effect::DryRun && !Layout::of(&directory).log().exists() {
        return try_out(settings, task, file, bar, report).await;
    }
    match DataDirectory::open(&directory) {
        Ok(_) if settings.postgres.url.is_some() => bail!(
            "no node runs on {}: name the data directory of one with the role `command`, which takes the file in",
            directory.display()
        ),
        Ok(directory) => {
            let seam = Seam::system();
            let command = CommandRole::start(settings, &directory, &seam).await?;
            let progress = imports::start(file, task, command.commands.clone(), seam);
            let followed = follow(progress, bar, report).await;
            let log = Arc::clone(&command.log);
            command.stop().await?;
            log.close().await;
            followed
        }
        Err(DataDirectoryError::InUse { .. }) => {
            let progress = client::import(&Layout::of(&directory).admin_socket(), &task, file).await?;
            follow(progress, bar, report).await
        }
        Err(error) => Err(error.into()),
    }
}

/// A dry run where there is no log yet: nothing is registered, and nothing is to be made.
async fn try_out(
    settings: &Settings,
    task: Task,
    file: Box<dyn Read + Send>,
    bar: &ProgressBar,
    report: &mut Report,
) -> anyhow::Result<()> {
    let seam = Seam::system();
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(LogId(seam.uuid())));
    let stop = CancellationToken::new();
    let (dispatcher, deciding) = Dispatcher::start(log, seam.clone(), settings.dispatcher(), stop.clone());
    let commands: Arc<dyn Commands> = Arc::new(dispatcher);
    let followed = follow(imports::start(file, task, commands, seam), bar, report).await;
    stop.cancel();
    deciding.await??;
    followed
}

async fn follow(mut progress: mpsc::Receiver<Progress>, bar: &ProgressBar, report: &mut Report) -> anyhow::Result<()> {
    while let Some(told) = progress.recv().await {
        report.take(told)?;
        bar.set_message(report.counts());
    }
    Ok(())
}
