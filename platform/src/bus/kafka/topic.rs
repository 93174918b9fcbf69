//! The topic: made with what it needs, or refused where it is another.

use super::Settings;
use thiserror::Error;

/// Why there is no topic to use.
#[derive(Debug, Error)]
pub enum TopicError {
    /// The cluster did not answer as it should, for as long as was waited.
    #[error("the topic {topic} cannot be made or looked at: {reason}")]
    Unavailable {
        /// Its name.
        topic: String,
        /// What the cluster said last.
        reason: String,
    },
    /// The topic has another number of partitions.
    #[error(
        "the topic {topic} has {found} partitions, and {configured} are configured: which partition a stream belongs to \
         depends on their number, so configure {found}, or name another topic, to which the log is then relayed anew"
    )]
    Partitions {
        /// Its name.
        topic: String,
        /// How many it has.
        found: usize,
        /// How many it should have.
        configured: u16,
    },
}

/// Makes the topic, unless it is there; then it must have as many partitions as are configured.
pub async fn ensure(_settings: &Settings) -> Result<(), TopicError> {
    unimplemented!()
}
