//! Files of secrets: whole, for their owner's eyes only, and never replaced.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use tempfile::NamedTempFile;

/// Writes a new secret beside its place and links it there, so that nobody ever sees half a secret. If there is one
/// already, that one stays.
pub(crate) fn create(path: &Path, secret: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // A temporary file has mode 0600 from its first moment.
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(secret)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => File::open(directory)?.sync_all(),
        // Another process was first: its secret is the installation's.
        Err(raced) if raced.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(failed) => Err(failed.error),
    }
}
