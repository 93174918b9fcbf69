//! The data directory: one process's at a time, with a format number, and nothing in it that a stranger may read.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use thiserror::Error;

#[cfg(test)]
mod tests;

/// The version of the directory's layout, as its file `format` says.
pub const FORMAT: u32 = 1;

/// Where things lie in a data directory.
#[derive(Debug, Clone)]
pub struct Layout(PathBuf);

impl Layout {
    /// The layout of the data directory at `path`.
    pub fn of(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The event log: only appended to, never deleted.
    pub fn log(&self) -> PathBuf {
        self.0.join("log.sqlite")
    }

    /// The views: may be deleted while nothing runs, and are built anew.
    pub fn views(&self) -> PathBuf {
        self.0.join("views.sqlite")
    }

    /// The search index, a directory: may be deleted while nothing runs, and is built anew.
    pub fn search(&self) -> PathBuf {
        self.0.join("search")
    }

    /// Snapshots of long streams: may be deleted while nothing runs, and are taken anew.
    pub fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots.sqlite")
    }

    /// Who customers are: neither deleted nor rebuilt.
    pub fn vault(&self) -> PathBuf {
        self.0.join("vault.sqlite")
    }

    /// What the directory's node shares with others, where it is one of several: written at each start.
    pub fn deployment(&self) -> PathBuf {
        self.0.join("deployment.json")
    }

    /// Secrets of the installation's own, a directory.
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// What the payment provider's callbacks are signed with, unless the configuration has it.
    pub fn webhook_secret(&self) -> PathBuf {
        self.keys().join("webhook.secret")
    }

    /// The key that signs tokens, unless the configuration names another one.
    pub fn signing_key(&self) -> PathBuf {
        self.keys().join("signing.pem")
    }

    /// Where tools reach the server that runs on the directory.
    pub fn admin_socket(&self) -> PathBuf {
        self.0.join("admin.sock")
    }

    fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    fn format(&self) -> PathBuf {
        self.0.join("format")
    }
}

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DataDirectoryError {
    /// Another process has it.
    #[error("the data directory {} is in use{}: end that process, or choose another directory with --data-dir", path.display(), holder.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    InUse {
        /// Which directory.
        path: PathBuf,
        /// The process that has it, as far as it can be told.
        holder: Option<u32>,
    },
    /// A later version of this program made it.
    #[error("the data directory {} has format {found}, this program knows up to {FORMAT}: run the version that wrote it, or a later one", path.display())]
    Newer {
        /// Which directory.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It holds something else.
    #[error("{} is not empty and not a data directory of Colophon: choose another one with --data-dir", path.display())]
    Foreign {
        /// Which directory.
        path: PathBuf,
    },
    /// It was being made when that was cut off.
    #[error("{} is what a restore left that was cut off: delete it and begin again", path.display())]
    CutOff {
        /// Which directory.
        path: PathBuf,
    },
    /// Something is there where nothing may be.
    #[error("{} is not empty: choose a directory that is, or one that is not there yet", path.display())]
    NotEmpty {
        /// Which directory.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("the data directory {} cannot be used: {source}", path.display())]
    Io {
        /// Which directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A data directory that this process has to itself, until this is dropped.
#[derive(Debug)]
pub struct DataDirectory {
    layout: Layout,
    _lock: File,
}

impl DataDirectory {
    /// Takes the directory, or makes a new one there.
    pub fn open(path: &Path) -> Result<Self, DataDirectoryError> {
        let io = |source| DataDirectoryError::Io { path: path.to_owned(), source };
        let layout = Layout::of(path);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        // Nothing is written, not even a lock, in a directory that is not for this program.
        if !is_known(&layout)? && !is_fresh(path).map_err(io)? {
            return Err(not_whole(&layout));
        }
        let lock = lock(&layout)?;
        // Whoever had it before may have been a later version.
        if !is_known(&layout)? {
            write_format(&layout).map_err(io)?;
        }
        Ok(Self { layout, _lock: lock })
    }

    /// Fails if what is at `path` is not a whole data directory, of whatever format. It is not taken.
    pub fn check(path: &Path) -> Result<(), DataDirectoryError> {
        let layout = Layout::of(path);
        if layout.format().exists() { Ok(()) } else { Err(not_whole(&layout)) }
    }

    /// The process that has the directory at `path`, as far as it can be told.
    pub fn holder(path: &Path) -> Option<u32> {
        match in_use(&Layout::of(path)) {
            Ok(Some(DataDirectoryError::InUse { holder, .. })) => holder,
            _ => None,
        }
    }

    /// Where things lie in it.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
}

/// A data directory that is being filled. Until that is done no server takes it: what is in it when this is dropped is
/// no data directory, nor a place for a new one.
#[derive(Debug)]
pub struct Unfinished {
    layout: Layout,
    lock: File,
}

impl Unfinished {
    /// Takes an empty directory, or makes one there.
    pub fn begin(path: &Path) -> Result<Self, DataDirectoryError> {
        let io = |source| DataDirectoryError::Io { path: path.to_owned(), source };
        let layout = Layout::of(path);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        if !is_fresh(path).map_err(io)? {
            return Err(match not_whole(&layout) {
                DataDirectoryError::Foreign { path } => DataDirectoryError::NotEmpty { path },
                more => more,
            });
        }
        let lock = lock(&layout)?;
        Ok(Self { layout, lock })
    }

    /// Where things are to lie in it.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Makes it a data directory: what lies in it has to be on the disk already.
    pub fn finish(self) -> Result<DataDirectory, DataDirectoryError> {
        let io = |source| DataDirectoryError::Io { path: self.layout.0.clone(), source };
        write_format(&self.layout).map_err(io)?;
        Ok(DataDirectory { layout: self.layout, _lock: self.lock })
    }
}

/// Whether the directory has a format, one that this program knows.
fn is_known(layout: &Layout) -> Result<bool, DataDirectoryError> {
    let path = layout.0.clone();
    match std::fs::read_to_string(layout.format()) {
        Ok(text) => match text.trim().parse() {
            Ok(FORMAT) => Ok(true),
            Ok(found) if found > FORMAT => Err(DataDirectoryError::Newer { path, found }),
            _ => Err(DataDirectoryError::Foreign { path }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(DataDirectoryError::Io { path, source }),
    }
}

/// Why a directory that holds something is no data directory: what fills one locks it first, and says what it is last.
fn not_whole(layout: &Layout) -> DataDirectoryError {
    let path = layout.0.clone();
    match in_use(layout) {
        Ok(Some(in_use)) => in_use,
        Ok(None) if layout.lock().exists() && layout.log().exists() && !layout.format().exists() => {
            DataDirectoryError::CutOff { path }
        }
        Ok(None) => DataDirectoryError::Foreign { path },
        Err(source) => DataDirectoryError::Io { path, source },
    }
}

/// Whether the directory holds nothing, or only what a first start leaves that was cut off.
fn is_fresh(path: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        if name != "lock" && !name.to_string_lossy().starts_with(".format") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn lock(layout: &Layout) -> Result<File, DataDirectoryError> {
    let io = |source| DataDirectoryError::Io { path: layout.0.clone(), source };
    let mut options = OpenOptions::new();
    let mut lock =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(layout.lock()).map_err(io)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(held(layout, &mut lock)),
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    // Who has it, for the message above; the lock itself is the operating system's, and ends with the process.
    lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(io)?;
    Ok(lock)
}

/// Who has the directory, if anybody has; it is not taken.
fn in_use(layout: &Layout) -> io::Result<Option<DataDirectoryError>> {
    let mut lock = match File::open(layout.lock()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        lock => lock?,
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(held(layout, &mut lock))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn held(layout: &Layout, lock: &mut File) -> DataDirectoryError {
    let mut text = String::new();
    let holder = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
    DataDirectoryError::InUse { path: layout.0.clone(), holder }
}

fn write_format(layout: &Layout) -> io::Result<()> {
    let mut file = NamedTempFile::with_prefix_in(".format", &layout.0)?;
    writeln!(file, "{FORMAT}")?;
    file.as_file().sync_all()?;
    file.persist(layout.format())?;
    File::open(&layout.0)?.sync_all()
}
