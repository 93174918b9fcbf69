//! A backup of what nodes share in Postgres: in the files that the embedded form has, so that it can be restored on any
//! machine, looked into, and carried to another database.

use super::{name_in, protect};
use anyhow::Context;
use platform::data_directory::Layout;
use platform::event_log::postgres::PostgresLog;
use platform::event_log::sqlite::{self, SqliteLog};
use platform::event_log::{EventLog, Position};
use platform::seam::Seam;
use platform::vault::Vault;
use platform::vault::effects::EffectLedger;
use platform::vault::postgres::PostgresVault;
use platform::vault::sqlite::SqliteVault;
use tokio::sync::mpsc;

/// Events that are read at once.
const PAGE: usize = 1_000;

/// The log first: a customer is in the vault before the log names him, so none is missing in the vault's later copy.
pub(super) async fn copy_stores(url: &str, copy: &Layout) -> anyhow::Result<Vec<String>> {
    let seam = Seam::system();
    let log = PostgresLog::open(url, &seam).await?;
    let head = log.head().await?;
    let file = SqliteLog::open(&copy.log(), &seam).await?;
    if head > Position(0) {
        copy_events(&log, head, &file).await.context("the log cannot be copied")?;
    }
    file.close().await;
    sqlite::rename(&copy.log(), log.id()).await?;
    let (from, to) = (PostgresVault::open(url, log.id()).await?, SqliteVault::open(&copy.vault(), log.id()).await?);
    for (customer, id) in from.customers().await? {
        to.find_or_add(&customer, id).await?;
    }
    // The ledger stays where it is: what the events caused is not tried where they are restored.
    to.mark_untried(head).await?;
    to.close().await;
    protect(&copy.log())?;
    protect(&copy.vault())?;
    Ok(vec![name_in(copy, &copy.log())?, name_in(copy, &copy.vault())?])
}

async fn copy_events(log: &PostgresLog, head: Position, file: &SqliteLog) -> anyhow::Result<()> {
    let (sender, pages) = mpsc::channel(1);
    let reading = async {
        let mut at = Position(0);
        while at < head {
            let limit = usize::try_from(head.0 - at.0).unwrap_or(PAGE).min(PAGE);
            let page = log.read_all(at, limit).await?;
            at = page.last().context("the log ends too early")?.position;
            if sender.send(page).await.is_err() {
                break;
            }
        }
        drop(sender);
        anyhow::Ok(())
    };
    let (read, taken) = tokio::join!(reading, file.import(head, pages));
    read?;
    Ok(taken?)
}
