//! Which partitions a consumer has: where it begins in them, and who is told.

use super::Shared;
use crate::bus::kafka::client::Reports;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the cluster may take to say where partitions end. The group waits meanwhile.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// What a consumer does when the group deals out partitions.
pub(super) struct Assignment {
    shared: Arc<Shared>,
    reports: Reports,
    failure: Mutex<Option<KafkaError>>,
}

impl Assignment {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, reports: Reports::default(), failure: Mutex::default() }
    }

    /// Why partitions that the group gave could not be begun.
    pub(super) fn failure(&self) -> Option<KafkaError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Begins to read partitions at their ends. The ends are fixed here: left to librdkafka, they would be looked up at some
/// time after the log was asked how far it is, and what came between would reach nobody.
pub(super) fn begin(
    consumer: &BaseConsumer<Assignment>,
    partitions: &TopicPartitionList,
    assign: impl Fn(&TopicPartitionList) -> Result<(), KafkaError>,
) -> Result<(), KafkaError> {
    let mut ends = partitions.clone();
    if ends.count() == 0 {
        // A member may get nothing, and that is to be answered too.
        return assign(&ends);
    }
    // Asked for the time -1, a broker answers the partition's end: one request for all partitions.
    ends.set_all_offsets(Offset::End)?;
    let ends = consumer.offsets_for_times(ends, ENDS_WITHIN)?;
    for end in ends.elements() {
        end.error()?;
        if !matches!(end.offset(), Offset::Offset(_)) {
            return Err(KafkaError::OffsetFetch(RDKafkaErrorCode::NoOffset));
        }
    }
    assign(&ends)?;
    consumer.context().shared.gain(&numbers(partitions));
    Ok(())
}

fn numbers(partitions: &TopicPartitionList) -> BTreeSet<u16> {
    partitions.elements().iter().filter_map(|element| u16::try_from(element.partition()).ok()).collect()
}

impl ConsumerContext for Assignment {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        metrics::counter!("bus_rebalances_total").increment(1);
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let assign = |partitions: &TopicPartitionList| {
            if cooperative { consumer.incremental_assign(partitions) } else { consumer.assign(partitions) }
        };
        let done = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            begin(consumer, partitions, assign).inspect_err(|_| {
                // The group has to hear something; this consumer is given up before it reads.
                drop(assign(partitions));
            })
        } else {
            self.shared.lose(&numbers(partitions));
            if cooperative { consumer.incremental_unassign(partitions) } else { consumer.unassign() }
        };
        if let Err(error) = done {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        let partitions = self.shared.assigned.borrow().clone();
        tracing::info!(?partitions, "the group has dealt out partitions");
    }
}

impl ClientContext for Assignment {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.reports.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reports.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let assigned = self.shared.assigned.borrow().clone();
        for partition in statistics.topics.values().flat_map(|topic| topic.partitions.values()) {
            let ours = u16::try_from(partition.partition).is_ok_and(|number| assigned.contains(&number));
            if ours && partition.consumer_lag >= 0 {
                let labels = [("partition", partition.partition.to_string())];
                metrics::gauge!("kafka_lag_messages", &labels).set(partition.consumer_lag as f64);
            }
        }
    }
}
