//! A SQLite file that is only read, beside whoever writes it: nothing of it is changed, and nothing is made beside it.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

/// How long a statement waits for a lock of another process.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often something is read anew because a writer came or went meanwhile.
const ATTEMPTS: usize = 5;

/// The file.
pub(crate) struct ReadOnlyFile {
    path: PathBuf,
    held: Mutex<Option<Held>>,
}

struct Held {
    usage: Usage,
    connection: SqliteConnection,
}

/// How others use the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    /// Somebody has it open, or was cut off while he had: what SQLite keeps beside the file belongs to it.
    Shared,
    /// Nobody has it open. SQLite would make files beside it to read it, unless it is told that nothing changes; that
    /// nothing did is seen by this afterwards.
    Alone { modified: Option<SystemTime>, bytes: u64 },
}

impl Usage {
    fn of(path: &Path) -> io::Result<Self> {
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            Path::new(&name).exists()
        };
        if beside("-wal") || beside("-journal") {
            return Ok(Self::Shared);
        }
        let file = path.metadata()?;
        Ok(Self::Alone { modified: file.modified().ok(), bytes: file.len() })
    }
}

impl ReadOnlyFile {
    /// The file at `path`, which is opened when it is read.
    pub(crate) fn new(path: &Path) -> Self {
        // SQLite keeps its files beside what a symbolic link stands for.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Self { path, held: Mutex::default() }
    }

    /// Asks the file something; once more if a writer came or went meanwhile, so `query` must bear that.
    pub(crate) async fn read<T>(
        &self,
        query: impl AsyncFn(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut held = self.held.lock().await;
        for _ in 0..ATTEMPTS {
            let usage = Usage::of(&self.path)?;
            if held.as_ref().is_none_or(|held| held.usage != usage) {
                *held = Some(Held { usage, connection: self.connect(usage).await? });
            }
            let Some(Held { connection, .. }) = held.as_mut() else { break };
            let result = query(connection).await;
            // While it is shared, SQLite's locks keep reading and writing apart.
            if usage == Usage::Shared || Usage::of(&self.path)? == usage {
                return result;
            }
        }
        Err(io::Error::other("others keep opening and closing the file").into())
    }

    async fn connect(&self, usage: Usage) -> Result<SqliteConnection, sqlx::Error> {
        let options = SqliteConnectOptions::new().filename(&self.path).read_only(true).busy_timeout(PATIENCE);
        SqliteConnection::connect_with(&options.immutable(usage != Usage::Shared)).await
    }

    /// What SQLite's own check finds wrong with pages, tables and indexes; nothing of a sound file. It reads all of it.
    pub(crate) async fn faults(&self) -> Result<Vec<String>, sqlx::Error> {
        let told: Vec<String> = self
            .read(async |connection| sqlx::query_scalar("PRAGMA integrity_check").fetch_all(connection).await)
            .await?;
        Ok(told.into_iter().filter(|line| line != "ok").collect())
    }

    /// Writes a copy, as of one moment, to `target`, where nothing may be yet.
    pub(crate) async fn copy(&self, target: &Path) -> Result<(), sqlx::Error> {
        let name = target.to_str().ok_or_else(|| io::Error::other("the name of the copy is not UTF-8"))?;
        let copied = async |connection: &mut SqliteConnection| {
            match std::fs::remove_file(target) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            sqlx::query("VACUUM INTO ?").bind(name).execute(connection).await
        };
        self.read(copied).await?;
        std::fs::File::open(target)?.sync_all()?;
        Ok(())
    }
}
