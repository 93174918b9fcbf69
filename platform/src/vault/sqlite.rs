//! The vault in a SQLite file, whose commits are on the disk before they are answered.

use super::sql::{self, vault_in_sql};
use crate::event_log::LogId;
use crate::identity::Principal;
use crate::sqlite_file::ReadOnlyFile;
use sqlx::Connection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use uuid::Uuid;

/// Connections at once.
const CONNECTIONS: u32 = 4;

/// How long a statement waits for a lock.
const BUSY: Duration = Duration::from_secs(5);

const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS vault (log BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS customers (
        issuer TEXT NOT NULL, subject TEXT NOT NULL, id BLOB NOT NULL UNIQUE,
        PRIMARY KEY (issuer, subject)) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS effects (
        event BLOB NOT NULL, effect TEXT NOT NULL, stage TEXT NOT NULL, since INTEGER NOT NULL, failure TEXT,
        PRIMARY KEY (event, effect)) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS effects_untried (up_to INTEGER NOT NULL) STRICT;";

/// Why a vault could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Its customers are those of another log.
    #[error("the vault {} belongs to another event log: put back the one that belongs to this log", path.display())]
    OfAnotherLog {
        /// Which file.
        path: PathBuf,
    },
    /// It is not as it was written.
    #[error("the vault {} is damaged: expected a sound file, found by SQLite's own check: {fault}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// The first thing that is wrong.
        fault: String,
    },
    /// SQLite could not.
    #[error("the vault {} cannot be opened: {source}", path.display())]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
}

/// Writes a copy of the vault in a file, as of one moment, to `target`, where nothing may be yet. Nothing else is changed.
pub async fn copy(path: &Path, target: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    ReadOnlyFile::new(path).copy(target).await.map_err(failed)
}

/// Checks all of a vault's file, and that it is of this log. Nothing is changed.
pub async fn verify(path: &Path, log: LogId) -> Result<(), OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let file = ReadOnlyFile::new(path);
    if let Some(fault) = file.faults().await.map_err(failed)?.into_iter().next() {
        return Err(OpenError::Damaged { path: path.to_owned(), fault });
    }
    let of = async |connection: &mut _| sqlx::query_scalar("SELECT log FROM vault").fetch_one(connection).await;
    let of: Uuid = file.read(of).await.map_err(failed)?;
    if of == log.0 { Ok(()) } else { Err(OpenError::OfAnotherLog { path: path.to_owned() }) }
}

/// All customers of the vault in a file. Nothing is changed.
pub async fn customers(path: &Path) -> Result<Vec<(Principal, Uuid)>, OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let all = async |connection: &mut _| sqlx::query_as(sql::CUSTOMERS).fetch_all(connection).await;
    let rows = ReadOnlyFile::new(path).read(all).await.map_err(failed)?;
    Ok(rows.into_iter().map(sql::customer).collect())
}

/// Makes the vault in a file that of another log, for a copy that belongs to a copy of its log. Nobody else may have the
/// file open.
pub async fn hand_over(path: &Path, log: LogId) -> Result<(), OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let options = SqliteConnectOptions::new().filename(path).synchronous(SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
    sqlx::query("UPDATE vault SET log = ?").bind(log.0).execute(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)
}

/// The vault.
pub struct SqliteVault(SqlitePool);

impl SqliteVault {
    /// Opens the vault of a log in a file, or makes a new one there.
    pub async fn open(path: &Path, log: LogId) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await.map_err(failed)?;
        sqlx::raw_sql(CREATE).execute(&pool).await.map_err(failed)?;
        sqlx::query("INSERT INTO vault (log) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM vault)")
            .bind(log.0)
            .execute(&pool)
            .await
            .map_err(failed)?;
        let of: Uuid = sqlx::query_scalar("SELECT log FROM vault").fetch_one(&pool).await.map_err(failed)?;
        if of != log.0 {
            return Err(OpenError::OfAnotherLog { path: path.to_owned() });
        }
        Ok(Self(pool))
    }

    /// Closes it, so that all of it is in its file.
    pub async fn close(self) {
        self.0.close().await;
    }
}

vault_in_sql!(SqliteVault);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{Vault, conformance, effects};

    #[tokio::test]
    async fn conforms_and_remembers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vault.sqlite");
        let log = LogId(Uuid::from_u128(7));
        let ann = Principal { issuer: "here".to_owned(), subject: "ann".to_owned(), roles: Vec::new() };
        conformance::run(&SqliteVault::open(&path, log).await.unwrap()).await;
        effects::conformance::run(&SqliteVault::open(&path, log).await.unwrap()).await;
        let again = SqliteVault::open(&path, log).await.unwrap();
        assert_eq!(again.find(&ann).await.unwrap(), Some(Uuid::from_u128(1)));
        let other = SqliteVault::open(&path, LogId(Uuid::from_u128(8))).await;
        assert!(matches!(other, Err(OpenError::OfAnotherLog { .. })));
    }

    #[tokio::test]
    async fn a_copy_is_whole_and_can_go_with_another_log() {
        let directory = tempfile::tempdir().unwrap();
        let (path, copied) = (directory.path().join("vault.sqlite"), directory.path().join("copy.sqlite"));
        let (log, other) = (LogId(Uuid::from_u128(7)), LogId(Uuid::from_u128(8)));
        let ann = Principal { issuer: "here".to_owned(), subject: "ann".to_owned(), roles: Vec::new() };
        let vault = SqliteVault::open(&path, log).await.unwrap();
        vault.find_or_add(&ann, Uuid::from_u128(1)).await.unwrap();
        copy(&path, &copied).await.unwrap();
        verify(&copied, log).await.unwrap();
        hand_over(&copied, other).await.unwrap();
        assert!(matches!(verify(&copied, log).await, Err(OpenError::OfAnotherLog { .. })));
        let copy = SqliteVault::open(&copied, other).await.unwrap();
        assert_eq!(copy.find(&ann).await.unwrap(), Some(Uuid::from_u128(1)));
    }
}
