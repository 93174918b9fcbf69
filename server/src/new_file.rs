//! A file that a tool writes: at its place only when it is whole.

use anyhow::{Context, bail};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 18;

/// What the file's name begins with until it is whole.
const PREFIX: &str = ".colophon";

/// What becomes of a file that is at the place already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and is an error.
    Stays,
    /// The new one takes its place.
    IsReplaced,
}

/// The file, beside its place, and gone if it is not put there.
pub struct NewFile {
    place: PathBuf,
    existing: Existing,
    file: BufWriter<NamedTempFile>,
}

impl NewFile {
    /// A file that is to lie at `place`, or at what a symbolic link there leads to. Only a regular file is ever replaced.
    pub fn create(place: &Path, existing: Existing) -> anyhow::Result<Self> {
        let place = resolved(place, existing)?;
        let cannot = || format!("{} cannot be written", place.display());
        let file = NamedTempFile::with_prefix_in(PREFIX, directory(&place)).with_context(cannot)?;
        Ok(Self { place, existing, file: BufWriter::with_capacity(BUFFER_BYTES, file) })
    }

    /// Puts the file in its place.
    pub fn finish(self) -> anyhow::Result<()> {
        let Self { place, existing, file } = self;
        let placed = || -> io::Result<()> {
            let file = file.into_inner().map_err(|error| error.into_error())?;
            file.as_file().sync_all()?;
            // Another process may have put a file there meanwhile.
            let placed = match existing {
                Existing::Stays => file.persist_noclobber(&place),
                Existing::IsReplaced => file.persist(&place),
            };
            placed.map_err(|error| error.error)?;
            File::open(directory(&place))?.sync_all()
        };
        placed().with_context(|| format!("{} cannot be written", place.display()))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn resolved(place: &Path, existing: Existing) -> anyhow::Result<PathBuf> {
    let name = place.display();
    let found = match place.metadata() {
        Ok(found) => found,
        Err(_) if place.is_symlink() => bail!("{name} is a symbolic link that leads nowhere: name the file itself"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(place.to_owned()),
        Err(error) => return Err(error).with_context(|| format!("{name} cannot be written")),
    };
    if found.is_dir() {
        bail!("{name} is a directory: name a file in it");
    }
    if !found.is_file() {
        bail!("{name} is a device, a pipe or a socket, and stays: name a file");
    }
    if existing == Existing::Stays {
        bail!("{name} is there already: choose another name, or replace it with --force");
    }
    place.canonicalize().with_context(|| format!("{name} cannot be written"))
}

fn directory(place: &Path) -> &Path {
    place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
