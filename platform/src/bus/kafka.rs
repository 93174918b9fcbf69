//! Kafka as the bus: one topic, whose partitions hold the streams' events in order.

mod client;
pub mod feed;
pub mod producer;
#[cfg(test)]
pub(crate) mod reference;
#[cfg(test)]
pub(crate) mod scratch;
#[cfg(test)]
mod tests;
pub mod topic;

use std::time::Duration;

/// The largest message that the topic takes, in bytes: an event and its headers.
const MESSAGE_BYTES: usize = 8 << 20;

/// Which topic of which cluster, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the cluster is reached, such as `127.0.0.1:9092,127.0.0.2:9092`.
    pub brokers: String,
    /// The topic's name.
    pub topic: String,
    /// How many partitions it has, from its creation on: the partition of a stream depends on it.
    pub partitions: u16,
    /// How many brokers hold each partition.
    pub replication: u16,
    /// How long the topic keeps messages. What it no longer has, workers read from the log.
    pub retention: Duration,
    /// How long a member of a consumer group may be silent before its partitions go to the others. Brokers take 6 s to
    /// 30 min, unless they are told otherwise.
    pub session_timeout: Duration,
}

impl Settings {
    /// The topic `colophon.events` with 12 partitions on one broker each, and what else is usual.
    pub fn new(brokers: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            topic: "colophon.events".to_owned(),
            partitions: 12,
            replication: 1,
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            session_timeout: Duration::from_secs(8),
        }
    }
}
