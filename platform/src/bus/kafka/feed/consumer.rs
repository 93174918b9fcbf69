//! The consumer's thread: polls it, whatever the subscribers do, and hands over what it brings.

use super::assignment::{self, Assignment};
use super::subscriber::Inbox;
use super::{Mode, Shared};
use crate::bus::Delivery;
use crate::bus::kafka::{Settings, client};
use crate::bus::message::Found;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Messages that are handed over at once, and for how long they are collected. Nothing waits for more to come: while
/// the subscribers write, the next ones gather.
const BATCH: usize = 2_000;
const BATCH_WITHIN: Duration = Duration::from_millis(20);

/// How long the thread waits for a message before it looks whether it is stopped, or a full queue has room again.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOK_EVERY_WHILE_FULL: Duration = Duration::from_millis(5);

/// How long it is until there is a new consumer after one failed: at first, and at most.
const AGAIN_FIRST: Duration = Duration::from_millis(250);
const AGAIN_MOST: Duration = Duration::from_secs(10);

/// Reads until it is stopped, with a new consumer when one fails.
pub(super) fn run(shared: &Arc<Shared>, settings: &Settings, mode: &Mode, stop: &CancellationToken) {
    let _ends = EndsWithThis(shared);
    let mut reader = Reader { shared, settings, mode, stop, reported: BTreeSet::new(), again: AGAIN_FIRST };
    while let Err(error) = reader.read() {
        tracing::warn!(%error, again_ms = reader.again.as_millis(), "the consumer failed; there will be a new one");
        metrics::counter!("bus_failures_total").increment(1);
        let again_at = Instant::now() + reader.again;
        while !stop.is_cancelled() && Instant::now() < again_at {
            std::thread::sleep(LOOK_EVERY);
        }
        reader.again = (reader.again * 2).min(AGAIN_MOST);
    }
}

/// Tells the subscribers, also if the thread panics.
struct EndsWithThis<'a>(&'a Shared);

impl Drop for EndsWithThis<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

struct Reader<'a> {
    shared: &'a Arc<Shared>,
    settings: &'a Settings,
    mode: &'a Mode,
    stop: &'a CancellationToken,
    /// The partitions in which a message could not be taken: more of them are counted only.
    reported: BTreeSet<u16>,
    again: Duration,
}

/// What was polled, as far as it is deliveries, and where each partition goes on.
#[derive(Default)]
struct Batch {
    deliveries: Vec<Delivery>,
    messages: usize,
    next_offsets: BTreeMap<i32, i64>,
    /// The partitions of which something was passed over.
    passed_over: BTreeSet<u16>,
}

impl Reader<'_> {
    /// Reads until it is stopped, or the consumer fails.
    fn read(&mut self) -> Result<(), KafkaError> {
        if self.stop.is_cancelled() {
            return Ok(());
        }
        let consumer = Consuming { consumer: self.open()?, shared: self.shared };
        let consumer = &consumer.consumer;
        let mut paused: Option<BTreeSet<u16>> = None;
        while !self.stop.is_cancelled() {
            let wait = if paused.is_some() { LOOK_EVERY_WHILE_FULL } else { LOOK_EVERY };
            let batch = self.poll(consumer, wait)?;
            if batch.messages > 0 {
                self.hand_over(consumer, &batch);
            }
            paused = self.hold_back(consumer, paused)?;
        }
        Ok(())
    }

    fn open(&self) -> Result<BaseConsumer<Assignment>, KafkaError> {
        let group = match self.mode {
            Mode::Group(group) => group.as_str(),
            // Without a name nothing can be assigned; nobody joins a group of this one.
            Mode::All => "colophon.all",
        };
        let session_ms = self.settings.session_timeout.as_millis();
        let commit = if *self.mode == Mode::All { "false" } else { "true" };
        let consumer: BaseConsumer<Assignment> = client::config(self.settings)
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session_ms.to_string())
            .set("heartbeat.interval.ms", (session_ms / 4).to_string())
            // Nothing keeps the thread from polling for long: one that does not is as good as gone.
            .set("max.poll.interval.ms", (session_ms * 2).to_string())
            .set("enable.auto.commit", commit)
            .set("enable.auto.offset.store", "false")
            // Where the topic no longer has what comes next, everyone has to look into the log: never silently on.
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("queued.min.messages", "10000")
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.queue.backoff.ms", "20")
            .set("statistics.interval.ms", "10000")
            .create_with_context(Assignment::new(Arc::clone(self.shared)))?;
        match self.mode {
            Mode::Group(_) => consumer.subscribe(&[&self.settings.topic])?,
            Mode::All => {
                let mut all = TopicPartitionList::new();
                all.add_partition_range(&self.settings.topic, 0, i32::from(self.settings.partitions) - 1);
                assignment::begin(&consumer, &all, |partitions| consumer.assign(partitions))?;
            }
        }
        Ok(consumer)
    }

    /// What has come; waits a moment if that is nothing.
    fn poll(&mut self, consumer: &BaseConsumer<Assignment>, wait: Duration) -> Result<Batch, KafkaError> {
        let mut batch = Batch::default();
        let mut polled = consumer.poll(wait);
        let until = Instant::now() + BATCH_WITHIN;
        loop {
            if let Some(error) = consumer.context().failure() {
                return Err(error);
            }
            match polled {
                Some(Ok(message)) => self.take(&message, &mut batch),
                Some(Err(error)) => self.pass_over(error)?,
                None => return Ok(batch),
            }
            if batch.messages >= BATCH || Instant::now() >= until {
                return Ok(batch);
            }
            polled = consumer.poll(Duration::ZERO);
        }
    }

    fn take(&mut self, message: &BorrowedMessage<'_>, batch: &mut Batch) {
        batch.messages += 1;
        batch.next_offsets.insert(message.partition(), message.offset() + 1);
        match found(message).delivery(self.settings.partitions) {
            Ok(delivery) if delivery.log == self.shared.log.id() => batch.deliveries.push(delivery),
            Ok(_) => metrics::counter!("bus_of_another_log_total").increment(1),
            Err(error) => {
                metrics::counter!("bus_undecodable_total").increment(1);
                let Ok(partition) = u16::try_from(message.partition()) else { return };
                if self.reported.insert(partition) {
                    tracing::error!(%error, "this message is passed over, and what it should say read from the log");
                }
                batch.passed_over.insert(partition);
            }
        }
    }

    /// Goes on after an error that is not the consumer's end.
    fn pass_over(&self, error: KafkaError) -> Result<(), KafkaError> {
        match error {
            KafkaError::MessageConsumptionFatal(_)
            | KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopicOrPartition,
            ) => Err(error),
            _ => {
                tracing::debug!(%error, "the consumer goes on after an error");
                let assigned = self.shared.assigned.borrow().clone();
                self.shared.look_again(&assigned);
                Ok(())
            }
        }
    }

    fn hand_over(&mut self, consumer: &BaseConsumer<Assignment>, batch: &Batch) {
        self.shared.hand_over(&batch.deliveries);
        self.shared.look_again(&batch.passed_over);
        self.again = AGAIN_FIRST;
        metrics::counter!("bus_messages_total").increment(batch.messages as u64);
        metrics::counter!("bus_batches_total").increment(1);
        if *self.mode == Mode::All {
            return;
        }
        let mut offsets = TopicPartitionList::with_capacity(batch.next_offsets.len());
        for (partition, next) in &batch.next_offsets {
            // Fails for what cannot be an offset, and for partitions that others have by now: neither matters.
            drop(offsets.add_partition_offset(&self.settings.topic, *partition, Offset::Offset(*next)));
        }
        drop(consumer.store_offsets(&offsets));
    }

    /// Stops fetching while a subscriber is full. The consumer is polled all the same: it stays a member of its group,
    /// and answers when partitions are dealt out. Answers for which partitions it is paused.
    fn hold_back(
        &self,
        consumer: &BaseConsumer<Assignment>,
        paused: Option<BTreeSet<u16>>,
    ) -> Result<Option<BTreeSet<u16>>, KafkaError> {
        let assigned = self.shared.assigned.borrow().clone();
        match paused {
            None if self.shared.all(|inbox| !inbox.is_full()) => Ok(None),
            Some(_) if self.shared.all(Inbox::has_room) => {
                consumer.resume(&consumer.assignment()?)?;
                Ok(None)
            }
            Some(paused) if paused == assigned => Ok(Some(paused)),
            _ => {
                consumer.pause(&consumer.assignment()?)?;
                Ok(Some(assigned))
            }
        }
    }
}

/// A consumer, without which this process has no partitions.
struct Consuming<'a> {
    consumer: BaseConsumer<Assignment>,
    shared: &'a Shared,
}

impl Drop for Consuming<'_> {
    fn drop(&mut self) {
        let assigned = self.shared.assigned.borrow().clone();
        self.shared.lose(&assigned);
    }
}

fn found<'a>(message: &'a BorrowedMessage<'_>) -> Found<'a> {
    let headers = message
        .headers()
        .map(|headers| headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect::<Vec<_>>());
    Found {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key(),
        headers: headers.unwrap_or_default(),
        payload: message.payload(),
    }
}
