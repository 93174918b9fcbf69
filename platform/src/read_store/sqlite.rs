//! The read store in a file: one connection writes, others read.

mod statements;
mod table_generation;
mod table_generations;

use super::shared::Shared;
use super::{Table, View, Views};
use crate::derived_file;
use crate::event_log::LogId;
use crate::sqlite_code;
use crate::view_store::{Source, StoreError};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use table_generations::TableGenerations;
use tokio::sync::Mutex;

/// Connections that answer reads.
const READERS: u32 = 8;

/// The file.
struct StoreFile {
    writer: Mutex<SqliteConnection>,
    readers: SqlitePool,
    /// Of connections that read.
    options: SqliteConnectOptions,
    log: LogId,
}

/// Opens the views in a file. A damaged one begins anew.
pub(super) async fn open(path: &Path, tables: &[Table], source: Source) -> Result<Views, StoreError> {
    match try_open(path, tables, source).await {
        Err(StoreError::Database(error)) if sqlite_code::is_damaged(&error) => {
            tracing::warn!(%error, "the read store is damaged and is built anew from the log");
            put_away(path)?;
            try_open(path, tables, source).await
        }
        opened => opened,
    }
}

async fn try_open(path: &Path, tables: &[Table], source: Source) -> Result<Views, StoreError> {
    // A power cut may take the last transactions, but whole: the worker does them again. So they need no fsync.
    let options = derived_file::options(path);
    let mut writer = SqliteConnection::connect_with(&options).await?;
    let (format, catalogued): (i32, i64) =
        sqlx::query_as("SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)")
            .fetch_one(&mut writer)
            .await?;
    if catalogued > 0 && format != statements::FORMAT {
        tracing::warn!(format, "the read store has another format, and is built anew from the log");
        writer.close().await?;
        put_away(path)?;
        writer = SqliteConnection::connect_with(&options).await?;
    }
    sqlx::raw_sql(statements::CATALOGUE).execute(&mut writer).await?;
    let set_format = format!("PRAGMA user_version = {}", statements::FORMAT);
    sqlx::query(AssertSqlSafe(set_format)).execute(&mut writer).await?;
    let options = options.read_only(true).create_if_missing(false);
    let readers = SqlitePoolOptions::new().max_connections(READERS).idle_timeout(None).max_lifetime(None);
    let readers = readers.connect_with(options.clone()).await?;
    let file = Arc::new(StoreFile { writer: Mutex::new(writer), readers, options, log: source.log });
    let mut views = HashMap::new();
    for table in tables {
        let shared = Shared::new(*table, statements::json(table), source.head);
        let mut writer = file.writer.lock().await;
        let generations = TableGenerations::open(&file, shared, source, &mut writer).await?;
        views.insert(table.name, Arc::new(generations) as Arc<dyn View>);
    }
    Ok(views)
}

fn put_away(path: &Path) -> Result<(), StoreError> {
    derived_file::remove(path).map_err(|source| StoreError::Io { path: path.to_owned(), source })
}
