//! One generation of a view as a table: rows and checkpoint are written in one transaction.

use super::StoreFile;
use super::statements::Statements;
use crate::bus::Checkpoint;
use crate::event_log::LogId;
use crate::read_store::catalogue::{self, CheckpointRow, ParkedRow, SkippedRow};
use crate::read_store::shared::{self, Shared};
use crate::view_store::{self, Change, Key, Parked, SetAside, Skipped, StoreError, ViewStore};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The generation.
pub(super) struct TableGeneration {
    pub(super) number: u32,
    pub(super) statements: Statements,
    pub(super) file: Arc<StoreFile>,
    /// What all generations of the view share.
    pub(super) shared: Arc<Shared>,
    set_aside: RwLock<SetAside>,
}

impl TableGeneration {
    /// The generation as it was left.
    pub(super) async fn open(
        number: u32,
        file: Arc<StoreFile>,
        shared: Arc<Shared>,
        connection: &mut SqliteConnection,
    ) -> Result<Self, StoreError> {
        let statements = Statements::of(&shared.table, number);
        let set_aside = RwLock::new(set_aside(connection, &statements.table).await?);
        Ok(Self { number, statements, file, shared, set_aside })
    }

    pub(super) fn aside(&self) -> RwLockReadGuard<'_, SetAside> {
        self.set_aside.read().expect("nothing panics while it holds what is set aside")
    }

    /// Writes a change, and announces it if readers see this generation. Whoever calls this holds the writer, so that no
    /// switch comes between.
    async fn write_with(&self, writer: &mut SqliteConnection, change: &Change) -> Result<bool, StoreError> {
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        if !self.move_checkpoint(&mut transaction, &change.from, &change.checkpoint()).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        for (sql, values) in [
            (&self.statements.upsert, serde_json::to_string(&change.upserts)?),
            (&self.statements.delete, serde_json::to_string(&change.deletes)?),
        ] {
            if values != "[]" {
                sqlx::query(AssertSqlSafe(Arc::clone(sql))).bind(values).execute(&mut *transaction).await?;
            }
        }
        self.write_set_aside(&mut transaction, change).await?;
        // Before the commit: a reader that sees the new position has to see these too.
        self.note(change);
        let before = change.sets_aside().then(|| self.set_aside());
        self.hold_set_aside().change(change);
        if let Err(error) = transaction.commit().await {
            if let Some(before) = before {
                *self.hold_set_aside() = before;
            }
            return Err(error.into());
        }
        if self.is_live() {
            let reached = view_store::position(&self.read_checkpoints(writer).await?);
            self.shared.position.send_replace(reached);
        }
        Ok(true)
    }

    /// Remembers which objects change, if readers see this generation. What is taken up does not move the position, by
    /// which a switch would tell what was read before it.
    fn note(&self, change: &Change) {
        if self.is_live() || !change.taken_up.is_empty() {
            for object in shared::changed_objects(change, self.statements.object) {
                self.shared.slot_changed(shared::slot(object), shared::changed_at(change));
            }
        }
    }

    fn hold_set_aside(&self) -> RwLockWriteGuard<'_, SetAside> {
        self.set_aside.write().expect("nothing panics while it holds what is set aside")
    }

    /// Moves the partition's checkpoint; `false` if it does not stand where it was read.
    async fn move_checkpoint(
        &self,
        transaction: &mut SqliteConnection,
        from: &Checkpoint,
        to: &Checkpoint,
    ) -> Result<bool, sqlx::Error> {
        let moved = sqlx::query(
            "UPDATE checkpoints SET position = ?, events = ?, digest = ?, amended = ?
             WHERE table_name = ? AND partition = ? AND log = ? AND position = ? AND amended = ?",
        )
        .bind(to.position.0.cast_signed())
        .bind(to.tally.events.cast_signed())
        .bind(to.tally.digest.cast_signed())
        .bind(to.amended.cast_signed())
        .bind(&from.table)
        .bind(from.partition)
        .bind(from.log.0)
        .bind(from.position.0.cast_signed())
        .bind(from.amended.cast_signed())
        .execute(transaction)
        .await?;
        Ok(moved.rows_affected() == 1)
    }

    async fn write_set_aside(&self, transaction: &mut SqliteConnection, change: &Change) -> Result<(), sqlx::Error> {
        let table = &self.statements.table;
        for stream in &change.taken_up {
            sqlx::query("DELETE FROM parked WHERE table_name = ? AND stream = ?")
                .bind(table)
                .bind(stream)
                .execute(&mut *transaction)
                .await?;
        }
        for Parked { stream, partition, revision, position, reason } in &change.parked {
            sqlx::query("INSERT INTO parked VALUES (?, ?, ?, ?, ?, ?)")
                .bind(table)
                .bind(stream)
                .bind(partition)
                .bind(revision.cast_signed())
                .bind(position.cast_signed())
                .bind(reason)
                .execute(&mut *transaction)
                .await?;
        }
        for Skipped { stream, revision, position, reason } in &change.skipped {
            sqlx::query("INSERT INTO skipped VALUES (?, ?, ?, ?, ?)")
                .bind(table)
                .bind(stream)
                .bind(revision.cast_signed())
                .bind(position.cast_signed())
                .bind(reason)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(())
    }

    pub(super) async fn read_checkpoints(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<Checkpoint>, sqlx::Error> {
        checkpoints(connection, &self.statements.table, self.file.log).await
    }
}

impl ViewStore for TableGeneration {
    fn is_live(&self) -> bool {
        self.shared.live.load(Ordering::SeqCst) == self.number
    }

    fn checkpoints(&self) -> BoxFuture<'_, Result<Vec<Checkpoint>, StoreError>> {
        async move { Ok(self.read_checkpoints(&mut *self.file.readers.acquire().await?).await?) }.boxed()
    }

    fn set_aside(&self) -> SetAside {
        self.aside().clone()
    }

    fn load<'a>(&'a self, keys: &'a [&'a Key]) -> BoxFuture<'a, Result<Vec<Value>, StoreError>> {
        async move {
            let sql = AssertSqlSafe(Arc::clone(&self.statements.load));
            let keys = serde_json::to_string(keys)?;
            let rows: Vec<String> = sqlx::query_scalar(sql).bind(keys).fetch_all(&self.file.readers).await?;
            rows.iter().map(|row| Ok(serde_json::from_str(row)?)).collect()
        }
        .boxed()
    }

    fn write<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Result<bool, StoreError>> {
        async move {
            let mut writer = self.file.writer.lock().await;
            self.write_with(&mut writer, change).await
        }
        .boxed()
    }
}

/// How far a table has come.
pub(super) async fn checkpoints(
    connection: &mut SqliteConnection,
    table: &str,
    log: LogId,
) -> Result<Vec<Checkpoint>, sqlx::Error> {
    let rows: Vec<CheckpointRow> = sqlx::query_as(
        "SELECT partition, position, events, digest, amended FROM checkpoints WHERE table_name = ? ORDER BY partition",
    )
    .bind(table)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| catalogue::checkpoint(log, table, row)).collect())
}

async fn set_aside(connection: &mut SqliteConnection, table: &str) -> Result<SetAside, sqlx::Error> {
    let parked: Vec<ParkedRow> =
        sqlx::query_as("SELECT stream, partition, revision, position, reason FROM parked WHERE table_name = ?")
            .bind(table)
            .fetch_all(&mut *connection)
            .await?;
    let skipped: Vec<SkippedRow> = sqlx::query_as(
        "SELECT stream, revision, position, reason FROM skipped WHERE table_name = ? ORDER BY stream, revision",
    )
    .bind(table)
    .fetch_all(connection)
    .await?;
    Ok(catalogue::set_aside(parked, skipped))
}
