//! `colophon backup`: log, vault and keys, as of one moment, in a directory that is there only when it is whole.

pub mod manifest;
pub mod options;
pub mod restore;
mod shared;

use crate::cli::{Global, say};
use crate::log::output::pairs;
use crate::log::verify;
use crate::settings::{Hidden, Settings};
use crate::stores::needs_vault;
use anyhow::{Context, bail};
use manifest::Manifest;
use options::BackupOptions;
use platform::data_directory::{DataDirectory, Layout};
use platform::event_log::reader::LogReader;
use platform::event_log::sqlite::reader::SqliteLogReader;
use platform::identity::signing_key::SigningKey;
use platform::seam::Seam;
use platform::vault;
use platform::webhook::Secret;
use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::time::Instant;

/// What the name of the configuration's copy begins with; its ending says whether it is TOML or YAML.
const CONFIGURATION: &str = "configuration";

/// Runs the command.
pub async fn run(global: &Global, options: BackupOptions) -> anyhow::Result<()> {
    let (begun, settings, target) = (Instant::now(), Settings::load(global)?, options.directory);
    let source = Layout::of(&settings.data_directory());
    if source.log().exists() {
        DataDirectory::check(source.path())?;
    }
    let log = match &settings.postgres.url {
        Some(Hidden(_)) => None,
        None => Some(SqliteLogReader::open(&source.log()).await?),
    };
    let parent = free(&target, &source)?;
    let cannot = || format!("the backup cannot be written in {}", parent.display());
    // Beside its place, and gone if it is not put there.
    let staging = tempfile::Builder::new()
        .prefix(".backup")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(&parent)
        .with_context(cannot)?;
    let copy = Layout::of(staging.path());
    let mut names = match (&log, &settings.postgres.url) {
        (_, Some(Hidden(url))) => shared::copy_stores(url, &copy).await?,
        (Some(log), None) => copy_stores(log, &source, &copy).await?,
        (None, None) => bail!("there is no event log to back up"),
    };
    names.extend(copy_keys(&settings, &source, &copy)?);
    names.extend(copy_configuration(global, &copy)?);
    let manifest = verified(&copy, names).await.context("the copy is not as it should be, and was removed")?;
    let written = manifest.write(copy.path()).with_context(cannot)?;
    protect(&written).with_context(cannot)?;
    sync(&[copy.path()]).with_context(cannot)?;
    // Another process may have put something there meanwhile.
    std::fs::rename(staging.path(), &target)
        .with_context(|| format!("the backup cannot be put at {}", target.display()))?;
    // It lies elsewhere now.
    let _ = staging.keep();
    sync(&[&parent]).with_context(cannot)?;
    report(&target, &manifest, begun)
}

/// Where the directory is to lie: nothing may be in it yet.
fn free(target: &Path, source: &Layout) -> anyhow::Result<PathBuf> {
    let cannot = || format!("{} cannot be used", target.display());
    let (data, place) = (source.path().canonicalize()?, std::path::absolute(target)?);
    if place.ancestors().find_map(|place| place.canonicalize().ok()).is_some_and(|place| place.starts_with(data)) {
        bail!("{} lies in the data directory: name one elsewhere, best on another disk", target.display());
    }
    let entry = match std::fs::read_dir(target) {
        Ok(mut entries) => entries.next(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(cannot),
    };
    if entry.is_some() {
        bail!("{} is not empty: name a directory that is, or one that is not there yet", target.display());
    }
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
    made.with_context(cannot)?;
    Ok(parent.to_owned())
}

/// The log first: a customer is in the vault before the log names him, so none is missing in the vault's later copy.
async fn copy_stores(log: &SqliteLogReader, source: &Layout, copy: &Layout) -> anyhow::Result<Vec<String>> {
    log.copy(&copy.log()).await.context("the log cannot be copied")?;
    protect(&copy.log())?;
    let mut names = vec![name_in(copy, &copy.log())?];
    needs_vault(source, log.head().await?)?;
    // The first start of all may not have come to it yet.
    if source.vault().exists() {
        vault::sqlite::copy(&source.vault(), &copy.vault()).await.context("the vault cannot be copied")?;
        protect(&copy.vault())?;
        names.push(name_in(copy, &copy.vault())?);
    }
    Ok(names)
}

/// The directory's own keys; where the configuration names another one that signs, that one in its place.
fn copy_keys(settings: &Settings, source: &Layout, copy: &Layout) -> anyhow::Result<Vec<String>> {
    let signing = settings.auth.signing_key_file.clone().unwrap_or_else(|| source.signing_key());
    check_keys(&signing, &source.webhook_secret()).context("no server could be started with a backup")?;
    let mut names = Vec::new();
    for (from, to) in [(signing, copy.signing_key()), (source.webhook_secret(), copy.webhook_secret())] {
        if !from.exists() && settings.auth.signing_key_file.as_ref() != Some(&from) {
            continue;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(copy.keys())?;
        std::fs::copy(&from, &to).with_context(|| format!("{} cannot be copied", from.display()))?;
        protect(&to)?;
        names.push(name_in(copy, &to)?);
    }
    if !names.is_empty() {
        sync(&[&copy.keys()])?;
    }
    Ok(names)
}

/// Checks that a server would take these keys, as far as they are there.
fn check_keys(signing: &Path, webhook: &Path) -> anyhow::Result<()> {
    if signing.exists() {
        SigningKey::load(signing)?;
    }
    if webhook.exists() {
        Secret::load(webhook)?;
    }
    Ok(())
}

fn copy_configuration(global: &Global, copy: &Layout) -> anyhow::Result<Option<String>> {
    let Some(from) = &global.config else { return Ok(None) };
    let mut to = copy.path().join(CONFIGURATION);
    if let Some(ending) = from.extension() {
        to.set_extension(ending);
    }
    std::fs::copy(from, &to).with_context(|| format!("{} cannot be copied", from.display()))?;
    protect(&to)?;
    name_in(copy, &to).map(Some)
}

/// Checks what was written, as it can be read, and describes it.
async fn verified(copy: &Layout, names: Vec<String>) -> anyhow::Result<Manifest> {
    let log = LogReader::Sqlite(SqliteLogReader::open(&copy.log()).await?);
    let verified = verify::with_bar(&log).await?;
    if copy.vault().exists() {
        vault::sqlite::verify(&copy.vault(), log.id()).await?;
    }
    let now = crate::log::output::time(Seam::system().clock.now());
    let (path, id) = (copy.path().to_owned(), log.id());
    tokio::task::spawn_blocking(move || Manifest::of(&path, &names, id, verified.position, now)).await?
}

/// For its owner's eyes only, and on the disk.
fn protect(file: &Path) -> io::Result<()> {
    std::fs::set_permissions(file, Permissions::from_mode(0o600))?;
    File::open(file)?.sync_all()
}

/// Has the names of a directory's files on the disk.
fn sync(directories: &[&Path]) -> io::Result<()> {
    directories.iter().try_for_each(|directory| File::open(directory)?.sync_all())
}

fn name_in(copy: &Layout, path: &Path) -> anyhow::Result<String> {
    let name = path.strip_prefix(copy.path())?.to_str();
    Ok(name.context("the name of a file is not UTF-8")?.to_owned())
}

fn report(target: &Path, manifest: &Manifest, begun: Instant) -> anyhow::Result<()> {
    let mut told = Vec::new();
    let position = manifest.position().0.to_string();
    let lines = [
        ("backup", target.display().to_string()),
        ("events", position.clone()),
        ("last position", position),
        ("bytes", manifest.bytes().to_string()),
        ("duration", format!("{:.1} s", begun.elapsed().as_secs_f64())),
    ];
    pairs(&mut told, &lines)?;
    Ok(say(String::from_utf8_lossy(&told).trim_end())?)
}
