//! The feed: what comes from the topic, handed to every view of this process.

use super::Settings;
use crate::bus::Bus;
use crate::event_log::EventLog;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Which partitions a feed reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Its share of them, as a member of the consumer group of this name.
    Group(String),
    /// All of them, by itself.
    All,
}

/// A consumer of the topic, and who takes what it brings.
pub struct Feed {}

impl Feed {
    /// Reads the topic until it is stopped, or the feed is dropped.
    pub fn start(_settings: Settings, _mode: Mode, _log: Arc<dyn EventLog>, _stop: CancellationToken) -> Arc<Self> {
        unimplemented!()
    }

    /// All deliveries of the partitions that this feed has, from now on. First, and whenever it gets a partition, comes
    /// how far the log is in it: who has not come that far reads what lies between from the log.
    pub fn subscribe(&self) -> Box<dyn Bus> {
        unimplemented!()
    }

    /// The partitions that this feed has.
    pub fn assigned(&self) -> watch::Receiver<BTreeSet<u16>> {
        unimplemented!()
    }
}
