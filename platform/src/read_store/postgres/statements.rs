//! Postgres' SQL, made of a table's columns.

use crate::read_store::columns::{Columns, each};
use crate::read_store::{Select, Table};
use std::sync::Arc;

/// Postgres' function that makes a row JSON.
const JSON: &str = "json_build_object";

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
}

impl Kind {
    fn of(sql_type: &str) -> Self {
        if sql_type == "TEXT" { Self::Text } else { Self::Integer }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "bigint",
        }
    }

    /// As a column: texts are in the order of their bytes, as in SQLite.
    fn column(self) -> &'static str {
        match self {
            Self::Text => "text COLLATE \"C\"",
            Self::Integer => "bigint",
        }
    }
}

/// The statements of one generation of a view.
pub(super) struct Statements {
    /// The generation's table.
    pub(super) table: String,
    /// The column that names the object a row is about.
    pub(super) object: &'static str,
    /// What the values of each key column are.
    pub(super) key: Vec<Kind>,
    pub(super) create: String,
    /// Has readers see this generation, where they saw another one of this shape or none.
    pub(super) show: String,
    /// Removes the generation, but for its entry in the catalogue. The checkpoints first, in the order of their partitions:
    /// so does whoever writes, and goes on to the table.
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
        let name = table_name(view, number);
        let columns = Columns::of(table);
        let typed: Vec<_> = table
            .columns
            .iter()
            .map(|(column, sql_type)| format!("{column} {}", Kind::of(sql_type).column()))
            .collect();
        let mut create =
            format!("CREATE TABLE {name} ({}, PRIMARY KEY ({}));", typed.join(", "), columns.key.join(", "));
        for indexed in table.indexes {
            create += &format!(" CREATE INDEX {name}_{} ON {name} ({});", indexed.join("_"), indexed.join(", "));
        }
        // In the order in which a read locks them, so that it and a switch never wait for each other.
        let show = format!(
            "CREATE OR REPLACE VIEW {view}_position AS
                 SELECT min(position) AS position, {number}::bigint AS generation
                 FROM checkpoints WHERE table_name = '{name}';
             CREATE OR REPLACE VIEW {view} AS SELECT {} FROM {name};",
            columns.names.join(", ")
        );
        let drop = format!(
            "SELECT FROM checkpoints WHERE table_name = '{name}' ORDER BY partition FOR UPDATE;
             DELETE FROM checkpoints WHERE table_name = '{name}';
             DELETE FROM parked WHERE table_name = '{name}';
             DELETE FROM skipped WHERE table_name = '{name}';
             DROP TABLE IF EXISTS {name};"
        );
        let kinds: Vec<_> = table.columns.iter().map(|(_, sql_type)| Kind::of(sql_type)).collect();
        let key = kinds[..table.key].to_vec();
        let [upsert, delete, load, first, next] = statements(&columns, &kinds, &name).map(Arc::from);
        let object = columns.names[0];
        Self { table: name, object, key, create, show, drop, upsert, delete, load, first, next }
    }
}

/// Upsert, delete, load, first, next.
fn statements(columns: &Columns, kinds: &[Kind], table: &str) -> [String; 5] {
    let (names, keys, json) = (columns.names.join(", "), columns.key.join(", "), columns.json(JSON));
    let typed = each(&columns.names, |place, column| format!("{column} {}", kinds[place].name())).join(", ");
    let arrays = each(&columns.key, |place, _| format!("${}::{}[]", place + 1, kinds[place].name())).join(", ");
    let matches = each(&columns.key, |_, column| format!("own.{column} = asked.{column}")).join(" AND ");
    let given = each(&columns.key, |place, _| format!("${}", place + 2)).join(", ");
    let key_json = format!("json_build_array({})", each(&columns.key, |_, column| format!("own.{column}")).join(", "));
    let listed = |filter: &str| {
        format!("SELECT {key_json}::text, {json}::text FROM {table} AS own WHERE {filter} ORDER BY {keys} LIMIT $1")
    };
    [
        format!(
            "INSERT INTO {table} ({names}) SELECT {names} FROM json_to_recordset($1::json) AS given({typed})
             ON CONFLICT ({keys}) DO UPDATE SET {}",
            columns.updates()
        ),
        format!("DELETE FROM {table} AS own USING unnest({arrays}) AS asked({keys}) WHERE {matches}"),
        format!("SELECT {json}::text FROM unnest({arrays}) AS asked({keys}) JOIN {table} AS own ON {matches}"),
        listed("true"),
        listed(&format!("({keys}) > ({given})")),
    ]
}

/// The table of a generation.
pub(super) fn table_name(view: &str, number: u32) -> String {
    format!("{view}_{number}")
}

/// A row of a table as JSON.
pub(super) fn json(table: &Table) -> String {
    Columns::of(table).json(JSON)
}

/// The position and number of a view's live generation, and its rows, each of them as `json`.
///
/// It names its columns: so it may stay prepared when the view is another one.
pub(super) fn read(view: &str, json: &str, Select { from, filter, order, limit }: &Select) -> String {
    let (from, filter) = (numbered(from.unwrap_or(view)), numbered(filter));
    format!(
        "SELECT reached.position, reached.generation, ARRAY(
             SELECT {json}::text FROM {from} AS own WHERE {filter} ORDER BY {order} LIMIT {limit})
         FROM {view}_position AS reached"
    )
}

/// SQL with Postgres' `$1` for SQLite's `?1`. Our SQL has no other question marks.
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}
