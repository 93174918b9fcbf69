//! SQLite files of what can be made anew from the log.

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long a statement waits for a lock.
const BUSY: Duration = Duration::from_secs(5);

/// How such a file is opened. A power cut may take its last transactions, but whole: they are done again, so that none
/// waits for the disk.
pub(crate) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY)
}

/// Removes such a file, as far as it is there, with what SQLite keeps beside it.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        match std::fs::remove_file(format!("{}{suffix}", path.display())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
