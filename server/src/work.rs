//! Does a task for views where the data directory is: in this process, or in the server that has it.

use crate::admin::client;
use crate::settings::{Hidden, Settings};
use crate::stores;
use crate::tools::{Task, Told, Workshop};
use crate::views::Views;
use anyhow::bail;
use platform::data_directory::{DataDirectory, DataDirectoryError, Layout};
use platform::event_log::EventLog;
use platform::event_log::postgres::PostgresLog;
use platform::read_store::Access;
use platform::seam::Seam;
use platform::view_store::Source;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Has a task done, and hands over what is told of it, but for its end: by the process that has the data directory, else
/// here, on the views that are there or that all nodes share.
pub async fn perform(
    settings: &Settings,
    task: Task,
    take: impl FnMut(Told) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let path = settings.data_directory();
    let layout = Layout::of(&path);
    let shared = settings.postgres.url.as_ref();
    if shared.is_none() && !layout.log().exists() {
        bail!("there is no event log in {}: name another directory with --data-dir", path.display());
    }
    let directory = match DataDirectory::open(&path) {
        Err(DataDirectoryError::InUse { .. }) => {
            return follow(client::work(&layout.admin_socket(), &task).await?, take).await;
        }
        directory => directory?,
    };
    let seam = Seam::system();
    let (log, views) = match shared {
        Some(Hidden(url)) => open_shared(url, settings, &seam).await?,
        None => {
            let (log, _) = stores::open(&directory, &seam).await?;
            let views = Views::open(&layout, log.as_ref()).await?;
            (log, views)
        }
    };
    let (mut keeping, stop) = (JoinSet::new(), CancellationToken::new());
    views.keep(&mut keeping, &stop);
    let workshop = Workshop::new(Arc::clone(&log), views, seam, None);
    let done = follow(workshop.start(task), take).await;
    workshop.close().await;
    stop.cancel();
    while keeping.join_next().await.is_some() {}
    log.close().await;
    done
}

/// What all nodes share.
async fn open_shared(url: &str, settings: &Settings, seam: &Seam) -> anyhow::Result<(Arc<dyn EventLog>, Views)> {
    let log: Arc<dyn EventLog> = Arc::new(PostgresLog::open(url, seam).await?);
    let source = Source { log: log.id(), head: log.head().await?, partitions: settings.kafka.partitions.get() };
    let views = Views::open_shared(url, None, source, Access::Builder(log.as_ref())).await?;
    Ok((log, views))
}

async fn follow(
    mut told: mpsc::Receiver<Told>,
    mut take: impl FnMut(Told) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    while let Some(told) = told.recv().await {
        match told {
            Told::Done => return Ok(()),
            Told::Failed { reason } => bail!(reason),
            told => take(told)?,
        }
    }
    bail!("the server ended before it was done: do it again once the server runs, or without one")
}
