//! `colophon log`: looks into the event log, checks it, and carries it elsewhere.

mod export;
pub mod import;
pub mod lines;
pub mod options;
pub mod output;
mod record;
mod state;
mod stats;
mod tail;
pub mod verify;

use crate::cli::Global;
use crate::settings::{Hidden, Settings};
use options::LogCommand;
use platform::data_directory::Layout;
use platform::event_log::postgres::PostgresLog;
use platform::event_log::reader::LogReader;
use platform::event_log::sqlite::reader::SqliteLogReader;
use platform::seam::Seam;

/// Events that are read at once.
const PAGE: usize = 1_000;

/// Runs the command.
pub async fn run(global: &Global, command: LogCommand) -> anyhow::Result<()> {
    let settings = Settings::load(global)?;
    match command {
        LogCommand::Tail(options) => tail::run(&open(&settings).await?, &options).await,
        LogCommand::Stream(options) => tail::run_stream(&open(&settings).await?, options).await,
        LogCommand::Verify(options) => verify::run(&open(&settings).await?, options).await,
        LogCommand::Stats(options) => stats::run(&open(&settings).await?, options).await,
        LogCommand::State(options) => state::run(&open(&settings).await?, options).await,
        LogCommand::Export(options) => export::run(&open(&settings).await?, options).await,
        LogCommand::Import(options) => import::run(&settings, options).await,
    }
}

/// The log of the data directory, or of its node's database: for reading only, whoever has the directory.
pub async fn open(settings: &Settings) -> anyhow::Result<LogReader> {
    if let Some(Hidden(url)) = &settings.postgres.url {
        return Ok(LogReader::Postgres(PostgresLog::open(url, &Seam::system()).await?));
    }
    let layout = Layout::of(&settings.data_directory());
    Ok(LogReader::Sqlite(SqliteLogReader::open(&layout.log()).await?))
}
