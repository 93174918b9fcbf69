//! The topic: made with what it needs, or refused where it is another.

use super::client::{Reports, config};
use super::{MESSAGE_BYTES, Settings};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::time::{Instant, sleep};

/// How long a cluster that is not ready is waited for, and how long between two attempts.
const WITHIN: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// How long one request may take.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no topic to use.
#[derive(Debug, Error)]
pub enum TopicError {
    /// The cluster did not answer as it should, for as long as was waited.
    #[error("the topic {topic} cannot be made or looked at: {reason}")]
    Unavailable {
        /// Its name.
        topic: String,
        /// What was wrong last.
        reason: KafkaError,
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

/// Makes the topic, unless it is there; then it must have as many partitions as are configured. A cluster that is not
/// ready is waited for, a minute at most.
pub async fn ensure(settings: &Settings) -> Result<(), TopicError> {
    let deadline = Instant::now() + WITHIN;
    loop {
        let reason = match look(settings).await {
            Ok(found) if found == usize::from(settings.partitions) => return Ok(()),
            Ok(found) => {
                let (topic, configured) = (settings.topic.clone(), settings.partitions);
                return Err(TopicError::Partitions { topic, found, configured });
            }
            Err(reason) => reason,
        };
        if Instant::now() + PAUSE >= deadline {
            return Err(TopicError::Unavailable { topic: settings.topic.clone(), reason });
        }
        tracing::debug!(topic = settings.topic, %reason, "the topic is not ready");
        sleep(PAUSE).await;
    }
}

/// Makes the topic if it is not there, and answers how many partitions it has.
async fn look(settings: &Settings) -> Result<usize, KafkaError> {
    let admin: AdminClient<Reports> = config(settings).create_with_context(Reports::default())?;
    let admin = Arc::new(admin);
    let retention_ms = settings.retention.as_millis().to_string();
    let message_bytes = MESSAGE_BYTES.to_string();
    // With two in sync, one broker of three may be away; with fewer than three, one would stop everything.
    let in_sync = if settings.replication >= 3 { "2" } else { "1" };
    let replication = TopicReplication::Fixed(settings.replication.into());
    let topic = NewTopic::new(&settings.topic, settings.partitions.into(), replication)
        .set("cleanup.policy", "delete")
        .set("retention.ms", &retention_ms)
        .set("max.message.bytes", &message_bytes)
        .set("min.insync.replicas", in_sync);
    let options = AdminOptions::new().request_timeout(Some(REQUEST_WITHIN)).operation_timeout(Some(REQUEST_WITHIN));
    // It is made before it is looked at: a cluster that makes topics by itself would make it by being asked.
    for made in admin.create_topics([&topic], &options).await? {
        match made {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(KafkaError::AdminOp(code)),
        }
    }
    let name = settings.topic.clone();
    let looked = tokio::task::spawn_blocking(move || partitions(&admin, &name)).await;
    looked.unwrap_or(Err(KafkaError::Canceled))
}

fn partitions(admin: &AdminClient<Reports>, name: &str) -> Result<usize, KafkaError> {
    let metadata = admin.inner().fetch_metadata(Some(name), REQUEST_WITHIN)?;
    let topic = metadata.topics().iter().find(|topic| topic.name() == name);
    let topic = topic.ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopic))?;
    match topic.error() {
        Some(error) => Err(KafkaError::MetadataFetch(error.into())),
        None if topic.partitions().iter().any(|partition| partition.leader() < 0) => {
            Err(KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable))
        }
        None => Ok(topic.partitions().len()),
    }
}
