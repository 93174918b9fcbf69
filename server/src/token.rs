//! `colophon token`: prints a signed token.

use crate::cli::{Global, TokenOptions, say};
use crate::role::signing_key;
use crate::settings::Settings;
use platform::data_directory::{DataDirectory, DataDirectoryError, Layout};
use platform::seam::Seam;

/// Runs the command.
pub fn run(global: &Global, options: &TokenOptions) -> anyhow::Result<()> {
    let settings = Settings::load(global)?;
    let directory = settings.data_directory();
    // The directory's own key may have to be made, and the directory for it; a running server has both already.
    let _held = match settings.auth.signing_key_file.is_none().then(|| DataDirectory::open(&directory)) {
        Some(Err(error)) if !matches!(error, DataDirectoryError::InUse { .. }) => return Err(error.into()),
        held => held,
    };
    let key = signing_key(&settings, &Layout::of(&directory))?;
    let now = Seam::system().clock.now();
    Ok(say(key.sign(&settings.realm(), &options.subject, &options.roles, options.ttl, now))?)
}
