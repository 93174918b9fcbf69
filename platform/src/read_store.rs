//! The read store: rows of views and how far they have come, in SQLite. All of it can be built anew from the log.

mod statements;
#[cfg(test)]
mod tests;

use crate::bus::Checkpoint;
use crate::event_log::{LogId, Position};
use crate::sqlite_code;
use crate::view_store::{Change, Key, Parked, Source, StoreError, ViewStore};
use serde::de::DeserializeOwned;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use statements::Statements;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

/// Connections that answer reads.
const READERS: u32 = 8;

/// How long a statement waits for a lock.
const BUSY: Duration = Duration::from_secs(5);

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

/// Rows, and the position at which they were so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<T> {
    /// How far the view was.
    pub position: Position,
    /// The rows.
    pub rows: Vec<T>,
}

/// The store.
pub struct ReadStore {
    writer: Mutex<SqliteConnection>,
    readers: SqlitePool,
    views: HashMap<&'static str, View>,
    log: LogId,
}

struct View {
    statements: Statements,
    position: watch::Sender<Position>,
    changes: Box<[AtomicU64]>,
    /// Streams set aside, and where.
    parked: RwLock<HashMap<String, Position>>,
}

impl ReadStore {
    /// Opens the store in a file, with these views.
    ///
    /// A view that does not fit (another log, another shape, ahead of the log) begins anew, and so does a damaged file.
    pub async fn open(path: &Path, tables: &[Table], source: Source) -> Result<Self, StoreError> {
        match Self::try_open(path, tables, source).await {
            Err(StoreError::Sqlite(error)) if sqlite_code::is_damaged(&error) => {
                tracing::warn!(%error, "the read store is damaged and is built anew from the log");
                for suffix in ["", "-wal", "-shm"] {
                    let file = PathBuf::from(format!("{}{suffix}", path.display()));
                    match std::fs::remove_file(&file) {
                        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                            return Err(StoreError::Io { path: file, source });
                        }
                        _ => {}
                    }
                }
                Self::try_open(path, tables, source).await
            }
            opened => opened,
        }
    }

    async fn try_open(path: &Path, tables: &[Table], source: Source) -> Result<Self, StoreError> {
        // A power cut may take the last transactions, but whole: the worker does them again. So they need no fsync.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY);
        let mut writer = SqliteConnection::connect_with(&options).await?;
        sqlx::raw_sql(statements::CATALOGUE).execute(&mut writer).await?;
        let mut views = HashMap::new();
        for table in tables {
            let statements = Statements::of(table);
            prepare(&mut writer, table, &statements, source).await?;
            let position = position(&mut writer, &statements.table).await?;
            let changes = std::iter::repeat_with(|| AtomicU64::new(source.head.0)).take(CHANGE_SLOTS).collect();
            let parked = parked(&mut writer, &statements.table).await?;
            let parked = RwLock::new(parked.into_iter().map(|parked| (parked.stream, parked.position)).collect());
            views.insert(table.name, View { statements, position: watch::Sender::new(position), changes, parked });
        }
        let readers = SqlitePoolOptions::new().max_connections(READERS).idle_timeout(None).max_lifetime(None);
        let readers = readers.connect_with(options.read_only(true).create_if_missing(false)).await?;
        Ok(Self { writer: Mutex::new(writer), readers, views, log: source.log })
    }

    /// How far a view has come: the minimum over its partitions.
    pub fn position(&self, view: &str) -> Position {
        *self.view(view).position.borrow()
    }

    /// Returns once a view has come as far as `position`.
    pub async fn wait_for(&self, view: &str, position: Position) -> Position {
        let mut positions = self.view(view).position.subscribe();
        let reached = positions.wait_for(|reached| *reached >= position).await;
        *reached.expect("the store, which is borrowed, holds the sender")
    }

    /// Where the last change of an object lies, or of another one that shares its place: never too early, and known
    /// before the view's position passes it.
    pub fn last_change(&self, view: &str, object: &str) -> Position {
        Position(self.view(view).changes[slot(object)].load(Ordering::SeqCst))
    }

    /// Where a view has set a stream aside, if it has: what it shows of it is as it was before that.
    pub fn parked_at(&self, view: &str, stream: &str) -> Option<Position> {
        self.view(view).parked.read().expect("nothing panics while it holds the streams").get(stream).copied()
    }

    /// Rows of a view together with its position, in one statement: both of the same moment and generation.
    pub async fn read<T: DeserializeOwned>(
        &self,
        view: &str,
        select: Select,
        params: &[Param],
    ) -> Result<Rows<T>, StoreError> {
        let sql = self.view(view).statements.read(&select);
        let mut query = sqlx::query_as::<_, (Option<i64>, Option<String>)>(AssertSqlSafe(sql));
        for param in params {
            query = match param {
                Param::Text(text) => query.bind(text.clone()),
                Param::Integer(integer) => query.bind(*integer),
            };
        }
        let mut read = Rows { position: Position(0), rows: Vec::new() };
        for (position, row) in query.fetch_all(&self.readers).await? {
            read.position = position.map_or(read.position, |position| Position(position.cast_unsigned()));
            read.rows.extend(row.map(|row| serde_json::from_str(&row)).transpose()?);
        }
        Ok(read)
    }

    fn view(&self, name: &str) -> &View {
        self.views.get(name).expect("every view that is asked for was opened")
    }
}

impl ViewStore for ReadStore {
    async fn checkpoints(&self, view: &str) -> Result<Vec<Checkpoint>, StoreError> {
        let table = &self.view(view).statements.table;
        let rows: Vec<(u16, i64)> =
            sqlx::query_as("SELECT partition, position FROM checkpoints WHERE table_name = ? ORDER BY partition")
                .bind(table)
                .fetch_all(&self.readers)
                .await?;
        let checkpoint = |(partition, position): (u16, i64)| Checkpoint {
            log: self.log,
            table: table.clone(),
            partition,
            position: Position(position.cast_unsigned()),
        };
        Ok(rows.into_iter().map(checkpoint).collect())
    }

    async fn parked(&self, view: &str) -> Result<Vec<Parked>, StoreError> {
        Ok(parked(&mut *self.readers.acquire().await?, &self.view(view).statements.table).await?)
    }

    async fn load<T: DeserializeOwned + Send>(&self, view: &str, keys: &[&Key]) -> Result<Vec<T>, StoreError> {
        let sql = AssertSqlSafe(Arc::clone(&self.view(view).statements.load));
        let rows: Vec<String> =
            sqlx::query_scalar(sql).bind(serde_json::to_string(keys)?).fetch_all(&self.readers).await?;
        rows.iter().map(|row| Ok(serde_json::from_str(row)?)).collect()
    }

    async fn write(&self, view: &str, change: &Change) -> Result<bool, StoreError> {
        let View { statements, position: announced, changes, parked } = self.view(view);
        // Before the commit: a reader that sees the new position has to see these too.
        let changed_keys = change.upserts.iter().map(|row| &row[statements.object]);
        for object in changed_keys.chain(change.deletes.iter().filter_map(|key| key.first())) {
            if let Some(object) = object.as_str() {
                changes[slot(object)].fetch_max(change.to.0, Ordering::SeqCst);
            }
        }
        let newly_parked = change.parked.iter().map(|parked| (parked.stream.clone(), parked.position));
        parked.write().expect("nothing panics while it holds the streams").extend(newly_parked);
        let mut writer = self.writer.lock().await;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let moved = sqlx::query(
            "UPDATE checkpoints SET position = ? WHERE table_name = ? AND partition = ? AND log = ? AND position = ?",
        )
        .bind(change.to.0.cast_signed())
        .bind(&change.from.table)
        .bind(change.from.partition)
        .bind(change.from.log.0)
        .bind(change.from.position.0.cast_signed())
        .execute(&mut *transaction)
        .await?;
        if moved.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        for (sql, values) in [
            (&statements.upsert, serde_json::to_string(&change.upserts)?),
            (&statements.delete, serde_json::to_string(&change.deletes)?),
        ] {
            if values != "[]" {
                sqlx::query(AssertSqlSafe(Arc::clone(sql))).bind(values).execute(&mut *transaction).await?;
            }
        }
        for Parked { stream, position, reason } in &change.parked {
            sqlx::query("INSERT INTO parked (table_name, stream, position, reason) VALUES (?, ?, ?, ?)")
                .bind(&change.from.table)
                .bind(stream)
                .bind(position.0.cast_signed())
                .bind(reason)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        let reached = position(&mut writer, &statements.table).await?;
        announced.send_replace(reached);
        Ok(true)
    }
}

fn slot(object: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    object.hash(&mut hasher);
    (hasher.finish() % CHANGE_SLOTS as u64) as usize
}

/// Leaves a view as it is if it can go on, and begins it anew if not.
async fn prepare(
    writer: &mut SqliteConnection,
    table: &Table,
    statements: &Statements,
    Source { log, head, partitions }: Source,
) -> Result<(), StoreError> {
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    let live: Option<(String, Uuid)> = sqlx::query_as("SELECT shape, log FROM generations WHERE view = ?")
        .bind(table.name)
        .fetch_optional(&mut *transaction)
        .await?;
    let (count, furthest): (i64, i64) =
        sqlx::query_as("SELECT count(*), coalesce(max(position), 0) FROM checkpoints WHERE table_name = ?")
            .bind(&statements.table)
            .fetch_one(&mut *transaction)
            .await?;
    let goes_on = live.as_ref().is_some_and(|(shape, of)| *shape == statements.create && *of == log.0)
        && count == i64::from(partitions)
        && furthest.cast_unsigned() <= head.0;
    if goes_on {
        return Ok(transaction.rollback().await?);
    }
    if live.is_some() {
        tracing::warn!(view = table.name, "the view is of another log or shape, and is built anew");
    }
    sqlx::raw_sql(AssertSqlSafe(statements.begin_anew(table))).execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO generations (view, table_name, shape, log) VALUES (?, ?, ?, ?)")
        .bind(table.name)
        .bind(&statements.table)
        .bind(&statements.create)
        .bind(log.0)
        .execute(&mut *transaction)
        .await?;
    for partition in 0..partitions {
        sqlx::query("INSERT INTO checkpoints (table_name, partition, log, position) VALUES (?, ?, ?, 0)")
            .bind(&statements.table)
            .bind(partition)
            .bind(log.0)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(transaction.commit().await?)
}

async fn position(connection: &mut SqliteConnection, table: &str) -> Result<Position, sqlx::Error> {
    let position: i64 = sqlx::query_scalar("SELECT min(position) FROM checkpoints WHERE table_name = ?")
        .bind(table)
        .fetch_one(connection)
        .await?;
    Ok(Position(position.cast_unsigned()))
}

async fn parked(connection: &mut SqliteConnection, table: &str) -> Result<Vec<Parked>, sqlx::Error> {
    let rows: Vec<(String, i64, String)> =
        sqlx::query_as("SELECT stream, position, reason FROM parked WHERE table_name = ? ORDER BY position")
            .bind(table)
            .fetch_all(connection)
            .await?;
    let parked = |(stream, position, reason): (_, i64, _)| Parked {
        stream,
        position: Position(position.cast_unsigned()),
        reason,
    };
    Ok(rows.into_iter().map(parked).collect())
}
