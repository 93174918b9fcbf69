//! States of long streams beside the log, in a SQLite file that may be lost: whoever finds none folds the events.

use crate::derived_file;
use crate::event_log::{LogId, Position, RecordedEvent, Revision, StreamId};
use crate::sqlite_code;
use crc::{CRC_64_NVME, Crc};
use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use std::path::{Path, PathBuf};
use thiserror::Error;

#[cfg(test)]
mod tests;

static CRC: Crc<u64> = Crc::<u64>::new(&CRC_64_NVME);

/// Connections at once.
const CONNECTIONS: u32 = 4;

const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS snapshots (
        stream TEXT PRIMARY KEY,
        log BLOB NOT NULL,
        revision INTEGER NOT NULL,
        position INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        fold_version INTEGER NOT NULL,
        state BLOB NOT NULL,
        crc INTEGER NOT NULL
    ) STRICT";

/// The state of a stream's aggregate as of one of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose state it is.
    pub stream: StreamId,
    /// The revision of the last event in it.
    pub revision: Revision,
    /// That event's position.
    pub position: Position,
    /// That event's checksum: with it, nothing before it can be another event.
    pub checksum: u64,
    /// Which fold made the state.
    pub fold_version: u16,
    /// The state, in the form of that fold.
    pub state: Vec<u8>,
}

impl Snapshot {
    /// The state after `event`.
    pub fn after(event: &RecordedEvent, fold_version: u16, state: Vec<u8>) -> Self {
        Self {
            stream: event.stream.clone(),
            revision: event.revision,
            position: event.position,
            checksum: event.checksum,
            fold_version,
            state,
        }
    }

    /// Whether `event` is the last one in it.
    pub fn is_after(&self, event: &RecordedEvent) -> bool {
        self.stream == event.stream
            && self.revision == event.revision
            && self.position == event.position
            && self.checksum == event.checksum
    }

    /// CRC-64/NVME over all of it and the log's id; what is of variable length is preceded by its length.
    fn crc(&self, log: LogId) -> u64 {
        let mut digest = CRC.digest();
        digest.update(log.0.as_bytes());
        for field in [self.stream.as_str().as_bytes(), &self.state] {
            digest.update(&(field.len() as u64).to_be_bytes());
            digest.update(field);
        }
        for number in [self.revision.0, self.position.0, self.checksum, u64::from(self.fold_version)] {
            digest.update(&number.to_be_bytes());
        }
        digest.finalize()
    }
}

/// Why the file of the snapshots could not be opened.
#[derive(Debug, Error)]
#[error("the snapshots in {} cannot be opened: {source}", path.display())]
pub struct OpenError {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub source: sqlx::Error,
}

/// The newest snapshot of each stream that has one.
pub struct SnapshotStore {
    pool: SqlitePool,
    log: LogId,
}

impl SnapshotStore {
    /// Opens the snapshots of a log in a file. Those of another log are dropped, and a damaged file begins anew.
    pub async fn open(path: &Path, log: LogId) -> Result<Self, OpenError> {
        let opened = match Self::try_open(path, log).await {
            Err(error) if sqlite_code::is_damaged(&error) => {
                tracing::warn!(%error, "the file of the snapshots is damaged and begins anew");
                match derived_file::remove(path) {
                    Ok(()) => Self::try_open(path, log).await,
                    Err(error) => Err(sqlx::Error::Io(error)),
                }
            }
            opened => opened,
        };
        opened.map_err(|source| OpenError { path: path.to_owned(), source })
    }

    async fn try_open(path: &Path, log: LogId) -> Result<Self, sqlx::Error> {
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).idle_timeout(None).max_lifetime(None);
        let pool = pool.connect_with(derived_file::options(path)).await?;
        sqlx::raw_sql(CREATE).execute(&pool).await?;
        sqlx::query("DELETE FROM snapshots WHERE log <> ?").bind(log.0).execute(&pool).await?;
        Ok(Self { pool, log })
    }

    /// The stream's snapshot; none if it has none, or one that is not as it was written.
    pub async fn load(&self, stream: &StreamId) -> Option<Snapshot> {
        match self.read(stream).await {
            Ok(Some((snapshot, crc))) if snapshot.crc(self.log) == crc => Some(snapshot),
            Ok(None) => None,
            Ok(Some(_)) => {
                tracing::warn!(%stream, "the snapshot of stream {stream} is not as it was written, and is not used");
                None
            }
            Err(error) => {
                tracing::warn!(%stream, %error, "the snapshot of stream {stream} cannot be read, and is not used");
                None
            }
        }
    }

    async fn read(&self, stream: &StreamId) -> Result<Option<(Snapshot, u64)>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT revision, position, checksum, fold_version, state, crc FROM snapshots WHERE stream = ?",
        )
        .bind(stream.as_str())
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let number = |column| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
        let snapshot = Snapshot {
            stream: stream.clone(),
            revision: Revision(number("revision")?),
            position: Position(number("position")?),
            checksum: number("checksum")?,
            fold_version: row.try_get("fold_version")?,
            state: row.try_get("state")?,
        };
        Ok(Some((snapshot, number("crc")?)))
    }

    /// Keeps a snapshot instead of the stream's last one.
    pub async fn save(&self, snapshot: &Snapshot) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(snapshot.stream.as_str())
            .bind(self.log.0)
            .bind(snapshot.revision.0.cast_signed())
            .bind(snapshot.position.0.cast_signed())
            .bind(snapshot.checksum.cast_signed())
            .bind(snapshot.fold_version)
            .bind(snapshot.state.as_slice())
            .bind(snapshot.crc(self.log).cast_signed())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
