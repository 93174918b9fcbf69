//! What a backup holds: its manifest, by which every byte of it is known.

use anyhow::{Context, bail, ensure};
use platform::data_directory::FORMAT;
use platform::event_log::{LogId, Position};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use uuid::Uuid;

/// The manifest's own name.
const NAME: &str = "manifest.json";

/// Bytes that a manifest may have.
const BYTES_MAX: u64 = 1 << 20;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of the data directory's layout.
    format: u32,
    /// Which log it is of.
    log: Uuid,
    /// The last position in it.
    position: u64,
    /// When it was made (RFC 3339).
    created_at: String,
    /// Everything but the manifest.
    files: Vec<Entry>,
    /// SHA-256 of the manifest without this, so that it is not altered either.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    sha256: String,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where it lies, from the backup's directory.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256, in hex.
    pub sha256: String,
}

impl Manifest {
    /// The manifest of files that lie in `directory`, as they can be read there.
    pub fn of(directory: &Path, names: &[String], log: LogId, position: Position, at: String) -> anyhow::Result<Self> {
        let files = names.iter().map(|name| Entry::read(directory, name)).collect::<Result<_, _>>()?;
        let mut manifest =
            Self { format: FORMAT, log: log.0, position: position.0, created_at: at, files, sha256: String::new() };
        manifest.sha256 = manifest.digest()?;
        Ok(manifest)
    }

    /// The log that was backed up.
    pub fn log(&self) -> LogId {
        LogId(self.log)
    }

    /// The last position in it.
    pub fn position(&self) -> Position {
        Position(self.position)
    }

    /// When the backup was made.
    pub fn created_at(&self) -> &str {
        &self.created_at
    }

    /// Everything but the manifest.
    pub fn files(&self) -> &[Entry] {
        &self.files
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Puts the manifest into a backup's directory.
    pub fn write(&self, directory: &Path) -> anyhow::Result<PathBuf> {
        let path = directory.join(NAME);
        std::fs::write(&path, self.render()?)?;
        Ok(path)
    }

    /// Reads the manifest of a backup, and checks that it and all files are as they were written.
    pub fn read(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join(NAME);
        let file = File::open(&path).with_context(|| format!("{} is no backup: {NAME}", directory.display()))?;
        let mut text = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut text).with_context(|| format!("{} cannot be read", path.display()))?;
        let manifest = Self::parse(&text).with_context(|| path.display().to_string())?;
        for expected in &manifest.files {
            expected.check(directory)?;
        }
        Ok(manifest)
    }

    fn parse(text: &[u8]) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct AnyFormat {
            format: u32,
        }
        let AnyFormat { format } = serde_json::from_slice(text).context("the manifest is damaged")?;
        if format > FORMAT {
            bail!(
                "the backup has format {format}, this program knows up to {FORMAT}: restore it with the version that wrote it, or a later one"
            );
        }
        let manifest: Self = serde_json::from_slice(text).context("the manifest is damaged")?;
        let (expected, found) = (&manifest.sha256, manifest.digest()?);
        ensure!(*expected == found, "the manifest is damaged: expected SHA-256 {expected}, found {found}");
        ensure!(manifest.render()? == text, "the manifest is damaged: it is not written as this program writes it");
        Ok(manifest)
    }

    fn render(&self) -> serde_json::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    fn digest(&self) -> serde_json::Result<String> {
        let unsigned = Self { sha256: String::new(), ..self.clone() };
        Ok(hex(&Sha256::digest(unsigned.render()?)))
    }
}

impl Entry {
    /// The file as it can be read in `directory`.
    fn read(directory: &Path, name: &str) -> anyhow::Result<Self> {
        let path = directory.join(name);
        let (bytes, sha256) = digest_of(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(Self { name: name.to_owned(), bytes, sha256 })
    }

    /// Checks that the file in `directory` is this one.
    pub fn check(&self, directory: &Path) -> anyhow::Result<()> {
        let within = Path::new(&self.name).components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(within && !self.name.is_empty(), "the backup names a file outside of it: {:?}", self.name);
        let Self { bytes, sha256, .. } = Self::read(directory, &self.name).context("the backup is not whole")?;
        let path = directory.join(&self.name);
        ensure!(bytes == self.bytes, "{} is damaged: expected {} bytes, found {bytes}", path.display(), self.bytes);
        ensure!(
            sha256 == self.sha256,
            "{} is damaged: expected SHA-256 {}, found {sha256}",
            path.display(),
            self.sha256
        );
        Ok(())
    }
}

fn digest_of(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut digest) = (File::open(path)?, Sha256::new());
    let (mut buffer, mut bytes) = (vec![0; 1 << 18], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, hex(&digest.finalize()))),
            read => {
                digest.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
