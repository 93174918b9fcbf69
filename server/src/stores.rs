//! What a data directory keeps for good: the log, and the vault that belongs to it. Neither can be made anew, so that one
//! that is missing is not replaced by an empty one.

use anyhow::bail;
use platform::data_directory::{DataDirectory, Layout};
use platform::event_log::sqlite::SqliteLog;
use platform::event_log::{EventLog, Position};
use platform::seam::Seam;
use platform::vault::sqlite::SqliteVault;
use std::path::Path;
use std::sync::Arc;

/// The log and the vault of a data directory; both are made where there is nothing yet.
pub async fn open(directory: &DataDirectory, seam: &Seam) -> anyhow::Result<(Arc<dyn EventLog>, Arc<SqliteVault>)> {
    let layout = directory.layout();
    let of_a_log = [layout.vault(), layout.views(), layout.snapshots(), layout.search()];
    if !holds_data(&layout.log()) && of_a_log.iter().any(|path| holds_data(path)) {
        bail!(
            "the event log {} is missing or empty, and there is what belongs to one beside it: put it back, or `colophon \
             restore` a backup into an empty directory",
            layout.log().display()
        );
    }
    let log = SqliteLog::open(&layout.log(), seam).await?;
    match vault_of(&log, layout).await {
        Ok(vault) => Ok((Arc::new(log), Arc::new(vault))),
        Err(error) => {
            log.close().await;
            Err(error)
        }
    }
}

async fn vault_of(log: &SqliteLog, layout: &Layout) -> anyhow::Result<SqliteVault> {
    needs_vault(layout, log.head().await?)?;
    Ok(SqliteVault::open(&layout.vault(), log.id()).await?)
}

/// Refuses a directory whose log has events, but no vault beside it.
pub fn needs_vault(layout: &Layout, head: Position) -> anyhow::Result<()> {
    if head > Position(0) && !holds_data(&layout.vault()) {
        bail!(
            "the vault {} is missing or empty, and nothing else says whose the orders in the log are: put it back, or \
             `colophon restore` a backup into an empty directory (`colophon log export` and `log import` take a log \
             without one elsewhere)",
            layout.vault().display()
        );
    }
    Ok(())
}

fn holds_data(path: &Path) -> bool {
    path.metadata().is_ok_and(|there| there.is_dir() || there.len() > 0)
}
