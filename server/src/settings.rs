//! The configuration: every key with its default.

use crate::cli::{Global, say};
use anyhow::Context;
use command_side::aggregates;
use command_side::dispatcher;
use deployment::{Cluster, Deployment, Kafka, Postgres};
use domain::money::Currency;
use gateway::front_door;
use platform::data_directory::Layout;
use platform::http_server;
use platform::identity::Realm;
use platform::identity::signing_key::SigningKey;
use platform::telemetry;
use platform::webhook::Secret;
use serde::{Deserialize, Deserializer, Serialize};
use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

pub mod deployment;
#[cfg(test)]
mod tests;

/// Every key, its default and its unit, as a file that `--config` takes.
const EXAMPLE: &str = include_str!("settings/example.toml");

/// The configuration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where everything is kept.
    pub data_dir: Option<PathBuf>,
    /// How requests come in.
    pub server: Server,
    /// What is logged, and how.
    pub logging: Logging,
    /// Whose tokens are valid.
    pub auth: Auth,
    /// About the catalogue.
    pub catalogue: Catalogue,
    /// About orders.
    pub orders: Orders,
    /// About payments.
    pub payments: Payments,
    /// How much the command side takes on.
    pub commands: Commands,
    /// How much the query side takes on.
    pub queries: Queries,
    /// The database of the distributed form.
    pub postgres: Postgres,
    /// The broker of the distributed form.
    pub kafka: Kafka,
    /// How nodes speak to each other.
    pub cluster: Cluster,
}

/// How requests come in.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// Connections at once.
    pub connections: NonZeroUsize,
    /// Requests handled at once.
    pub requests_in_flight: NonZeroUsize,
}

impl Default for Server {
    fn default() -> Self {
        let connections = http_server::Settings::default().connections_max;
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            connections: NonZeroUsize::new(connections).expect("the default is not zero"),
            requests_in_flight: NonZeroUsize::new(front_door::Limits::default().requests_in_flight)
                .expect("the default is not zero"),
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Logging {
    /// For people or for machines.
    pub format: LogFormat,
    /// A level, or `target=level` pairs.
    pub filter: String,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people at a terminal.
    Human,
    /// One JSON object per line.
    Json,
}

impl Default for Logging {
    fn default() -> Self {
        Self { format: LogFormat::Human, filter: "info".to_owned() }
    }
}

/// Whose tokens are valid.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Whether reads of books and stock need no token.
    pub public_reads: bool,
    /// The key that signs tokens; by default one of the data directory's own.
    pub signing_key_file: Option<PathBuf>,
    /// `iss` of tokens.
    pub issuer: String,
    /// `aud` of tokens.
    pub audience: String,
}

impl Default for Auth {
    fn default() -> Self {
        let name = || "colophon".to_owned();
        Self { public_reads: true, signing_key_file: None, issuer: name(), audience: name() }
    }
}

/// About the catalogue.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Catalogue {
    /// Of prices in imported files.
    #[serde(deserialize_with = "currency")]
    pub currency: Currency,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self { currency: Currency::parse("CNY").expect("CNY is a currency") }
    }
}

/// About orders.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Orders {
    /// How long the copies of an order are held until it is paid, in seconds.
    pub hold_s: NonZeroU64,
}

impl Default for Orders {
    fn default() -> Self {
        Self { hold_s: NonZeroU64::new(900).expect("the default is not zero") }
    }
}

/// About payments.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Payments {
    /// What callbacks are signed with; by default a secret of the data directory's own.
    pub webhook_secret: Option<Hidden>,
    /// Whether a provider that is none pays every order by itself.
    pub sandbox: bool,
}

/// A text that is shown nowhere. It is written only where a process of the same user reads it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Hidden(pub String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("…")
    }
}

/// How much the command side takes on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Commands {
    /// Aggregates kept in memory.
    pub cached_streams: NonZeroUsize,
    /// Commands under way at once.
    pub queue_depth: NonZeroUsize,
    /// How long a command may take to be decided, in milliseconds.
    pub answer_ms: NonZeroU64,
}

impl Default for Commands {
    fn default() -> Self {
        let dispatcher::Settings { limits, answer_within, .. } = dispatcher::Settings::default();
        let answer_ms = u64::try_from(answer_within.as_millis()).unwrap_or(u64::MAX);
        Self {
            cached_streams: NonZeroUsize::new(limits.cached_streams).expect("the default is not zero"),
            queue_depth: NonZeroUsize::new(limits.queue_depth).expect("the default is not zero"),
            answer_ms: NonZeroU64::new(answer_ms).expect("the default is not zero"),
        }
    }
}

/// How much the query side takes on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queries {
    /// How long a read waits for the position that it asks for, in milliseconds.
    pub wait_ms: u64,
    /// Bytes of book bodies kept in memory.
    pub book_cache_bytes: u64,
}

impl Default for Queries {
    fn default() -> Self {
        let query_api::routes::Limits { wait, book_cache_bytes } = query_api::routes::Limits::default();
        Self { wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), book_cache_bytes }
    }
}

fn currency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Currency, D::Error> {
    let code = String::deserialize(deserializer)?;
    Currency::parse(&code).map_err(serde::de::Error::custom)
}

impl Settings {
    /// The configuration that the command line names.
    pub fn load(global: &Global) -> anyhow::Result<Self> {
        let mut settings: Self = platform::configuration::load(global.config.as_deref())?;
        telemetry::check_filter(&settings.logging.filter).context("`logging.filter`")?;
        if global.data_dir.is_some() {
            settings.data_dir.clone_from(&global.data_dir);
        }
        if settings.postgres.url.is_none()
            && let Some(node) = Deployment::read(&Layout::of(&settings.data_directory()).deployment())?
        {
            Deployment { postgres: settings.postgres, kafka: settings.kafka, cluster: settings.cluster } = node;
        }
        Ok(settings)
    }

    /// What this process shares with others.
    pub fn deployment(&self) -> Deployment {
        Deployment { postgres: self.postgres.clone(), kafka: self.kafka.clone(), cluster: self.cluster.clone() }
    }

    /// Where everything is kept.
    pub fn data_directory(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| "colophon-data".into())
    }

    /// Whose tokens these are, and for whom.
    pub fn realm(&self) -> Realm {
        Realm { issuer: self.auth.issuer.clone(), audience: self.auth.audience.clone() }
    }

    pub(crate) fn dispatcher(&self) -> dispatcher::Settings {
        let defaults = dispatcher::Settings::default();
        dispatcher::Settings {
            limits: aggregates::Limits {
                cached_streams: self.commands.cached_streams.get(),
                queue_depth: self.commands.queue_depth.get(),
                ..defaults.limits
            },
            answer_within: Duration::from_millis(self.commands.answer_ms.get()),
            ..defaults
        }
    }

    pub(crate) fn front_door(&self) -> front_door::Limits {
        front_door::Limits { requests_in_flight: self.server.requests_in_flight.get(), ..front_door::Limits::default() }
    }

    pub(crate) fn http_server(&self) -> http_server::Settings {
        http_server::Settings { connections_max: self.server.connections.get(), ..http_server::Settings::default() }
    }

    pub(crate) fn hold(&self) -> Duration {
        Duration::from_secs(self.orders.hold_s.get())
    }

    pub(crate) fn queries(&self) -> query_api::routes::Limits {
        query_api::routes::Limits {
            wait: Duration::from_millis(self.queries.wait_ms),
            book_cache_bytes: self.queries.book_cache_bytes,
        }
    }
}

impl From<LogFormat> for telemetry::Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Human => Self::Human,
            LogFormat::Json => Self::Json,
        }
    }
}

/// `colophon config check`.
pub fn check(global: &Global) -> anyhow::Result<()> {
    let settings = Settings::load(global)?;
    if let Some(path) = &settings.auth.signing_key_file {
        SigningKey::load(path).context("`auth.signing_key_file`")?;
    }
    if let Some(Hidden(secret)) = &settings.payments.webhook_secret {
        Secret::parse(secret).context("`payments.webhook_secret`")?;
    }
    Ok(say("the configuration is valid")?)
}

/// `colophon config example`.
pub fn print_example() -> anyhow::Result<()> {
    Ok(say(EXAMPLE.trim_end())?)
}
