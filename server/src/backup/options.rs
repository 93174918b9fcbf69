//! The command line of `colophon backup` and `colophon restore`.

use clap::Args;
use std::path::PathBuf;

/// Where to back up to.
#[derive(Debug, Args)]
pub struct BackupOptions {
    /// The directory to write; it must not be there yet, or be empty
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// What to restore; `--data-dir` says where to.
#[derive(Debug, Args)]
pub struct RestoreOptions {
    /// The directory that `backup` wrote; it is only read. --data-dir names an empty directory, or one to be made
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}
