//! Configuration: defaults, then one file, then the environment, read as strictly as a command.

use config::{Config, ConfigError, Environment, File, FileFormat};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

#[cfg(test)]
mod tests;

/// What the names of our environment variables begin with: `COLOPHON_SECTION__KEY`.
const PREFIX: &str = "COLOPHON";

/// Why there is no configuration. A message names keys and kinds, never values: they may be secrets.
#[derive(Debug, Error)]
pub enum ConfigurationError {
    /// The file is not there, or not to be read.
    #[error("the configuration file {} cannot be read: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file's name does not say what it holds.
    #[error("the configuration file {} ends neither in .toml nor in .yaml or .yml", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
    },
    /// The file is not well-formed.
    #[error("the configuration file {} is not well-formed: {reason}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// A key is unknown or missing, or its value is not what it should be.
    #[error("{place}: `{key}`: {reason}")]
    Key {
        /// The variable or file that the key stands in.
        place: String,
        /// The key, with the sections it is in.
        key: String,
        /// What was expected, and what was found.
        reason: String,
    },
}

/// The configuration of `file`, where there is one, with the environment's variables over it.
///
/// What neither names is up to the type's defaults; `#[serde(deny_unknown_fields)]` on it makes a misspelt key an error.
pub fn load<T: DeserializeOwned>(file: Option<&Path>) -> Result<T, ConfigurationError> {
    load_with(
        file,
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    )
}

/// The same with another environment than the process's.
pub fn load_with<T: DeserializeOwned>(
    file: Option<&Path>,
    environment: HashMap<String, String>,
) -> Result<T, ConfigurationError> {
    let mut sources = Config::builder();
    if let Some(path) = file {
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => FileFormat::Toml,
            Some("yaml" | "yml") => FileFormat::Yaml,
            _ => return Err(ConfigurationError::Format { path: path.to_owned() }),
        };
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigurationError::File { path: path.to_owned(), source })?;
        // Built alone first, so that whatever fails here is the file's syntax.
        let file = File::from_str(&text, format);
        Config::builder()
            .add_source(file.clone())
            .build()
            .map_err(|error| ConfigurationError::Syntax { path: path.to_owned(), reason: without_excerpt(&error) })?;
        sources = sources.add_source(file);
    }
    let variables = Environment::with_prefix(PREFIX).prefix_separator("_").separator("__");
    let sources = sources.add_source(variables.source(Some(environment.clone().into_iter().collect()))).build();
    let place = |key: &str| match (environment.keys().find(|name| name.eq_ignore_ascii_case(&variable(key))), file) {
        (Some(name), _) => format!("environment variable {name}"),
        (None, Some(path)) => format!("configuration file {}", path.display()),
        (None, None) => "configuration".to_owned(),
    };
    let sources = sources.map_err(|error| ConfigurationError::Key {
        place: "environment".to_owned(),
        key: PREFIX.to_owned(),
        reason: without_excerpt(&error),
    })?;
    serde_path_to_error::deserialize(sources).map_err(|error| {
        let mut key = error.path().to_string();
        if let ConfigError::NotFound(missing) = innermost(error.inner()) {
            let missing = missing.rsplit('.').next().unwrap_or_default();
            key = if key == "." { missing.to_owned() } else { format!("{key}.{missing}") };
        }
        ConfigurationError::Key { place: place(&key), reason: reason(innermost(error.inner())), key }
    })
}

/// The variable that sets a key.
fn variable(key: &str) -> String {
    format!("{PREFIX}_{}", key.replace('.', "__").to_uppercase())
}

fn innermost(error: &ConfigError) -> &ConfigError {
    match error {
        ConfigError::At { error, .. } => innermost(error),
        error => error,
    }
}

fn reason(error: &ConfigError) -> String {
    match error {
        ConfigError::NotFound(_) => "this key is missing".to_owned(),
        ConfigError::Type { unexpected, expected, .. } => {
            let found = unexpected.to_string();
            let kind = found.split(['`', '"']).next().unwrap_or_default().trim();
            format!("expected {expected}, found {kind}")
        }
        // What is quoted is the value.
        error => error.to_string().split('"').step_by(2).collect::<Vec<_>>().join("…"),
    }
}

/// A parser's message without the lines that quote the file.
fn without_excerpt(error: &ConfigError) -> String {
    let message = error.to_string();
    let quoted = |line: &&str| {
        line.trim_start_matches(|character: char| character.is_ascii_digit() || character == ' ').starts_with('|')
    };
    let told: Vec<&str> =
        message.lines().filter(|line| !quoted(line)).map(str::trim).filter(|line| !line.is_empty()).collect();
    told.join(": ")
}
