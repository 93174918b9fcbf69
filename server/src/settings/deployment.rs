//! What a process of the distributed form shares with the others: the database, the broker, and how nodes speak.

use super::Hidden;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU64};
use std::path::Path;
use std::time::Duration;

/// The database of log, vault and views.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Postgres {
    /// Where it is; none in the embedded form. It may hold a password.
    pub url: Option<Hidden>,
}

/// The broker that fans events out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kafka {
    /// Where brokers are, separated by commas.
    pub brokers: Option<String>,
    /// The topic of all events.
    pub topic: String,
    /// Its partitions, fixed when it is made.
    pub partitions: NonZeroU16,
    /// Its replicas, when it is made.
    pub replication: NonZeroU16,
    /// How long it keeps events, in hours, when it is made. What it no longer has, views take from the log.
    pub retention_h: NonZeroU64,
    /// After how long without a sign of life a worker's partitions go to others, in milliseconds.
    pub session_ms: NonZeroU16,
}

impl Default for Kafka {
    fn default() -> Self {
        let some = |number| NonZeroU16::new(number).expect("the default is not zero");
        Self {
            brokers: None,
            topic: "colophon.events".to_owned(),
            partitions: some(12),
            replication: some(1),
            retention_h: NonZeroU64::new(168).expect("the default is not zero"),
            session_ms: some(6_000),
        }
    }
}

/// How nodes speak to each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// Where this node takes commands from others.
    pub listen: SocketAddr,
    /// Where others reach it, if that is another address.
    pub advertise: Option<String>,
    /// What nodes prove to each other that they know.
    pub secret: Option<Hidden>,
    /// How long a lease is good without being renewed, in milliseconds.
    pub lease_ms: NonZeroU16,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7070)),
            advertise: None,
            secret: None,
            lease_ms: NonZeroU16::new(2_500).expect("the default is not zero"),
        }
    }
}

impl Cluster {
    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(u64::from(self.lease_ms.get()))
    }
}

/// What a data directory of a node remembers of it, so that tools that are given the directory find the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// The database.
    pub postgres: Postgres,
    /// The broker.
    pub kafka: Kafka,
    /// The other nodes.
    pub cluster: Cluster,
}

impl Deployment {
    /// What the directory of a node says; none if it is not one's.
    pub fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let cannot = || format!("{} cannot be read", path.display());
        let text = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.with_context(cannot)?,
        };
        Ok(Some(serde_json::from_slice(&text).with_context(cannot)?))
    }

    /// Writes it where tools look.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    }
}
