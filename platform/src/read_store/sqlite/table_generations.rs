//! The generations of a view that are tables: which there are, and which of them readers see.

use super::StoreFile;
use super::statements::{self, Statements};
use super::table_generation::{TableGeneration, checkpoints};
use crate::bus::Checkpoint;
use crate::event_log::Position;
use crate::read_store::catalogue;
use crate::read_store::shared::Shared;
use crate::read_store::{Param, Rows, Select, View};
use crate::view_store::members::{self, ByNumber, Members};
use crate::view_store::{self, Frozen, Generation, Generations, Key, Source, Stage, StoreError, Switch};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::watch;
use uuid::Uuid;

/// All generations of one view.
pub(super) struct TableGenerations {
    file: Arc<StoreFile>,
    shared: Arc<Shared>,
    members: Members<TableGeneration>,
}

impl TableGenerations {
    /// The generations as they were left, as far as they can go on. If the live one cannot, the view begins anew.
    pub(super) async fn open(
        file: &Arc<StoreFile>,
        shared: Shared,
        source: Source,
        writer: &mut SqliteConnection,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(shared);
        let view = shared.table.name;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let found: Vec<(u32, String, String, Uuid)> =
            sqlx::query_as("SELECT number, stage, shape, log FROM generations WHERE view = ? ORDER BY number")
                .bind(view)
                .fetch_all(&mut *transaction)
                .await?;
        let mut stages = BTreeMap::new();
        for (number, stage, shape, log) in &found {
            let statements = Statements::of(&shared.table, *number);
            let at = checkpoints(&mut transaction, &statements.table, source.log).await?;
            let fits = *shape == statements.create
                && *log == source.log.0
                && at.len() == usize::from(source.partitions)
                && view_store::furthest(&at) <= source.head;
            // Whoever was building one is gone, and may have been another version of this program.
            match catalogue::stage(stage).filter(|stage| fits && *stage != Stage::Building) {
                Some(stage) => drop(stages.insert(*number, stage)),
                None => remove(&mut transaction, &shared, *number).await?,
            }
        }
        if !stages.values().any(|stage| *stage == Stage::Live) {
            if !found.is_empty() {
                tracing::warn!(view, "the view is of another log or shape, and is built anew");
            }
            for number in std::mem::take(&mut stages).into_keys() {
                remove(&mut transaction, &shared, number).await?;
            }
            create(&mut transaction, &shared, 1, Stage::Live, source.log.0, source.partitions).await?;
            show(&mut transaction, &shared, 1).await?;
            stages.insert(1, Stage::Live);
        }
        transaction.commit().await?;

        let mut members = BTreeMap::new();
        for (number, stage) in stages {
            let generation = TableGeneration::open(number, Arc::clone(file), Arc::clone(&shared), &mut *writer).await?;
            if stage == Stage::Live {
                shared.live.store(number, Ordering::SeqCst);
                shared.position.send_replace(view_store::position(&generation.read_checkpoints(writer).await?));
            }
            members.insert(number, (stage, Arc::new(generation)));
        }
        let members = Members::new(view, members);
        Ok(Self { file: Arc::clone(file), shared, members })
    }

    fn live(&self) -> Arc<TableGeneration> {
        self.members.live()
    }

    /// Changes which generations there are, or their stages; whoever calls this holds the writer.
    fn change(&self, change: impl FnOnce(&mut ByNumber<TableGeneration>)) {
        let mut members = self.members.all();
        change(&mut members);
        self.members.replace(members);
    }

    async fn begin_new(&self) -> Result<Generation, StoreError> {
        let mut writer = self.file.writer.lock().await;
        let live = self.live();
        let number = self.members.next_number();
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let partitions = checkpoints(&mut transaction, &live.statements.table, self.file.log).await?.len();
        let partitions = u16::try_from(partitions).expect("partitions were counted as u16");
        create(&mut transaction, &self.shared, number, Stage::Building, self.file.log.0, partitions).await?;
        let statements = Statements::of(&self.shared.table, number);
        sqlx::query(
            "INSERT INTO skipped SELECT ?, stream, revision, position, reason FROM skipped WHERE table_name = ?",
        )
        .bind(&statements.table)
        .bind(&live.statements.table)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let (file, shared) = (Arc::clone(&self.file), Arc::clone(&self.shared));
        let store = Arc::new(TableGeneration::open(number, file, shared, &mut writer).await?);
        self.change(|members| drop(members.insert(number, (Stage::Building, Arc::clone(&store)))));
        Ok(Generation { number, stage: Stage::Building, store })
    }

    async fn switch_to(&self, number: u32) -> Result<Switch, StoreError> {
        // Nobody writes meanwhile, so that both stand still.
        let mut writer = self.file.writer.lock().await;
        let (from, to) = (self.live(), self.members.get(number)?);
        if from.number == number {
            return Ok(Switch::Done);
        }
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let live = from.read_checkpoints(&mut transaction).await?;
        let other = to.read_checkpoints(&mut transaction).await?;
        if live.iter().zip(&other).any(|(live, other)| other.position < live.position) {
            return Ok(Switch::Behind);
        }
        show(&mut transaction, &self.shared, number).await?;
        sqlx::query("UPDATE generations SET stage = ? WHERE view = ? AND stage = ?")
            .bind(Stage::Building.name())
            .bind(self.shared.table.name)
            .bind(Stage::Kept.name())
            .execute(&mut *transaction)
            .await?;
        set_stage(&mut transaction, &self.shared, from.number, Stage::Kept).await?;
        set_stage(&mut transaction, &self.shared, number, Stage::Live).await?;
        // Before the commit: what was read of the other generation must not be taken for this one's, nor what was read of
        // this one before the other was live: changes of a generation that is not live are not noted.
        self.shared.all_changed(view_store::furthest(&other));
        self.shared.live.store(number, Ordering::SeqCst);
        if let Err(error) = transaction.commit().await {
            self.shared.live.store(from.number, Ordering::SeqCst);
            return Err(error.into());
        }
        self.shared.position.send_replace(view_store::position(&other));
        self.change(|members| members::make_live(members, number));
        Ok(Switch::Done)
    }
}

impl View for TableGenerations {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn parked_at(&self, stream: &str) -> Option<Position> {
        self.live().aside().parked.get(stream).map(|parked| Position(parked.position))
    }

    fn read<'a>(&'a self, select: &'a Select, params: &'a [Param]) -> BoxFuture<'a, Result<Rows<String>, StoreError>> {
        async move {
            let sql = statements::read(self.view(), &self.shared.json, select);
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
                read.rows.extend(row);
            }
            Ok(read)
        }
        .boxed()
    }
}

impl Generations for TableGenerations {
    fn view(&self) -> &'static str {
        self.shared.table.name
    }

    fn all(&self) -> watch::Receiver<Vec<Generation>> {
        self.members.subscribe()
    }

    fn begin(&self) -> BoxFuture<'_, Result<Generation, StoreError>> {
        self.begin_new().boxed()
    }

    fn mark(&self, number: u32, stage: Stage) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let mut writer = self.file.writer.lock().await;
            let generation = self.members.get(number)?;
            set_stage(&mut writer, &self.shared, number, stage).await?;
            self.change(|members| drop(members.insert(number, (stage, generation))));
            Ok(())
        }
        .boxed()
    }

    fn hold(&self, number: u32) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let _writer = self.file.writer.lock().await;
            self.members.hold(number)
        }
        .boxed()
    }

    fn switch(&self, number: u32) -> BoxFuture<'_, Result<Switch, StoreError>> {
        self.switch_to(number).boxed()
    }

    fn drop_generation(&self, number: u32) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let mut writer = self.file.writer.lock().await;
            self.members.get_to_drop(number)?;
            let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
            remove(&mut transaction, &self.shared, number).await?;
            transaction.commit().await?;
            self.change(|members| drop(members.remove(&number)));
            Ok(())
        }
        .boxed()
    }

    fn freeze(&self, number: u32) -> BoxFuture<'_, Result<Box<dyn Frozen>, StoreError>> {
        async move {
            let generation = self.members.get(number)?;
            let mut connection = SqliteConnection::connect_with(&self.file.options).await?;
            // The first read of a transaction is the moment that it sees; it ends with its connection.
            sqlx::query("BEGIN").execute(&mut connection).await?;
            let checkpoints = generation.read_checkpoints(&mut connection).await?;
            Ok(Box::new(FrozenTable { connection, generation, checkpoints }) as Box<dyn Frozen>)
        }
        .boxed()
    }
}

/// A table as one read transaction sees it.
struct FrozenTable {
    connection: SqliteConnection,
    generation: Arc<TableGeneration>,
    checkpoints: Vec<Checkpoint>,
}

impl Frozen for FrozenTable {
    fn checkpoints(&self) -> Vec<Checkpoint> {
        self.checkpoints.clone()
    }

    fn rows<'a>(
        &'a mut self,
        after: Option<&'a Key>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(Key, Value)>, StoreError>> {
        async move {
            let Statements { first, next, .. } = &self.generation.statements;
            let sql = if after.is_some() { next } else { first };
            let rows: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(Arc::clone(sql)))
                .bind(after.map(serde_json::to_string).transpose()?)
                .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                .fetch_all(&mut self.connection)
                .await?;
            rows.iter().map(|(key, row)| Ok((serde_json::from_str(key)?, serde_json::from_str(row)?))).collect()
        }
        .boxed()
    }
}

async fn create(
    transaction: &mut SqliteConnection,
    shared: &Shared,
    number: u32,
    stage: Stage,
    log: Uuid,
    partitions: u16,
) -> Result<(), sqlx::Error> {
    let statements = Statements::of(&shared.table, number);
    sqlx::raw_sql(AssertSqlSafe(statements.drop)).execute(&mut *transaction).await?;
    sqlx::raw_sql(AssertSqlSafe(statements.create.clone())).execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO generations (view, number, stage, shape, log) VALUES (?, ?, ?, ?, ?)")
        .bind(shared.table.name)
        .bind(number)
        .bind(stage.name())
        .bind(&statements.create)
        .bind(log)
        .execute(&mut *transaction)
        .await?;
    for partition in 0..partitions {
        sqlx::query("INSERT INTO checkpoints VALUES (?, ?, ?, 0, 0, 0, 0)")
            .bind(&statements.table)
            .bind(partition)
            .bind(log)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(())
}

async fn show(transaction: &mut SqliteConnection, shared: &Shared, number: u32) -> Result<(), sqlx::Error> {
    let show = Statements::of(&shared.table, number).show;
    sqlx::raw_sql(AssertSqlSafe(show)).execute(transaction).await.map(drop)
}

async fn remove(transaction: &mut SqliteConnection, shared: &Shared, number: u32) -> Result<(), sqlx::Error> {
    let drop_table = Statements::of(&shared.table, number).drop;
    sqlx::raw_sql(AssertSqlSafe(drop_table)).execute(&mut *transaction).await?;
    let entry = "DELETE FROM generations WHERE view = ? AND number = ?";
    sqlx::query(entry).bind(shared.table.name).bind(number).execute(transaction).await.map(drop)
}

async fn set_stage(
    transaction: &mut SqliteConnection,
    shared: &Shared,
    number: u32,
    stage: Stage,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE generations SET stage = ? WHERE view = ? AND number = ?")
        .bind(stage.name())
        .bind(shared.table.name)
        .bind(number)
        .execute(transaction)
        .await
        .map(drop)
}
