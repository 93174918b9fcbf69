//! The catalogue of the views in Postgres, and the tables that it lists.

use super::statements::{Statements, table_name};
use crate::event_log::{LogId, Position};
use crate::read_store::{Table, catalogue};
use crate::view_store::{Source, Stage};
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor};
use uuid::Uuid;

/// What the store keeps besides rows: the generations of each view, how far they have come, what they set aside. A
/// checkpoint is written so often that its page keeps room for it.
pub(super) const CATALOGUE: &str = "
    CREATE TABLE IF NOT EXISTS generation_numbers (view text PRIMARY KEY, last bigint NOT NULL);
    CREATE TABLE IF NOT EXISTS generations (
        view text NOT NULL, number bigint NOT NULL, stage text NOT NULL, shape text NOT NULL, log uuid NOT NULL,
        PRIMARY KEY (view, number));
    CREATE TABLE IF NOT EXISTS checkpoints (
        table_name text NOT NULL, partition bigint NOT NULL, log uuid NOT NULL, position bigint NOT NULL,
        events bigint NOT NULL, digest bigint NOT NULL, amended bigint NOT NULL,
        PRIMARY KEY (table_name, partition)) WITH (fillfactor = 25);
    CREATE TABLE IF NOT EXISTS parked (
        table_name text NOT NULL, stream text COLLATE \"C\" NOT NULL, partition bigint NOT NULL, revision bigint NOT NULL,
        position bigint NOT NULL, reason text NOT NULL,
        PRIMARY KEY (table_name, stream));
    CREATE TABLE IF NOT EXISTS skipped (
        table_name text NOT NULL, stream text COLLATE \"C\" NOT NULL, revision bigint NOT NULL,
        position bigint NOT NULL, reason text NOT NULL,
        PRIMARY KEY (table_name, stream, revision));";

/// A generation, as the catalogue has it.
pub(super) struct Catalogued {
    pub(super) number: u32,
    pub(super) stage: Stage,
    shape: String,
    log: Uuid,
    /// How far each partition has come.
    pub(super) reached: Vec<Position>,
}

impl Catalogued {
    /// Whether this program can read and write it.
    pub(super) fn fits(&self, table: &Table, log: LogId, partitions: u16) -> bool {
        self.misfit(table, log, partitions).is_none()
    }

    /// Why it cannot.
    pub(super) fn misfit(&self, table: &Table, log: LogId, partitions: u16) -> Option<String> {
        if self.shape != Statements::of(table, self.number).create {
            return Some("its rows have another shape".to_owned());
        }
        if self.log != log.0 {
            return Some("it is of another log".to_owned());
        }
        let found = self.reached.len();
        (found != usize::from(partitions)).then(|| format!("it has {found} partitions instead of {partitions}"))
    }

    /// How far it is in the partition that is ahead of the others.
    pub(super) fn furthest(&self) -> Position {
        self.reached.iter().copied().max().unwrap_or_default()
    }
}

/// The generations of a view and how far they have come, all at one moment.
pub(super) async fn catalogued(executor: impl PgExecutor<'_>, view: &str) -> Result<Vec<Catalogued>, sqlx::Error> {
    let rows: Vec<(i64, String, String, Uuid, Vec<i64>)> = sqlx::query_as(
        "SELECT number, stage, shape, log, ARRAY(
             SELECT position FROM checkpoints WHERE table_name = $1 || '_' || number ORDER BY partition)
         FROM generations WHERE view = $1 ORDER BY number",
    )
    .bind(view)
    .fetch_all(executor)
    .await?;
    let catalogued = |(number, stage, shape, log, reached): (i64, String, String, Uuid, Vec<i64>)| {
        let reached = reached.into_iter().map(|position| Position(position.cast_unsigned())).collect();
        // What is of no stage that this program knows, it leaves alone.
        catalogue::stage(&stage).map(|stage| Catalogued { number: counted(number), stage, shape, log, reached })
    };
    Ok(rows.into_iter().filter_map(catalogued).collect())
}

/// Waits until nobody else changes which generations the view has, and excludes others until the transaction ends.
pub(super) async fn lock_view(transaction: &mut PgConnection, view: &str) -> Result<(), sqlx::Error> {
    // Whoever waits for a table that somebody reads keeps others from it: not for long.
    sqlx::raw_sql("SET LOCAL lock_timeout = '10s'; SET LOCAL synchronous_commit = on")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("SELECT last FROM generation_numbers WHERE view = $1 FOR UPDATE")
        .bind(view)
        .execute(transaction)
        .await
        .map(drop)
}

/// Keeps all from writing into a generation until the transaction ends; answers how far its partitions are. In their order:
/// so does whoever writes.
pub(super) async fn hold(
    transaction: &mut PgConnection,
    table: &Table,
    number: u32,
) -> Result<Vec<Position>, sqlx::Error> {
    let positions: Vec<i64> =
        sqlx::query_scalar("SELECT position FROM checkpoints WHERE table_name = $1 ORDER BY partition FOR UPDATE")
            .bind(name(table, number))
            .fetch_all(transaction)
            .await?;
    Ok(positions.into_iter().map(|position| Position(position.cast_unsigned())).collect())
}

/// Creates a generation, empty, and answers its number: one that none of the view ever had.
pub(super) async fn create(
    transaction: &mut PgConnection,
    table: &Table,
    stage: Stage,
    Source { log, partitions, .. }: Source,
) -> Result<u32, sqlx::Error> {
    let last: i64 = sqlx::query_scalar("UPDATE generation_numbers SET last = last + 1 WHERE view = $1 RETURNING last")
        .bind(table.name)
        .fetch_one(&mut *transaction)
        .await?;
    let number = counted(last);
    let statements = Statements::of(table, number);
    sqlx::raw_sql(AssertSqlSafe(statements.create.clone())).execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO generations (view, number, stage, shape, log) VALUES ($1, $2, $3, $4, $5)")
        .bind(table.name)
        .bind(last)
        .bind(stage.name())
        .bind(&statements.create)
        .bind(log.0)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "INSERT INTO checkpoints SELECT $1, partition, $2, 0, 0, 0, 0 FROM generate_series(0, $3 - 1) AS partition",
    )
    .bind(&statements.table)
    .bind(log.0)
    .bind(i64::from(partitions))
    .execute(transaction)
    .await?;
    Ok(number)
}

/// Has readers see a generation.
pub(super) async fn show(transaction: &mut PgConnection, table: &Table, number: u32) -> Result<(), sqlx::Error> {
    let show = Statements::of(table, number).show;
    sqlx::raw_sql(AssertSqlSafe(show)).execute(transaction).await.map(drop)
}

/// Removes a generation that readers do not see.
pub(super) async fn remove(transaction: &mut PgConnection, table: &Table, number: u32) -> Result<(), sqlx::Error> {
    let drop_table = Statements::of(table, number).drop;
    sqlx::raw_sql(AssertSqlSafe(drop_table)).execute(&mut *transaction).await?;
    let entry = "DELETE FROM generations WHERE view = $1 AND number = $2";
    sqlx::query(entry).bind(table.name).bind(i64::from(number)).execute(transaction).await.map(drop)
}

/// Notes what a generation is for.
pub(super) async fn set_stage(
    transaction: &mut PgConnection,
    view: &str,
    number: u32,
    stage: Stage,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE generations SET stage = $1 WHERE view = $2 AND number = $3")
        .bind(stage.name())
        .bind(view)
        .bind(i64::from(number))
        .execute(transaction)
        .await
        .map(drop)
}

/// The stage of a generation, if there is such a one.
pub(super) async fn stage_of(
    transaction: &mut PgConnection,
    view: &str,
    number: u32,
) -> Result<Option<Stage>, sqlx::Error> {
    let stage: Option<String> = sqlx::query_scalar("SELECT stage FROM generations WHERE view = $1 AND number = $2")
        .bind(view)
        .bind(i64::from(number))
        .fetch_optional(transaction)
        .await?;
    Ok(stage.and_then(|stage| catalogue::stage(&stage)))
}

/// A number out of the catalogue.
pub(super) fn counted(number: i64) -> u32 {
    u32::try_from(number).expect("generations are counted as u32")
}

/// The table of a generation, for those who know no more of it than its number.
pub(super) fn name(table: &Table, number: u32) -> String {
    table_name(table.name, number)
}
