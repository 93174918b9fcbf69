//! `colophon restore`: a data directory out of a backup, which is there only when it is whole.

use super::manifest::{Entry, Manifest};
use super::options::RestoreOptions;
use super::{CONFIGURATION, check_keys, protect, sync};
use crate::cli::{Global, say, warn};
use crate::log::verify;
use crate::settings::Settings;
use anyhow::{Context, ensure};
use platform::data_directory::{Layout, Unfinished};
use platform::event_log::LogId;
use platform::event_log::reader::LogReader;
use platform::event_log::sqlite::{self, reader::SqliteLogReader};
use platform::seam::Seam;
use platform::vault;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use tokio::time::Instant;

/// Runs the command.
pub async fn run(global: &Global, options: RestoreOptions) -> anyhow::Result<()> {
    let (begun, settings) = (Instant::now(), Settings::load(global)?);
    let backup = Layout::of(&options.directory);
    let manifest = Manifest::read(backup.path())?;
    check_stores(&backup, &manifest).await?;
    // A fork of the log's history: the positions after the backup will stand for other events than they did.
    let id = LogId(Seam::system().uuid());
    let unfinished = Unfinished::begin(&settings.data_directory())?;
    let mut filling = Filling { target: unfinished.layout().clone(), manifest: &manifest, whole: false };
    fill(&filling.target, &backup, &manifest, id).await.context("nothing was restored")?;
    filling.whole = true;
    let directory = unfinished.finish()?;
    let (events, path, seconds) = (manifest.position().0, directory.layout().path(), begun.elapsed().as_secs_f64());
    say(format_args!("restored: {events} events, up to position {events}, in {} in {seconds:.1} s", path.display()))?;
    say(format_args!("made: {}", manifest.created_at()))?;
    say(format_args!("log: {} (a new id: what was built from the backed up one is built anew)", id.0))?;
    if let Some(file) = manifest.files().iter().find(|file| is_configuration(file)) {
        let file = backup.path().join(&file.name);
        say(format_args!("configuration: not put in place; it is in {}", file.display()))?;
    }
    let keys = directory.layout();
    if let Err(error) = check_keys(&keys.signing_key(), &keys.webhook_secret()) {
        warn(format_args!("{error}; no server starts with it: remove it, and the next start makes a new one"));
    }
    Ok(())
}

/// What is put into a data directory: unless it is whole, it is removed again.
struct Filling<'a> {
    target: Layout,
    manifest: &'a Manifest,
    whole: bool,
}

/// Leaves the directory as it was, as far as that can be done; what is left is no data directory.
impl Drop for Filling<'_> {
    fn drop(&mut self) {
        if self.whole {
            return;
        }
        for file in self.manifest.files() {
            let _ = std::fs::remove_file(self.target.path().join(&file.name));
        }
        let _ = std::fs::remove_dir(self.target.keys());
    }
}

/// Checks that log and vault are whole, and belong together.
async fn check_stores(backup: &Layout, manifest: &Manifest) -> anyhow::Result<()> {
    let log = LogReader::Sqlite(SqliteLogReader::open(&backup.log()).await?);
    let verified = verify::with_bar(&log).await?;
    let (expected, found) = (manifest.position().0, verified.position.0);
    ensure!(expected == found, "the log of the backup ends at position {found}, expected {expected}");
    let (expected, found) = (manifest.log().0, log.id().0);
    ensure!(expected == found, "the log of the backup has the id {found}, expected {expected}");
    if manifest.files().iter().any(|file| backup.path().join(&file.name) == backup.vault()) {
        vault::sqlite::verify(&backup.vault(), log.id()).await?;
    }
    Ok(())
}

/// Copies all that belongs into a data directory, and makes log and vault those of a log of their own.
async fn fill(target: &Layout, backup: &Layout, manifest: &Manifest, id: LogId) -> anyhow::Result<()> {
    for file in manifest.files().iter().filter(|file| !is_configuration(file)) {
        let (from, to) = (backup.path().join(&file.name), target.path().join(&file.name));
        let parent = to.parent().unwrap_or(target.path());
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        std::fs::copy(&from, &to).with_context(|| format!("{} cannot be copied", from.display()))?;
        protect(&to)?;
        file.check(target.path())?;
        sync(&[parent])?;
    }
    sqlite::rename(&target.log(), id).await?;
    if target.vault().exists() {
        vault::sqlite::hand_over(&target.vault(), id).await?;
    }
    Ok(sync(&[target.path()])?)
}

fn is_configuration(file: &Entry) -> bool {
    Path::new(&file.name).file_stem().is_some_and(|stem| stem == CONFIGURATION)
}
