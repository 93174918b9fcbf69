//! One generation of a view as a table in Postgres: rows and checkpoint are written in one transaction.

use super::Database;
use super::notice::{self, CHANNEL};
use super::statements::{Kind, Statements};
use crate::bus::Checkpoint;
use crate::event_log::{LogId, Position};
use crate::postgres::transaction::Transaction;
use crate::read_store::catalogue::{self, CheckpointRow};
use crate::read_store::shared::Shared;
use crate::view_store::{Change, Key, Parked, SetAside, Skipped, StoreError, ViewStore};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::Value;
use sqlx::postgres::{PgArguments, PgExecutor};
use sqlx::{Arguments, AssertSqlSafe, PgConnection, query_scalar_with, query_with};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, RwLock};

/// Moves checkpoints from where they were read, and tells of those that stood there, in as few notices as it takes: every
/// process hears every one. They are held in the order of their partitions, so that two that move some of the same never
/// wait for each other.
const MOVE: &str = "
    WITH held AS MATERIALIZED (
        SELECT partition FROM checkpoints WHERE table_name = $1 AND partition = ANY($4) ORDER BY partition FOR UPDATE),
    moved AS (
        UPDATE checkpoints AS own
        SET position = asked.position, events = asked.events, digest = asked.digest, amended = asked.amended
        FROM held JOIN unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
                              $10::bigint[], $11::json[], $12::bigint[])
            AS asked(partition, from_position, from_amended, position, events, digest, amended, told, notice)
            USING (partition)
        WHERE own.table_name = $1 AND own.log = $2 AND own.partition = asked.partition
            AND own.position = asked.from_position AND own.amended = asked.from_amended
        RETURNING own.partition, asked.told, asked.notice)
    SELECT array_agg(partition),
        pg_notify($3, json_build_object('view', $13, 'news', json_build_object('moved', json_agg(told)))::text)::text
    FROM moved GROUP BY notice";

const SET_ASIDE: &str = "
    SELECT true, stream, partition, revision, position, reason FROM parked WHERE table_name = $1 UNION ALL
    SELECT false, stream, 0, revision, position, reason FROM skipped WHERE table_name = $1 ORDER BY stream, revision";

/// The generation.
pub(super) struct TableGeneration {
    pub(super) number: u32,
    pub(super) statements: Statements,
    database: Arc<Database>,
    /// What all generations of the view share.
    shared: Arc<Shared>,
    /// As it was when it was looked at last.
    set_aside: RwLock<SetAside>,
    /// Who looks later stores what it saw later.
    looking: tokio::sync::Mutex<()>,
    /// How far each partition is, as far as this process has heard.
    reached: Mutex<Vec<Position>>,
}

impl TableGeneration {
    /// The generation, of which nothing is known yet.
    pub(super) fn new(number: u32, database: Arc<Database>, shared: Arc<Shared>) -> Self {
        let statements = Statements::of(&shared.table, number);
        let (set_aside, looking, reached) = (RwLock::default(), tokio::sync::Mutex::default(), Mutex::default());
        Self { number, statements, database, shared, set_aside, looking, reached }
    }

    /// Where it has set a stream aside, if it has.
    pub(super) fn parked_at(&self, stream: &str) -> Option<Position> {
        let set_aside = self.set_aside.read().expect("nothing panics while it holds what is set aside");
        set_aside.parked.get(stream).map(|parked| Position(parked.position))
    }

    /// Reads what is set aside, which other processes may have changed.
    pub(super) async fn look_at_set_aside(&self) -> Result<(), StoreError> {
        let _looking = self.looking.lock().await;
        let rows: Vec<(bool, String, i64, i64, i64, String)> =
            sqlx::query_as(SET_ASIDE).bind(&self.statements.table).fetch_all(&self.database.pool).await?;
        let (mut parked, mut skipped) = (Vec::new(), Vec::new());
        for (is_parked, stream, partition, revision, position, reason) in rows {
            match is_parked {
                true => parked.push((stream, partition, revision, position, reason)),
                false => skipped.push((stream, revision, position, reason)),
            }
        }
        *self.set_aside.write().expect("nothing panics while it holds what is set aside") =
            catalogue::set_aside(parked, skipped);
        Ok(())
    }

    /// Knows how far all partitions are.
    pub(super) fn know(&self, reached: Vec<Position>) {
        *self.reached.lock().expect("nothing panics while it holds positions") = reached;
    }

    /// Hears that a partition has come further; answers how far the slowest one is.
    pub(super) fn hear(&self, partition: u16, position: Position) -> Position {
        let mut reached = self.reached.lock().expect("nothing panics while it holds positions");
        if let Some(known) = reached.get_mut(usize::from(partition)) {
            *known = position.max(*known);
        }
        reached.iter().copied().min().unwrap_or_default()
    }

    /// Takes changes of several partitions, as far as their checkpoints stand where they were read; answers which.
    async fn try_write(&self, changes: &[Change]) -> Result<Vec<bool>, StoreError> {
        let is_only_position =
            |change: &Change| change.upserts.is_empty() && change.deletes.is_empty() && !change.sets_aside();
        if changes.iter().all(is_only_position) {
            return self.move_checkpoints(&self.database.pool, changes).await;
        }
        let mut transaction = Transaction::begin(&self.database.pool).await?;
        // First: whoever moves a checkpoint holds it, and has the partition's rows for himself until he has committed.
        let moved = self.move_checkpoints(&mut *transaction, changes).await?;
        let taken: Vec<_> = changes.iter().zip(&moved).filter(|(_, moved)| **moved).map(|(change, _)| change).collect();
        let upserts: Vec<_> = taken.iter().flat_map(|change| &change.upserts).collect();
        if !upserts.is_empty() {
            let upsert = AssertSqlSafe(Arc::clone(&self.statements.upsert));
            sqlx::query(upsert).bind(json(&upserts)?).execute(&mut *transaction).await?;
        }
        let deletes = taken.iter().flat_map(|change| &change.deletes);
        if deletes.clone().next().is_some() {
            let delete = AssertSqlSafe(Arc::clone(&self.statements.delete));
            query_with(delete, self.keys(deletes)?).execute(&mut *transaction).await?;
        }
        for change in taken {
            self.write_set_aside(&mut transaction, change).await?;
        }
        transaction.commit().await?;
        Ok(moved)
    }

    /// Moves the partitions' checkpoints; `false` for one that does not stand where it was read.
    async fn move_checkpoints(
        &self,
        executor: impl PgExecutor<'_>,
        changes: &[Change],
    ) -> Result<Vec<bool>, StoreError> {
        let (view, column) = (self.shared.table.name, self.statements.object);
        let (log, table) = (self.database.log, &self.statements.table);
        let is_own = |change: &&Change| change.from.log == log && change.from.table == *table;
        let own: Vec<_> = changes.iter().filter(is_own).collect();
        let (told, notices): (Vec<_>, Vec<_>) = notice::of_changes(self.number, &own, column)?.into_iter().unzip();
        let each =
            |value: fn(&Change) -> u64| -> Vec<i64> { own.iter().map(|change| value(change).cast_signed()).collect() };
        let moved: Vec<(Vec<i64>, String)> = sqlx::query_as(MOVE)
            .bind(table)
            .bind(log.0)
            .bind(CHANNEL)
            .bind(each(|change| u64::from(change.from.partition)))
            .bind(each(|change| change.from.position.0))
            .bind(each(|change| change.from.amended))
            .bind(each(|change| change.to.0))
            .bind(each(|change| change.tally.events))
            .bind(each(|change| change.tally.digest))
            .bind(each(|change| change.checkpoint().amended))
            .bind(told)
            .bind(notices)
            .bind(view)
            .fetch_all(executor)
            .await?;
        let is_moved = |change: &Change| moved.iter().any(|(moved, _)| moved.contains(&change.from.partition.into()));
        Ok(changes.iter().map(|change| is_own(&change) && is_moved(change)).collect())
    }

    async fn write_set_aside(&self, transaction: &mut PgConnection, change: &Change) -> Result<(), sqlx::Error> {
        let table = &self.statements.table;
        for stream in &change.taken_up {
            sqlx::query("DELETE FROM parked WHERE table_name = $1 AND stream = $2")
                .bind(table)
                .bind(stream)
                .execute(&mut *transaction)
                .await?;
        }
        for Parked { stream, partition, revision, position, reason } in &change.parked {
            sqlx::query("INSERT INTO parked VALUES ($1, $2, $3, $4, $5, $6)")
                .bind(table)
                .bind(stream)
                .bind(i64::from(*partition))
                .bind(revision.cast_signed())
                .bind(position.cast_signed())
                .bind(without_nul(reason))
                .execute(&mut *transaction)
                .await?;
        }
        for Skipped { stream, revision, position, reason } in &change.skipped {
            sqlx::query("INSERT INTO skipped VALUES ($1, $2, $3, $4, $5)")
                .bind(table)
                .bind(stream)
                .bind(revision.cast_signed())
                .bind(position.cast_signed())
                .bind(without_nul(reason))
                .execute(&mut *transaction)
                .await?;
        }
        Ok(())
    }

    /// How far its table has come.
    pub(super) async fn read_checkpoints(&self, executor: impl PgExecutor<'_>) -> Result<Vec<Checkpoint>, StoreError> {
        checkpoints(executor, &self.statements.table, self.database.log).await
    }

    /// Keys as arrays, one for each key column. A key of another type than the columns is none of any row.
    fn keys<'a>(&self, keys: impl Iterator<Item = &'a Key> + Clone) -> Result<PgArguments, StoreError> {
        let kinds = &self.statements.key;
        let fitting = keys.filter(|key| key.len() == kinds.len() && key.iter().zip(kinds).all(is_of));
        let mut arguments = PgArguments::default();
        for (place, kind) in kinds.iter().enumerate() {
            let values = fitting.clone().map(|key| &key[place]);
            let added = match kind {
                Kind::Text => arguments.add(values.filter_map(Value::as_str).map(without_nul).collect::<Vec<_>>()),
                Kind::Integer => arguments.add(values.filter_map(Value::as_i64).collect::<Vec<_>>()),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }

    /// A limit and a key, from which to go on.
    pub(super) fn behind(&self, limit: usize, after: Option<&Key>) -> Result<PgArguments, StoreError> {
        let mut arguments = PgArguments::default();
        let limit = arguments.add(i64::try_from(limit).unwrap_or(i64::MAX));
        limit.map_err(sqlx::Error::Encode)?;
        for value in after.into_iter().flatten() {
            let added = match value.as_str() {
                Some(text) => arguments.add(without_nul(text)),
                None => arguments.add(value.as_i64()),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }
}

impl ViewStore for TableGeneration {
    fn is_live(&self) -> bool {
        self.shared.live.load(Ordering::SeqCst) == self.number
    }

    fn checkpoints(&self) -> BoxFuture<'_, Result<Vec<Checkpoint>, StoreError>> {
        async move {
            let checkpoints = self.read_checkpoints(&self.database.pool).await?;
            if checkpoints.is_empty() {
                // Another process has dropped it.
                return Err(StoreError::NoGeneration { view: self.shared.table.name, number: self.number });
            }
            // Afterwards: what changes between both has moved a checkpoint that was read.
            self.look_at_set_aside().await?;
            Ok(checkpoints)
        }
        .boxed()
    }

    fn set_aside(&self) -> SetAside {
        self.set_aside.read().expect("nothing panics while it holds what is set aside").clone()
    }

    fn load<'a>(&'a self, keys: &'a [&'a Key]) -> BoxFuture<'a, Result<Vec<Value>, StoreError>> {
        async move {
            let keys = self.keys(keys.iter().copied())?;
            let load = AssertSqlSafe(Arc::clone(&self.statements.load));
            let rows: Vec<String> = query_scalar_with(load, keys).fetch_all(&self.database.pool).await?;
            rows.iter().map(|row| Ok(serde_json::from_str(row)?)).collect()
        }
        .boxed()
    }

    fn write<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Result<bool, StoreError>> {
        async move { Ok(self.try_write(std::slice::from_ref(change)).await? == [true]) }.boxed()
    }

    fn takes_together(&self) -> bool {
        true
    }

    fn write_all<'a>(&'a self, changes: &'a [Change]) -> BoxFuture<'a, Result<Vec<bool>, StoreError>> {
        self.try_write(changes).boxed()
    }
}

/// How far a table has come.
async fn checkpoints(executor: impl PgExecutor<'_>, table: &str, log: LogId) -> Result<Vec<Checkpoint>, StoreError> {
    let rows: Vec<CheckpointRow> = sqlx::query_as(
        "SELECT partition, position, events, digest, amended FROM checkpoints WHERE table_name = $1 ORDER BY partition",
    )
    .bind(table)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|row| catalogue::checkpoint(log, table, row)).collect())
}

fn is_of((value, kind): (&Value, &Kind)) -> bool {
    match kind {
        Kind::Text => value.is_string(),
        Kind::Integer => value.is_i64(),
    }
}

/// Rows as one parameter.
fn json(rows: &[&Value]) -> Result<String, StoreError> {
    let json = serde_json::to_string(rows)?;
    if !json.contains("\\u0000") {
        return Ok(json);
    }
    let mut rows: Vec<_> = rows.iter().map(|row| (*row).clone()).collect();
    for row in &mut rows {
        for (_, value) in row.as_object_mut().into_iter().flatten() {
            if let Value::String(text) = value {
                *text = without_nul(text);
            }
        }
    }
    Ok(serde_json::to_string(&rows)?)
}

/// The character U+0000, which no text in Postgres can hold, as the one that stands for what cannot be shown.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}
