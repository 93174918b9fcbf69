//! The read store in Postgres: many processes write and read it together.
//!
//! What a process knows of it (positions, changes, generations) it has from a statement that reads all of it at one
//! moment, and from the notices of later commits, in the order of these commits. Its own writes reach it the same way.
//! So whatever it knows was true together at one moment, and a slot is raised before the position passes the change.

mod generation;
mod generations;
mod listener;
mod notice;
mod opening;
mod statements;
mod tables;

use super::shared::Shared;
use super::{Access, Table, View, Views};
use crate::event_log::LogId;
use crate::view_store::{Source, StoreError};
use futures_util::future::FutureExt;
use generations::TableGenerations;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a reader waits for views that nobody has built yet.
pub(super) const READER_WAITS: Duration = Duration::from_secs(30);

/// Connections of one process that read and write rows.
const CONNECTIONS: u32 = 10;

/// How long a read or a write waits for a free one of them, or a new one.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A connection that lay idle for so long is asked whether it is still there before it is used.
const DOUBTED_AFTER: Duration = Duration::from_secs(1);

/// The database.
struct Database {
    pool: PgPool,
    /// Of connections that hold still what they read.
    options: PgConnectOptions,
    log: LogId,
    partitions: u16,
    /// Ends the listening with the last user of the database.
    _listening: DropGuard,
}

/// Opens the views in a database.
pub(super) async fn open(
    url: &str,
    tables: &[Table],
    source: Source,
    access: Access<'_>,
    reader_waits: Duration,
) -> Result<Views, StoreError> {
    // Rows can be built again: a crash of the server may take the last transactions, but whole.
    let options = url.parse::<PgConnectOptions>()?.application_name("colophon views");
    let options = options.options([("synchronous_commit", "off"), ("client_min_messages", "warning")]);
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECT_WITHIN)
        .test_before_acquire(false)
        .before_acquire(|connection, standing| {
            async move {
                if standing.idle_for >= DOUBTED_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            }
            .boxed()
        })
        .connect_with(options.clone())
        .await?;
    match access {
        Access::Builder(log) => opening::build(&pool, tables, source, log).await?,
        Access::Reader => opening::wait(&pool, tables, source, reader_waits).await?,
    }
    let stop = CancellationToken::new();
    let Source { log, partitions, head } = source;
    let database = Arc::new(Database { pool, options, log, partitions, _listening: stop.clone().drop_guard() });
    let mut opened = HashMap::new();
    for table in tables {
        let shared = Shared::new(*table, statements::json(table), head);
        opened.insert(table.name, Arc::new(TableGenerations::open(&database, shared).await?));
    }
    listener::start(url, &opened, stop).await?;
    Ok(opened.into_iter().map(|(name, view)| (name, view as Arc<dyn View>)).collect())
}
