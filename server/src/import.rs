//! `colophon import`: takes a file in, shows how it goes, and reports.

use crate::admin::client;
use crate::cli::{BookFormat, Global, ImportContent, say};
use crate::role::CommandRole;
use crate::settings::Settings;
use anyhow::{Context, bail};
use command_side::imports::{self, Content, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use platform::data_directory::{DataDirectory, DataDirectoryError, Layout};
use platform::seam::Seam;
use platform::telemetry;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tokio::sync::mpsc;

/// Reasons that are printed; of a file with more, the rest is only counted.
const REASONS_MAX: usize = 100_000;

/// Runs the command.
pub async fn run(global: &Global, content: ImportContent) -> anyhow::Result<()> {
    let settings = Settings::load(global)?;
    telemetry::init(settings.logging.format.into(), "warn")?;
    let (path, content) = match content {
        ImportContent::Books { file, format: BookFormat::Goodbooks } => (file, Content::Goodbooks),
        ImportContent::Stock { file } => (file, Content::Stock { currency: settings.catalogue.currency }),
    };
    let (file, bar) = open(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let directory = settings.data_directory();
    let report = match DataDirectory::open(&directory) {
        Ok(directory) => import_here(&settings, &directory, content, file, &bar).await?,
        Err(DataDirectoryError::InUse { .. }) => {
            let progress = client::import(&Layout::of(&directory).admin_socket(), content, file).await?;
            Report::of(progress, &bar).await
        }
        Err(error) => return Err(error.into()),
    };
    bar.finish_and_clear();
    report.print();
    report.verdict().with_context(|| path.display().to_string())
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

/// Imports without a server: this process has the data directory to itself.
async fn import_here(
    settings: &Settings,
    directory: &DataDirectory,
    content: Content,
    file: Box<dyn Read + Send>,
    bar: &ProgressBar,
) -> anyhow::Result<Report> {
    let seam = Seam::system();
    let command = CommandRole::start(settings, directory, &seam).await?;
    let progress = imports::start(file, content, command.commands.clone(), seam);
    let report = Report::of(progress, bar).await;
    command.stop().await?;
    Ok(report)
}

/// What became of a file.
#[derive(Default)]
struct Report {
    accepted: u64,
    there_already: u64,
    refused: u64,
    reasons: Vec<(u64, String)>,
    end: Option<Progress>,
}

impl Report {
    async fn of(mut progress: mpsc::Receiver<Progress>, bar: &ProgressBar) -> Self {
        let mut report = Self::default();
        while let Some(told) = progress.recv().await {
            report.take(told);
            let Self { accepted, there_already, refused, .. } = &report;
            bar.set_message(format!("{accepted} accepted, {there_already} there already, {refused} refused"));
        }
        report.reasons.sort();
        report
    }

    fn take(&mut self, told: Progress) {
        match told {
            Progress::Accepted => self.accepted += 1,
            Progress::ThereAlready => self.there_already += 1,
            Progress::Refused { line, reason } => {
                self.refused += 1;
                if self.reasons.len() < REASONS_MAX {
                    self.reasons.push((line, reason));
                }
            }
            Progress::Finished | Progress::Stopped { .. } => self.end = Some(told),
        }
    }

    fn print(&self) {
        say(format_args!("accepted: {}", self.accepted));
        say(format_args!("there already: {}", self.there_already));
        say(format_args!("refused: {}", self.refused));
        for (line, reason) in &self.reasons {
            say(format_args!("line {line}: {reason}"));
        }
        let rest = self.refused - self.reasons.len() as u64;
        if rest > 0 {
            say(format_args!("and {rest} more"));
        }
    }

    /// Whether the file was read to its end and anything of it was of use.
    fn verdict(&self) -> anyhow::Result<()> {
        match &self.end {
            Some(Progress::Stopped { reason }) if self.accepted == 0 => bail!("{reason}"),
            Some(Progress::Stopped { reason }) => {
                bail!("{reason}; what was taken in stays, and the import can be run again")
            }
            Some(Progress::Finished) if self.accepted + self.there_already > 0 => Ok(()),
            Some(Progress::Finished) => bail!("no row was accepted"),
            _ => bail!("the server stopped before the end of the file; what was taken in stays, run the import again"),
        }
    }
}
