//! SQLite's SQL, made of a table's columns.

use crate::read_store::columns::{Columns, each};
use crate::read_store::{Select, Table};
use std::sync::Arc;

/// The version of the catalogue below (`PRAGMA user_version`): a file of another one begins anew.
pub(super) const FORMAT: i32 = 2;

/// SQLite's function that makes a row JSON.
const JSON: &str = "json_object";

/// What the store keeps besides rows: the generations of each view, how far they have come, what they set aside.
pub(super) const CATALOGUE: &str = "
    CREATE TABLE IF NOT EXISTS generations (
        view TEXT NOT NULL, number INTEGER NOT NULL, stage TEXT NOT NULL, shape TEXT NOT NULL, log BLOB NOT NULL,
        PRIMARY KEY (view, number));
    CREATE TABLE IF NOT EXISTS checkpoints (
        table_name TEXT NOT NULL, partition INTEGER NOT NULL, log BLOB NOT NULL, position INTEGER NOT NULL,
        events INTEGER NOT NULL, digest INTEGER NOT NULL, amended INTEGER NOT NULL,
        PRIMARY KEY (table_name, partition));
    CREATE TABLE IF NOT EXISTS parked (
        table_name TEXT NOT NULL, stream TEXT NOT NULL, partition INTEGER NOT NULL, revision INTEGER NOT NULL,
        position INTEGER NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (table_name, stream));
    CREATE TABLE IF NOT EXISTS skipped (
        table_name TEXT NOT NULL, stream TEXT NOT NULL, revision INTEGER NOT NULL,
        position INTEGER NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (table_name, stream, revision));";

/// The statements of one generation of a view.
pub(super) struct Statements {
    /// The generation's table.
    pub(super) table: String,
    /// The column that names the object a row is about.
    pub(super) object: &'static str,
    pub(super) create: String,
    /// Has readers see this generation, whatever they saw before.
    pub(super) show: String,
    /// Removes the generation, but for its entry in the catalogue.
    pub(super) drop: String,
    pub(super) upsert: Arc<str>,
    pub(super) delete: Arc<str>,
    pub(super) load: Arc<str>,
    /// The first rows with their keys, by key.
    pub(super) first: Arc<str>,
    /// Rows behind a key with theirs, by key.
    pub(super) next: Arc<str>,
}

impl Statements {
    pub(super) fn of(table: &Table, number: u32) -> Self {
        let view = table.name;
        let name = format!("{view}_{number}");
        let columns = Columns::of(table);
        let typed: Vec<_> = table.columns.iter().map(|(column, kind)| format!("{column} {kind}")).collect();
        let Columns { names, key, .. } = &columns;
        let mut create = format!("CREATE TABLE {name} ({}, PRIMARY KEY ({}));", typed.join(", "), key.join(", "));
        for indexed in table.indexes {
            create += &format!(" CREATE INDEX {name}_{} ON {name} ({});", indexed.join("_"), indexed.join(", "));
        }
        let show = format!(
            "DROP VIEW IF EXISTS {view}; DROP VIEW IF EXISTS {view}_position;
             CREATE VIEW {view} AS SELECT {} FROM {name};
             CREATE VIEW {view}_position AS
                 SELECT min(position) AS position, {number} AS generation FROM checkpoints WHERE table_name = '{name}';",
            names.join(", ")
        );
        let drop = format!(
            "DROP TABLE IF EXISTS {name};
             DELETE FROM checkpoints WHERE table_name = '{name}';
             DELETE FROM parked WHERE table_name = '{name}';
             DELETE FROM skipped WHERE table_name = '{name}';"
        );
        let [upsert, delete, load, first, next] = statements(&columns, &name).map(Arc::from);
        Self { object: names[0], create, show, drop, upsert, delete, load, first, next, table: name }
    }
}

/// Upsert, delete, load, first, next.
fn statements(columns: &Columns, table: &str) -> [String; 5] {
    let (keys, json) = (columns.key.join(", "), columns.json(JSON));
    let from_json = each(&columns.names, |_, column| format!("value ->> '{column}'")).join(", ");
    let matches = each(&columns.key, |place, column| format!("own.{column} = asked.value ->> {place}")).join(" AND ");
    let picked = each(&columns.key, |place, _| format!("value ->> {place}")).join(", ");
    let given = each(&columns.key, |place, _| format!("?1 ->> {place}")).join(", ");
    let key_json = format!("json_array({})", each(&columns.key, |_, column| format!("own.{column}")).join(", "));
    let listed =
        |filter: &str| format!("SELECT {key_json}, {json} FROM {table} AS own WHERE {filter} ORDER BY {keys} LIMIT ?2");
    [
        format!(
            "INSERT INTO {table} ({}) SELECT {from_json} FROM json_each(?1) WHERE true
             ON CONFLICT ({keys}) DO UPDATE SET {}",
            columns.names.join(", "),
            columns.updates()
        ),
        format!("DELETE FROM {table} WHERE ({keys}) IN (SELECT {picked} FROM json_each(?1))"),
        format!("SELECT {json} FROM json_each(?1) AS asked CROSS JOIN {table} AS own ON {matches}"),
        listed("?1 IS NULL"),
        listed(&format!("({keys}) > ({given})")),
    ]
}

/// A row of a table as JSON.
pub(super) fn json(table: &Table) -> String {
    Columns::of(table).json(JSON)
}

/// The position and number of a view's live generation, then its rows, each of them as `json`.
pub(super) fn read(view: &str, json: &str, Select { from, filter, order, limit }: &Select) -> String {
    let from = from.unwrap_or(view);
    format!(
        "SELECT position, generation, NULL FROM {view}_position UNION ALL SELECT NULL, NULL, json_row FROM (
             SELECT {json} AS json_row FROM {from} AS own WHERE {filter} ORDER BY {order} LIMIT {limit})"
    )
}
