//! Finding the views in Postgres: a builder creates what is missing, a reader waits for it.

use super::notice;
use super::tables::{self, CATALOGUE, Catalogued};
use crate::event_log::{EventLog, Position};
use crate::postgres::transaction::Transaction;
use crate::read_store::Table;
use crate::view_store::{Source, Stage, StoreError};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use std::time::Duration;
use tokio::time::Instant;

/// The advisory lock under which builders open views: "CViewsCV".
const VIEWS_LOCK: i64 = i64::from_be_bytes(*b"CViewsCV");

/// How often a reader looks whether the views are there.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Postgres' code for a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";

/// Creates what is missing of the views, and has those begin anew that do not fit.
pub(super) async fn build(
    pool: &PgPool,
    tables: &[Table],
    source: Source,
    log: &dyn EventLog,
) -> Result<(), StoreError> {
    let mut transaction = Transaction::begin(pool).await?;
    lock(&mut transaction).await?;
    sqlx::raw_sql(CATALOGUE).execute(&mut *transaction).await?;
    transaction.commit().await?;
    for table in tables {
        let mut transaction = Transaction::begin(pool).await?;
        lock(&mut transaction).await?;
        build_view(&mut transaction, table, source, log).await?;
        transaction.commit().await?;
    }
    Ok(())
}

async fn lock(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(VIEWS_LOCK).execute(transaction).await.map(drop)
}

async fn build_view(
    transaction: &mut PgConnection,
    table: &Table,
    source: Source,
    log: &dyn EventLog,
) -> Result<(), StoreError> {
    let view = table.name;
    sqlx::query("INSERT INTO generation_numbers VALUES ($1, 0) ON CONFLICT (view) DO NOTHING")
        .bind(view)
        .execute(&mut *transaction)
        .await?;
    tables::lock_view(transaction, view).await?;
    let found = tables::catalogued(&mut *transaction, view).await?;
    let head = head(&found, source, log).await?;
    let fits = |it: &Catalogued| it.fits(table, source.log, source.partitions) && it.furthest() <= head;
    // One that is being built may be another process's: it stays, and a rebuild drops what is left of another one.
    let (goes_on, misfits): (Vec<_>, Vec<_>) = found.iter().partition(|it| fits(it));
    let is_live = goes_on.iter().any(|it| it.stage == Stage::Live);
    if is_live && misfits.is_empty() && is_seen(transaction, view).await? {
        return Ok(());
    }
    if !is_live {
        if !found.is_empty() {
            tracing::warn!(view, "the view is of another log or shape, and is built anew");
        }
        let unseen = format!("DROP VIEW IF EXISTS {view}_position; DROP VIEW IF EXISTS {view};");
        sqlx::raw_sql(AssertSqlSafe(unseen)).execute(&mut *transaction).await?;
    }
    let to_remove = if is_live { misfits } else { found.iter().collect() };
    for it in to_remove {
        tables::remove(transaction, table, it.number).await?;
    }
    let live = match goes_on.iter().find(|it| it.stage == Stage::Live) {
        Some(live) => live.number,
        None => tables::create(transaction, table, Stage::Live, source).await?,
    };
    tables::show(transaction, table, live).await?;
    Ok(notice::tell_of_generations(transaction, view).await?)
}

/// Where the log ends, at least: other processes go on while this one opens, so that views that are ahead of what it knew
/// of the log are no reason to build them anew.
async fn head(found: &[Catalogued], source: Source, log: &dyn EventLog) -> Result<Position, StoreError> {
    let furthest = found.iter().map(Catalogued::furthest).max().unwrap_or_default();
    if furthest <= source.head { Ok(source.head) } else { Ok(log.head().await?) }
}

/// Whether the SQL views are there.
async fn is_seen(transaction: &mut PgConnection, view: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL AND to_regclass($1 || '_position') IS NOT NULL")
        .bind(view)
        .fetch_one(transaction)
        .await
}

/// Waits, within bounds, until every view can be read.
pub(super) async fn wait(pool: &PgPool, tables: &[Table], source: Source, within: Duration) -> Result<(), StoreError> {
    let until = Instant::now() + within;
    for table in tables {
        while let Some(missing) = missing(pool, table, source).await? {
            if Instant::now() >= until {
                return Err(StoreError::NotBuilt { view: table.name, missing });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

/// What is missing for reading a view.
async fn missing(pool: &PgPool, table: &Table, source: Source) -> Result<Option<String>, StoreError> {
    let found = match tables::catalogued(pool, table.name).await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(UNDEFINED_TABLE) => Vec::new(),
        found => found?,
    };
    Ok(missing_of(&found, table, source))
}

/// What these generations lack.
fn missing_of(found: &[Catalogued], table: &Table, source: Source) -> Option<String> {
    match found.iter().find(|it| it.stage == Stage::Live) {
        None => Some("no generation of it is live".to_owned()),
        Some(live) => {
            let misfit = live.misfit(table, source.log, source.partitions);
            misfit.map(|misfit| format!("generation {} is live, but {misfit}", live.number))
        }
    }
}
