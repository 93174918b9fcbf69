//! `colophon log import`: the events of an export into an empty log, checked before anything is touched.

use super::lines::{self, Events};
use super::options::ImportOptions;
use crate::admin::client;
use crate::cli::say;
use crate::settings::{Hidden, Settings};
use crate::stores;
use anyhow::{Context, bail};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path as PathOf, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use platform::data_directory::{DataDirectory, DataDirectoryError, Layout};
use platform::event_log::postgres::PostgresLog;
use platform::event_log::sqlite::reader::SqliteLogReader;
use platform::event_log::{EventLog, Position, RecordedEvent};
use platform::identity::Principal;
use platform::seam::Seam;
use platform::vault::effects::EffectLedger;
use platform::vault::postgres::PostgresVault;
use platform::vault::{self, Vault};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::io::{StreamReader, SyncIoBridge};
use uuid::Uuid;

/// Pages that wait for the log.
const PAGES_AHEAD: usize = 4;

/// Runs the command.
pub async fn run(settings: &Settings, options: ImportOptions) -> anyhow::Result<()> {
    let (begun, path) = (Instant::now(), options.file);
    // On a thread of its own: nobody knows when what is no file comes to its end.
    let (file, last) = tokio::task::spawn_blocking(move || opened(&path)).await??;
    let customers = match &options.vault {
        Some(vault) => vault::sqlite::customers(vault).await?,
        None => Vec::new(),
    };
    let directory = settings.data_directory();
    if let Some(Hidden(url)) = &settings.postgres.url {
        let log = PostgresLog::open(url, &Seam::system()).await?;
        let vault = PostgresVault::open(url, log.id()).await?;
        take_with(&log, (&vault, &vault), last, file, customers).await?;
        log.close().await;
        return told(last, begun);
    }
    refuse_events(&Layout::of(&directory)).await?;
    match DataDirectory::open(&directory) {
        Ok(directory) => {
            let (log, vault) = stores::open(&directory, &Seam::system()).await?;
            let taken = take_with(log.as_ref(), (vault.as_ref(), vault.as_ref()), last, file, customers).await;
            log.close().await;
            taken?;
        }
        Err(DataDirectoryError::InUse { .. }) if options.vault.is_some() => {
            bail!("a vault is taken only where no server runs: end the server on {} first", directory.display());
        }
        Err(DataDirectoryError::InUse { .. }) => {
            client::import_log(&Layout::of(&directory).admin_socket(), last, Box::new(lines::text(file)?)).await?;
        }
        Err(error) => return Err(error.into()),
    }
    told(last, begun)
}

fn told(last: Position, begun: Instant) -> anyhow::Result<()> {
    let (events, seconds) = (last.0, begun.elapsed().as_secs_f64());
    Ok(say(format_args!("imported: {events} events, up to position {events}, in {seconds:.1} s"))?)
}

/// The file, at its beginning and checked, and the position that it ends with.
fn opened(path: &Path) -> anyhow::Result<(File, Position)> {
    let cannot_read = || format!("{} cannot be read", path.display());
    let mut file = open(path).with_context(cannot_read)?;
    let last = check(&file).with_context(|| path.display().to_string())?;
    file.rewind().with_context(cannot_read)?;
    Ok((file, last))
}

/// The file, which is read twice: so what can be read only once is kept in one.
fn open(path: &Path) -> anyhow::Result<File> {
    let mut once: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            bail!("it is a directory");
        }
        if metadata.is_file() {
            return Ok(file);
        }
        Box::new(file)
    };
    let mut kept = tempfile::tempfile()?;
    io::copy(&mut once, &mut kept)?;
    kept.rewind()?;
    Ok(kept)
}

/// Reads the whole file and says which position it ends with.
fn check(file: &File) -> anyhow::Result<Position> {
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes} checked, {eta} left")?;
    let bar = ProgressBar::new(file.metadata()?.len()).with_style(style);
    let mut events = Events::of(lines::text(bar.wrap_read(file.try_clone()?))?);
    let checked = events.try_for_each(|event| event.map(drop));
    bar.finish_and_clear();
    checked?;
    if events.position() == Position(0) {
        bail!("the file holds no event");
    }
    Ok(events.position())
}

/// Says that the log is not empty before the directory is touched. One that cannot be read is for others to refuse.
async fn refuse_events(layout: &Layout) -> anyhow::Result<()> {
    let Ok(log) = SqliteLogReader::open(&layout.log()).await else { return Ok(()) };
    let head = log.head().await?.0;
    if head > 0 {
        bail!(
            "nothing was imported: the log in {} has events up to position {head}, and only an empty one takes those of \
             another: choose another directory with --data-dir",
            layout.path().display()
        );
    }
    Ok(())
}

/// Has a log take in all events of a file, which ends with position `last`.
async fn take(log: &dyn EventLog, last: Position, file: impl Read + Send + 'static) -> anyhow::Result<()> {
    let (sender, receiver) = mpsc::channel(PAGES_AHEAD);
    let reading = tokio::task::spawn_blocking(move || send_pages(file, &sender));
    let imported = log.import(last, receiver).await;
    // What is wrong with a line says more than that the lines ended too early.
    reading.await??;
    Ok(imported?)
}

/// The same, with the customers that the events name. What the events caused outside was done elsewhere, and is not tried
/// here.
async fn take_with(
    log: &dyn EventLog,
    (vault, ledger): (&dyn Vault, &dyn EffectLedger),
    last: Position,
    file: impl Read + Send + 'static,
    customers: Vec<(Principal, Uuid)>,
) -> anyhow::Result<()> {
    // Before the events are there, whatever cuts this off: an empty log causes nothing.
    ledger.mark_untried(last).await?;
    for (customer, id) in &customers {
        let known = vault.find_or_add(customer, *id).await?;
        if known != *id {
            bail!("the vault knows a customer of these events by another id already: take an empty one");
        }
    }
    take(log, last, file).await
}

/// Sends the events of a file, for as long as anybody takes them.
fn send_pages(file: impl Read + Send + 'static, pages: &mpsc::Sender<Vec<RecordedEvent>>) -> anyhow::Result<()> {
    let mut page = Vec::with_capacity(super::PAGE);
    for event in Events::of(lines::text(file)?) {
        page.push(event?);
        if page.len() == super::PAGE && pages.blocking_send(std::mem::take(&mut page)).is_err() {
            return Ok(());
        }
    }
    // Whoever takes no more says why.
    let _ = pages.blocking_send(page);
    Ok(())
}

/// What a server does for this command: it has the log that is to take the events.
pub fn routes(log: Arc<dyn EventLog>, ledger: Arc<dyn EffectLedger>) -> Router {
    Router::new().route("/log/import/{last}", post(import)).with_state((log, ledger))
}

/// Takes the events that are the body's lines, of which the last one has the position `last`.
async fn import(
    State((log, ledger)): State<(Arc<dyn EventLog>, Arc<dyn EffectLedger>)>,
    PathOf(last): PathOf<u64>,
    body: Body,
) -> Response {
    let body = Box::pin(StreamReader::new(body.into_data_stream().map_err(io::Error::other)));
    let taken = async {
        ledger.mark_untried(Position(last)).await?;
        take(log.as_ref(), Position(last), SyncIoBridge::new(body)).await
    };
    match taken.await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")).into_response(),
    }
}
