//! The columns of a table, and lists of them as SQL.

use super::Table;

/// The columns, the key's apart.
pub(super) struct Columns {
    pub(super) names: Vec<&'static str>,
    pub(super) key: Vec<&'static str>,
    pub(super) rest: Vec<&'static str>,
}

impl Columns {
    pub(super) fn of(table: &Table) -> Self {
        let names: Vec<_> = table.columns.iter().map(|(column, _)| *column).collect();
        let (key, rest) = names.split_at(table.key);
        Self { key: key.to_vec(), rest: rest.to_vec(), names }
    }

    /// A row as JSON, made by the database's function for that.
    pub(super) fn json(&self, function: &str) -> String {
        let fields = each(&self.names, |_, column| format!("'{column}', own.{column}"));
        format!("{function}({})", fields.join(", "))
    }

    /// What an upsert sets where there is a row already.
    pub(super) fn updates(&self) -> String {
        each(&self.rest, |_, column| format!("{column} = excluded.{column}")).join(", ")
    }
}

/// A text for each column, which may depend on its place.
pub(super) fn each(columns: &[&'static str], text: impl Fn(usize, &'static str) -> String) -> Vec<String> {
    columns.iter().enumerate().map(|(place, column)| text(place, column)).collect()
}
