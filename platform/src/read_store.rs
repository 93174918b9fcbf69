//! The read store: rows of views and how far they have come, in SQLite. All of it can be built anew from the log.

mod statements;
mod table_generation;
mod table_generations;
#[cfg(test)]
mod tests;

use crate::derived_file;
use crate::event_log::{LogId, Position};
use crate::sqlite_code;
use crate::view_store::{Generations, Source, StoreError};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use table_generations::TableGenerations;
use tokio::sync::{Mutex, watch};

/// Connections that answer reads.
const READERS: u32 = 8;

/// Places in which the last changes of a view's objects are remembered; objects that share one share its news.
const CHANGE_SLOTS: usize = 4_096;

/// What a view's rows are kept in.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The view's name, under which its rows are read.
    pub name: &'static str,
    /// Name and SQL type of each column, the key's first.
    pub columns: &'static [(&'static str, &'static str)],
    /// How many of the first columns are the key; the first of them names the object that the row is about.
    pub key: usize,
    /// Columns by which rows are found besides the key.
    pub indexes: &'static [&'static [&'static str]],
}

/// A value in a filter.
#[derive(Debug, Clone)]
pub enum Param {
    /// Of a text column.
    Text(String),
    /// Of an integer column.
    Integer(i64),
}

/// Which rows to read.
#[derive(Debug, Clone, Copy)]
pub struct Select {
    /// What to read instead of the view's rows: a query in parentheses with the same columns.
    pub from: Option<&'static str>,
    /// A condition with `?1`, `?2` … for its parameters.
    pub filter: &'static str,
    /// The columns of the order.
    pub order: &'static str,
    /// The most rows.
    pub limit: u32,
}

/// Rows, and where they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<T> {
    /// How far the view was.
    pub position: Position,
    /// The generation of the view.
    pub generation: u32,
    /// The rows.
    pub rows: Vec<T>,
}

/// The store.
pub struct ReadStore {
    file: Arc<StoreFile>,
    views: HashMap<&'static str, Arc<TableGenerations>>,
}

/// The file: one connection writes, others read.
struct StoreFile {
    writer: Mutex<SqliteConnection>,
    readers: SqlitePool,
    /// Of connections that read.
    options: SqliteConnectOptions,
    log: LogId,
}

/// What all generations of a view share.
struct Shared {
    table: Table,
    /// A row as JSON, for every read.
    json: String,
    /// The number of the live generation.
    live: AtomicU32,
    /// How far the live generation is.
    position: watch::Sender<Position>,
    changes: Box<[AtomicU64]>,
}

impl Shared {
    fn new(table: Table, head: Position) -> Self {
        let changes = std::iter::repeat_with(|| AtomicU64::new(head.0)).take(CHANGE_SLOTS).collect();
        let json = statements::json(&table);
        Self { table, json, live: AtomicU32::new(0), position: watch::Sender::default(), changes }
    }

    /// Remembers that an object changes.
    fn changed(&self, object: &Value, position: Position) {
        if let Some(object) = object.as_str() {
            self.changes[slot(object)].fetch_max(position.0, Ordering::SeqCst);
        }
    }

    /// Whatever was read before may have changed.
    fn all_changed(&self, position: Position) {
        for change in &self.changes {
            change.fetch_max(position.0, Ordering::SeqCst);
        }
    }
}

impl ReadStore {
    /// Opens the store in a file, with these views.
    ///
    /// A view that does not fit (another log, another shape, ahead of the log) begins anew, and so does a damaged file.
    pub async fn open(path: &Path, tables: &[Table], source: Source) -> Result<Self, StoreError> {
        match Self::try_open(path, tables, source).await {
            Err(StoreError::Sqlite(error)) if sqlite_code::is_damaged(&error) => {
                tracing::warn!(%error, "the read store is damaged and is built anew from the log");
                put_away(path)?;
                Self::try_open(path, tables, source).await
            }
            opened => opened,
        }
    }

    async fn try_open(path: &Path, tables: &[Table], source: Source) -> Result<Self, StoreError> {
        // A power cut may take the last transactions, but whole: the worker does them again. So they need no fsync.
        let options = derived_file::options(path);
        let mut writer = SqliteConnection::connect_with(&options).await?;
        let (format, catalogued): (i32, i64) = sqlx::query_as(
            "SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)",
        )
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
            let shared = Shared::new(*table, source.head);
            let mut writer = file.writer.lock().await;
            let generations = TableGenerations::open(&file, shared, source, &mut writer).await?;
            views.insert(table.name, Arc::new(generations));
        }
        Ok(Self { file, views })
    }

    /// How far a view has come: the minimum over its partitions.
    pub fn position(&self, view: &str) -> Position {
        *self.view(view).shared.position.borrow()
    }

    /// Returns once a view has come as far as `position`.
    pub async fn wait_for(&self, view: &str, position: Position) -> Position {
        let mut positions = self.view(view).shared.position.subscribe();
        let reached = positions.wait_for(|reached| *reached >= position).await;
        *reached.expect("the store, which is borrowed, holds the sender")
    }

    /// Where the last change of an object lies, or of another one that shares its place: never too early, and known
    /// before the view's position passes it.
    pub fn last_change(&self, view: &str, object: &str) -> Position {
        Position(self.view(view).shared.changes[slot(object)].load(Ordering::SeqCst))
    }

    /// The generation of a view that readers see: known before they do.
    pub fn generation(&self, view: &str) -> u32 {
        self.view(view).shared.live.load(Ordering::SeqCst)
    }

    /// Where a view has set a stream aside, if it has: what it shows of it is as it was before that.
    pub fn parked_at(&self, view: &str, stream: &str) -> Option<Position> {
        self.view(view).live().aside().parked.get(stream).map(|parked| Position(parked.position))
    }

    /// The generations of a view.
    pub fn generations(&self, view: &str) -> Arc<dyn Generations> {
        Arc::clone(self.view(view)) as Arc<dyn Generations>
    }

    /// Rows of a view together with its position, in one statement: both of the same moment and generation.
    pub async fn read<T: DeserializeOwned>(
        &self,
        view: &str,
        select: Select,
        params: &[Param],
    ) -> Result<Rows<T>, StoreError> {
        let sql = statements::read(view, &self.view(view).shared.json, &select);
        let mut query = sqlx::query_as::<_, (Option<i64>, Option<u32>, Option<String>)>(AssertSqlSafe(sql));
        for param in params {
            query = match param {
                Param::Text(text) => query.bind(text.clone()),
                Param::Integer(integer) => query.bind(*integer),
            };
        }
        let mut read = Rows { position: Position(0), generation: 0, rows: Vec::new() };
        for (position, generation, row) in query.fetch_all(&self.file.readers).await? {
            if let (Some(position), Some(generation)) = (position, generation) {
                (read.position, read.generation) = (Position(position.cast_unsigned()), generation);
            }
            read.rows.extend(row.map(|row| serde_json::from_str(&row)).transpose()?);
        }
        Ok(read)
    }

    fn view(&self, name: &str) -> &Arc<TableGenerations> {
        self.views.get(name).expect("every view that is asked for was opened")
    }
}

fn slot(object: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    object.hash(&mut hasher);
    (hasher.finish() % CHANGE_SLOTS as u64) as usize
}

fn put_away(path: &Path) -> Result<(), StoreError> {
    derived_file::remove(path).map_err(|source| StoreError::Io { path: path.to_owned(), source })
}
