//! The read store: rows of views and how far they have come, in a SQLite file or in Postgres. All of it can be built anew
//! from the log.

mod catalogue;
mod columns;
mod postgres;
mod shared;
mod sqlite;
#[cfg(test)]
mod tests;

use crate::event_log::{EventLog, Position};
use crate::view_store::{Generations, Source, StoreError};
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use shared::Shared;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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

/// Rows, and where they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<T> {
    /// How far the view was.
    pub position: Position,
    /// The generation of the view.
    pub generation: u32,
    /// The rows.
    pub rows: Vec<T>,
}

/// What a process does with the views that it opens in Postgres.
#[derive(Clone, Copy)]
pub enum Access<'a> {
    /// It builds them from this log: what is missing is created, what does not fit begins anew.
    Builder(&'a dyn EventLog),
    /// It reads what others build, and waits for it at the start.
    Reader,
}

/// The store.
pub struct ReadStore {
    views: Views,
}

/// By name.
type Views = HashMap<&'static str, Arc<dyn View>>;

/// A view, as the database keeps it that it is in.
trait View: Generations {
    /// What all its generations share.
    fn shared(&self) -> &Shared;

    /// Where it has set a stream aside, if it has.
    fn parked_at(&self, stream: &str) -> Option<Position>;

    /// Rows as JSON, with the position and the generation of the same moment.
    fn read<'a>(&'a self, select: &'a Select, params: &'a [Param]) -> BoxFuture<'a, Result<Rows<String>, StoreError>>;
}

impl ReadStore {
    /// Opens the store in a file, with these views.
    ///
    /// A view that does not fit (another log, another shape, ahead of the log) begins anew, and so does a damaged file.
    pub async fn open(path: &Path, tables: &[Table], source: Source) -> Result<Self, StoreError> {
        Ok(Self { views: sqlite::open(path, tables, source).await? })
    }

    /// Opens the store in a Postgres database, with these views, together with other processes: what one of them writes,
    /// all hear of.
    ///
    /// For a builder, a view that does not fit (another log, another shape, other partitions, ahead of the log) begins
    /// anew. A reader waits half a minute for what it does not find, and fails then.
    pub async fn open_postgres(
        url: &str,
        tables: &[Table],
        source: Source,
        access: Access<'_>,
    ) -> Result<Self, StoreError> {
        Ok(Self { views: postgres::open(url, tables, source, access, postgres::READER_WAITS).await? })
    }

    /// How far a view has come: the minimum over its partitions.
    pub fn position(&self, view: &str) -> Position {
        *self.view(view).shared().position.borrow()
    }

    /// Returns once a view has come as far as `position`.
    pub async fn wait_for(&self, view: &str, position: Position) -> Position {
        let mut positions = self.view(view).shared().position.subscribe();
        let reached = positions.wait_for(|reached| *reached >= position).await;
        *reached.expect("the store, which is borrowed, holds the sender")
    }

    /// Where the last change of an object lies, or of another one that shares its place: never too early, and known
    /// before the view's position passes it.
    pub fn last_change(&self, view: &str, object: &str) -> Position {
        self.view(view).shared().last_change(object)
    }

    /// The generation of a view that readers see, as far as this process knows: where it is the one that writes, it knows
    /// before they do.
    pub fn generation(&self, view: &str) -> u32 {
        self.view(view).shared().live.load(Ordering::SeqCst)
    }

    /// Where a view has set a stream aside, if it has: what it shows of it is as it was before that.
    pub fn parked_at(&self, view: &str, stream: &str) -> Option<Position> {
        self.view(view).parked_at(stream)
    }

    /// The generations of a view.
    pub fn generations(&self, view: &str) -> Arc<dyn Generations> {
        Arc::clone(self.view(view)) as Arc<dyn Generations>
    }

    /// Rows of a view together with its position, in one statement: both of the same moment and generation.
    pub async fn read<T: DeserializeOwned>(
        &self,
        view: &str,
        select: Select,
        params: &[Param],
    ) -> Result<Rows<T>, StoreError> {
        let Rows { position, generation, rows } = self.view(view).read(&select, params).await?;
        let rows = rows.iter().map(|row| serde_json::from_str(row)).collect::<Result<_, _>>()?;
        Ok(Rows { position, generation, rows })
    }

    fn view(&self, name: &str) -> &Arc<dyn View> {
        self.views.get(name).expect("every view that is asked for was opened")
    }
}
