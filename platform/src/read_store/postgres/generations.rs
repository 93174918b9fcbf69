//! The generations of a view in Postgres: which there are, and which of them readers see.

use super::Database;
use super::generation::TableGeneration;
use super::notice::{self, Moved, News, Slots};
use super::statements::{self, Statements};
use super::tables::{self, Catalogued};
use crate::bus::Checkpoint;
use crate::event_log::Position;
use crate::postgres::transaction::Transaction;
use crate::read_store::shared::Shared;
use crate::read_store::{Param, Rows, Select, View};
use crate::view_store::members::{ByNumber, Members};
use crate::view_store::{Frozen, Generation, Generations, Key, Source, Stage, StoreError, Switch, ViewStore};
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query_as_with};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long the live generation stands still for a switch while the other one catches up with it.
const CATCH_UP_WITHIN: Duration = Duration::from_millis(500);

/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// All generations of one view.
pub(super) struct TableGenerations {
    database: Arc<Database>,
    pub(super) shared: Arc<Shared>,
    members: Members<TableGeneration>,
    /// What is read and what is heard is taken in one after the other.
    taking_in: tokio::sync::Mutex<()>,
}

impl TableGenerations {
    /// The generations as they are.
    pub(super) async fn open(database: &Arc<Database>, shared: Shared) -> Result<Self, StoreError> {
        let (database, shared) = (Arc::clone(database), Arc::new(shared));
        let view = shared.table.name;
        let found = tables::catalogued(&database.pool, view).await?;
        let all = fitting(&found, &ByNumber::new(), &database, &shared);
        if !all.values().any(|(stage, _)| *stage == Stage::Live) {
            return Err(StoreError::NotBuilt { view, missing: "another process has just replaced it".to_owned() });
        }
        let members = Members::new(view, all);
        let opened = Self { database, shared, members, taking_in: tokio::sync::Mutex::default() };
        opened.refresh().await?;
        Ok(opened)
    }

    /// Takes in how everything is at one moment. Whatever was read before may have changed.
    pub(super) async fn refresh(&self) -> Result<(), StoreError> {
        let _taking_in = self.taking_in.lock().await;
        let view = self.shared.table.name;
        let found = tables::catalogued(&self.database.pool, view).await?;
        let known = self.members.all();
        let all = fitting(&found, &known, &self.database, &self.shared);
        for (_, generation) in all.values() {
            generation.look_at_set_aside().await?;
        }
        for it in &found {
            if let Some((_, generation)) = all.get(&it.number) {
                generation.know(it.reached.clone());
            }
        }
        if let Some(live) = found.iter().find(|it| it.stage == Stage::Live) {
            // In this order: what was read of another generation, or of this one before it was live, must not be taken for
            // what it is now.
            self.shared.all_changed(live.furthest());
            self.shared.live.store(live.number, Ordering::SeqCst);
            self.announce(live.reached.iter().copied().min().unwrap_or_default());
        }
        let stages = |all: &ByNumber<TableGeneration>| -> Vec<_> {
            all.iter().map(|(number, (stage, _))| (*number, *stage)).collect()
        };
        if stages(&all) == stages(&known) {
            return Ok(());
        }
        if all.values().any(|(stage, _)| *stage == Stage::Live) {
            self.members.replace(all);
        } else {
            tracing::error!(
                view,
                "another version of this program has replaced the view: this one cannot go on with it"
            );
        }
        Ok(())
    }

    /// Takes in what another process, or this one, has committed.
    pub(super) async fn hear(&self, news: News) -> Result<(), StoreError> {
        match news {
            News::Generations => self.refresh().await,
            News::Moved(all) => {
                let _taking_in = self.taking_in.lock().await;
                for moved in all {
                    self.hear_of_move(moved).await?;
                }
                Ok(())
            }
        }
    }

    async fn hear_of_move(&self, moved: Moved) -> Result<(), StoreError> {
        // One that is gone, or was never ours.
        let Ok(generation) = self.members.get(moved.generation) else { return Ok(()) };
        let is_live = generation.is_live();
        // What is taken up does not move the position, by which a switch would tell what was read before it.
        if is_live || moved.amended {
            let at = Position(moved.changed_at);
            match moved.changed {
                Slots::All => self.shared.all_changed(at),
                Slots::Of(slots) => slots.into_iter().for_each(|slot| self.shared.slot_changed(slot, at)),
            }
        }
        if moved.sets_aside {
            generation.look_at_set_aside().await?;
        }
        // Last: a reader that sees the new position has to see these too.
        let slowest = generation.hear(moved.partition, Position(moved.position));
        if is_live {
            self.announce(slowest);
        }
        Ok(())
    }

    fn announce(&self, position: Position) {
        self.shared.position.send_if_modified(|known| std::mem::replace(known, position) != position);
    }

    /// Begins a transaction that changes which generations there are; nobody else does meanwhile.
    async fn change(&self) -> Result<Transaction, StoreError> {
        let mut transaction = Transaction::begin(&self.database.pool).await?;
        tables::lock_view(&mut transaction, self.view()).await?;
        Ok(transaction)
    }

    /// Ends it, and tells all processes; this one knows of it at once.
    async fn commit(&self, mut transaction: Transaction) -> Result<(), StoreError> {
        notice::tell_of_generations(&mut transaction, self.view()).await?;
        transaction.commit().await?;
        self.refresh().await
    }

    async fn stage_of(&self, transaction: &mut PgConnection, number: u32) -> Result<Stage, StoreError> {
        let stage = tables::stage_of(transaction, self.view(), number).await?;
        stage.ok_or(StoreError::NoGeneration { view: self.view(), number })
    }

    async fn begin_new(&self) -> Result<Generation, StoreError> {
        let table = &self.shared.table;
        let Database { log, partitions, .. } = *self.database;
        let mut transaction = self.change().await?;
        let live = self.live_number(&mut transaction).await?;
        let source = Source { log, partitions, head: Position(0) };
        let number = tables::create(&mut transaction, table, Stage::Building, source).await?;
        sqlx::query(
            "INSERT INTO skipped SELECT $1, stream, revision, position, reason FROM skipped WHERE table_name = $2",
        )
        .bind(tables::name(table, number))
        .bind(tables::name(table, live))
        .execute(&mut *transaction)
        .await?;
        self.commit(transaction).await?;
        Ok(Generation { number, stage: Stage::Building, store: self.members.get(number)? })
    }

    async fn live_number(&self, transaction: &mut PgConnection) -> Result<u32, StoreError> {
        let number: i64 = sqlx::query_scalar("SELECT number FROM generations WHERE view = $1 AND stage = $2")
            .bind(self.view())
            .bind(Stage::Live.name())
            .fetch_one(transaction)
            .await?;
        Ok(tables::counted(number))
    }

    async fn switch_to(&self, number: u32) -> Result<Switch, StoreError> {
        let (view, table) = (self.view(), &self.shared.table);
        let mut transaction = self.change().await?;
        let from = self.live_number(&mut transaction).await?;
        self.stage_of(&mut transaction, number).await?;
        self.members.get(number)?;
        if from == number {
            transaction.rollback().await?;
            return Ok(Switch::Done);
        }
        // Whoever writes holds the checkpoints that he moves. So the live one stands still from now on until the switch is
        // done, and the other one as soon as it is as far: it only goes forward.
        let live = tables::hold(&mut transaction, table, from).await?;
        if !self.catches_up(number, &live).await? {
            transaction.rollback().await?;
            return Ok(Switch::Behind);
        }
        tables::hold(&mut transaction, table, number).await?;
        tables::show(&mut transaction, table, number).await?;
        sqlx::query("UPDATE generations SET stage = $1 WHERE view = $2 AND stage = $3")
            .bind(Stage::Building.name())
            .bind(view)
            .bind(Stage::Kept.name())
            .execute(&mut *transaction)
            .await?;
        tables::set_stage(&mut transaction, view, from, Stage::Kept).await?;
        tables::set_stage(&mut transaction, view, number, Stage::Live).await?;
        self.commit(transaction).await?;
        Ok(Switch::Done)
    }

    /// Whether a generation is as far as these positions, or soon is.
    async fn catches_up(&self, number: u32, live: &[Position]) -> Result<bool, StoreError> {
        let generation = self.members.get(number)?;
        let until = Instant::now() + CATCH_UP_WITHIN;
        loop {
            let reached = generation.read_checkpoints(&self.database.pool).await?;
            let is_as_far = reached.iter().zip(live).all(|(reached, live)| reached.position >= *live);
            if is_as_far || Instant::now() >= until {
                return Ok(is_as_far && reached.len() == live.len());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Notes what a generation is for, unless readers see it.
    async fn mark_as(&self, number: u32, stage: Stage) -> Result<(), StoreError> {
        let mut transaction = self.change().await?;
        if self.stage_of(&mut transaction, number).await? == Stage::Live {
            return Ok(());
        }
        tables::set_stage(&mut transaction, self.view(), number, stage).await?;
        self.commit(transaction).await
    }
}

impl View for TableGenerations {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn parked_at(&self, stream: &str) -> Option<Position> {
        self.members.live().parked_at(stream)
    }

    fn read<'a>(&'a self, select: &'a Select, params: &'a [Param]) -> BoxFuture<'a, Result<Rows<String>, StoreError>> {
        async move {
            let sql = statements::read(self.view(), &self.shared.json, select);
            let mut query = sqlx::query_as::<_, (Option<i64>, i64, Vec<String>)>(AssertSqlSafe(sql));
            for param in params {
                query = match param {
                    Param::Text(text) => query.bind(text.clone()),
                    Param::Integer(integer) => query.bind(*integer),
                };
            }
            let (position, generation, rows) = query.fetch_one(&self.database.pool).await?;
            let position = Position(position.unwrap_or_default().cast_unsigned());
            Ok(Rows { position, generation: tables::counted(generation), rows })
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
        self.mark_as(number, stage).boxed()
    }

    fn hold(&self, number: u32) -> BoxFuture<'_, Result<(), StoreError>> {
        // Those that feed it are other processes, too.
        self.mark_as(number, Stage::Building).boxed()
    }

    fn switch(&self, number: u32) -> BoxFuture<'_, Result<Switch, StoreError>> {
        self.switch_to(number).boxed()
    }

    fn drop_generation(&self, number: u32) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let mut transaction = self.change().await?;
            if self.stage_of(&mut transaction, number).await? == Stage::Live {
                return Err(StoreError::Live { view: self.view(), number });
            }
            tables::remove(&mut transaction, &self.shared.table, number).await?;
            self.commit(transaction).await
        }
        .boxed()
    }

    fn freeze(&self, number: u32) -> BoxFuture<'_, Result<Box<dyn Frozen>, StoreError>> {
        async move {
            let generation = self.members.get(number)?;
            let mut connection = PgConnection::connect_with(&self.database.options).await?;
            // The first read of a transaction is the moment that it sees; it ends with its connection.
            sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").execute(&mut connection).await?;
            let checkpoints = generation.read_checkpoints(&mut connection).await?;
            if checkpoints.is_empty() {
                return Err(StoreError::NoGeneration { view: self.view(), number });
            }
            Ok(Box::new(FrozenTable { connection, generation, checkpoints }) as Box<dyn Frozen>)
        }
        .boxed()
    }
}

/// A table as one read transaction sees it.
struct FrozenTable {
    connection: PgConnection,
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
            let arguments = self.generation.behind(limit, after)?;
            let rows: Vec<(String, String)> =
                query_as_with(AssertSqlSafe(Arc::clone(sql)), arguments).fetch_all(&mut self.connection).await?;
            rows.iter().map(|(key, row)| Ok((serde_json::from_str(key)?, serde_json::from_str(row)?))).collect()
        }
        .boxed()
    }
}

/// The generations that this program can read and write; those that it knows already are the same.
fn fitting(
    found: &[Catalogued],
    known: &ByNumber<TableGeneration>,
    database: &Arc<Database>,
    shared: &Arc<Shared>,
) -> ByNumber<TableGeneration> {
    let fits = found.iter().filter(|it| it.fits(&shared.table, database.log, database.partitions));
    let generation = |it: &Catalogued| {
        let new = || TableGeneration::new(it.number, Arc::clone(database), Arc::clone(shared));
        let generation = known.get(&it.number).map_or_else(|| Arc::new(new()), |(_, known)| Arc::clone(known));
        (it.number, (it.stage, generation))
    };
    fits.map(generation).collect()
}
