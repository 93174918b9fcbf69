//! The read store's SQL, made of a table's columns.

use super::{Select, Table};
use std::sync::Arc;

/// What the store keeps besides rows: which table is a view's live generation, how far it has come, what it set aside.
pub(super) const CATALOGUE: &str = "
    CREATE TABLE IF NOT EXISTS generations (
        view TEXT PRIMARY KEY, table_name TEXT NOT NULL, shape TEXT NOT NULL, log BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS checkpoints (
        table_name TEXT NOT NULL, partition INTEGER NOT NULL, log BLOB NOT NULL, position INTEGER NOT NULL,
        PRIMARY KEY (table_name, partition));
    CREATE TABLE IF NOT EXISTS parked (
        table_name TEXT NOT NULL, stream TEXT NOT NULL, position INTEGER NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (table_name, stream));";

/// The statements of one view.
pub(super) struct Statements {
    /// The table of the live generation.
    pub(super) table: String,
    /// The column that names the object a row is about.
    pub(super) object: &'static str,
    pub(super) create: String,
    pub(super) upsert: Arc<str>,
    pub(super) delete: Arc<str>,
    pub(super) load: Arc<str>,
    view: &'static str,
    json: String,
}

impl Statements {
    pub(super) fn of(table: &Table) -> Self {
        let name = format!("{}_1", table.name);
        let names: Vec<_> = table.columns.iter().map(|(column, _)| *column).collect();
        let (key, rest) = names.split_at(table.key);
        let typed: Vec<_> = table.columns.iter().map(|(column, kind)| format!("{column} {kind}")).collect();
        let from_json: Vec<_> = names.iter().map(|column| format!("value ->> '{column}'")).collect();
        let to_json: Vec<_> = names.iter().map(|column| format!("'{column}', own.{column}")).collect();
        let updates: Vec<_> = rest.iter().map(|column| format!("{column} = excluded.{column}")).collect();
        let matches: Vec<_> =
            key.iter().enumerate().map(|(place, column)| format!("own.{column} = asked.value ->> {place}")).collect();
        let picked: Vec<_> = (0..key.len()).map(|place| format!("value ->> {place}")).collect();
        let (keys, matches, json) =
            (key.join(", "), matches.join(" AND "), format!("json_object({})", to_json.join(", ")));

        let mut create = format!("CREATE TABLE {name} ({}, PRIMARY KEY ({keys}));", typed.join(", "));
        for columns in table.indexes {
            create += &format!(" CREATE INDEX {name}_{} ON {name} ({});", columns.join("_"), columns.join(", "));
        }
        Self {
            upsert: format!(
                "INSERT INTO {name} ({}) SELECT {} FROM json_each(?1) WHERE true ON CONFLICT ({keys}) DO UPDATE SET {}",
                names.join(", "),
                from_json.join(", "),
                updates.join(", ")
            )
            .into(),
            delete: format!("DELETE FROM {name} WHERE ({keys}) IN (SELECT {} FROM json_each(?1))", picked.join(", "))
                .into(),
            load: format!("SELECT {json} FROM json_each(?1) AS asked CROSS JOIN {name} AS own ON {matches}").into(),
            object: names[0],
            view: table.name,
            table: name,
            create,
            json,
        }
    }

    /// Drops what there was of the view, and creates it empty.
    pub(super) fn begin_anew(&self, table: &Table) -> String {
        let Self { table: name, create, view, .. } = self;
        let columns: Vec<_> = table.columns.iter().map(|(column, _)| *column).collect();
        let columns = columns.join(", ");
        format!(
            "DROP VIEW IF EXISTS {view}; DROP VIEW IF EXISTS {view}_position; DROP TABLE IF EXISTS {name};
             DELETE FROM generations WHERE view = '{view}';
             DELETE FROM checkpoints WHERE table_name = '{name}';
             DELETE FROM parked WHERE table_name = '{name}';
             {create}
             CREATE VIEW {view} AS SELECT {columns} FROM {name};
             CREATE VIEW {view}_position AS SELECT min(position) AS position FROM checkpoints WHERE table_name = '{name}';"
        )
    }

    /// The view's position, then its rows as JSON.
    pub(super) fn read(&self, Select { from, filter, order, limit }: &Select) -> String {
        let Self { view, json, .. } = self;
        let from = from.unwrap_or(view);
        format!(
            "SELECT position, NULL FROM {view}_position UNION ALL SELECT NULL, json_row FROM (
                 SELECT {json} AS json_row FROM {from} AS own WHERE {filter} ORDER BY {order} LIMIT {limit})"
        )
    }
}
