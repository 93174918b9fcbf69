//! The producer: sends deliveries, and waits until the cluster has all of them.

use super::client::{Reports, config};
use super::{MESSAGE_BYTES, Settings};
use crate::bus::Delivery;
use crate::bus::message::Message;
use crate::event_log::StreamId;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::{DeliveryFuture, FutureProducer, FutureRecord};

/// What the producer keeps of what is not acknowledged yet, in KiB.
const QUEUE_KIB: usize = 64 << 10;

/// A producer that keeps the order of each partition. After an error it is not used again: what it was given since may
/// have been written or not.
pub struct Producer {
    producer: FutureProducer<Reports>,
    topic: String,
}

impl Producer {
    /// A new one, whose numbers for its messages begin anew.
    pub fn open(settings: &Settings) -> Result<Self, KafkaError> {
        let producer = config(settings)
            // Whatever is sent again is written once, and in its place.
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("max.in.flight.requests.per.connection", "5")
            // A message that timed out would be left out, and what follows it written all the same.
            .set("message.timeout.ms", "0")
            .set("request.timeout.ms", "10000")
            .set("linger.ms", "1")
            .set("compression.type", "lz4")
            .set("message.max.bytes", MESSAGE_BYTES.to_string())
            .set("queue.buffering.max.kbytes", QUEUE_KIB.to_string())
            .create_with_context(Reports::default())?;
        Ok(Self { producer, topic: settings.topic.clone() })
    }

    /// Sends deliveries, each partition's in this order. When this answers `Ok`, the cluster has all of them. It waits
    /// for a cluster that is away, however long.
    pub async fn send(&self, deliveries: &[Delivery]) -> Result<(), KafkaError> {
        let sent: Result<Vec<_>, _> = deliveries.iter().map(|delivery| self.begin(delivery)).collect();
        for acknowledgement in sent? {
            acknowledgement.await.map_err(|_| KafkaError::Canceled)?.map_err(|(error, _)| error)?;
        }
        Ok(())
    }

    fn begin(&self, delivery: &Delivery) -> Result<DeliveryFuture, KafkaError> {
        let Message { partition, key, headers, payload } = Message::of(delivery);
        let with_header = |all: OwnedHeaders, (name, value): &(&str, String)| {
            all.insert(Header { key: name, value: Some(value.as_bytes()) })
        };
        let headers = headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), with_header);
        let record: FutureRecord<'_, str, [u8]> = FutureRecord {
            topic: &self.topic,
            partition: Some(partition.into()),
            payload: payload.as_deref(),
            key: key.as_ref().map(StreamId::as_str),
            timestamp: None,
            headers: Some(headers),
        };
        self.producer.send_result(record).map_err(|(error, _)| error)
    }

    /// Ends it; what is not acknowledged yet may be written or not.
    pub async fn close(self) {
        // librdkafka's threads are waited for.
        drop(tokio::task::spawn_blocking(move || drop(self)).await);
    }
}
