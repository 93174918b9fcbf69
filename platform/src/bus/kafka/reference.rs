//! A worker in miniature, to compare the bus with the log: a checkpoint for each partition, and the events it took.

use crate::bus::{Bus, Checkpoint, Delivery, Fit, partition};
use crate::event_log::memory::MemoryLog;
use crate::event_log::{
    Append, BodyHash, CommandId, Decision, Envelope, EventId, EventLog, LogId, NewEvent, Position, RecordedEvent,
    Revision, StreamId,
};
use crate::seam::{Seam, Timestamp};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

/// How long a test waits for anything.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

/// A log that is like no other.
pub(crate) fn log() -> Arc<MemoryLog> {
    Arc::new(MemoryLog::new(LogId(Seam::system().random_uuid())))
}

/// Appends so many events to each of so many streams, one stream after the other; all in one commit.
pub(crate) async fn write(log: &MemoryLog, streams: std::ops::Range<usize>, events: u64) {
    let before = log.head().await.unwrap().0;
    let mut batch = Vec::new();
    for number in streams {
        let stream = StreamId::new(&format!("stream-{number}"));
        let expected = Revision(log.read_stream(&stream, Revision(0), usize::MAX).await.unwrap().len() as u64);
        let command_id = CommandId(Uuid::from_u128((u128::from(before) + 1) << 64 | (number as u128) << 32));
        let event = |n: u64| {
            let n = u32::try_from(n).unwrap();
            let envelope = Envelope {
                id: EventId::of(command_id, n),
                command_id,
                body_hash: BodyHash([7; 32]),
                event_type: "Happened".to_owned(),
                version: 1,
                recorded_at: Timestamp(1_720_000_000_123_456),
                traceparent: String::new(),
            };
            NewEvent { envelope, data: format!("{{\"n\":{n},\"stream\":{number}}}").into() }
        };
        let decisions = vec![Decision { command_id, events: (0..events).map(event).collect() }];
        batch.push(Append { stream, expected, decisions });
    }
    log.append(batch).await.unwrap();
}

/// What was taken, and from where.
pub(crate) struct Reference {
    log: Arc<MemoryLog>,
    taken: Mutex<Vec<Taken>>,
    position: watch::Sender<Position>,
}

struct Taken {
    checkpoint: Checkpoint,
    events: Vec<RecordedEvent>,
    /// Events that the bus did not bring, so that they had to be read from the log.
    filled: usize,
}

/// Where a delivery comes from.
#[derive(Clone, Copy)]
enum From {
    Bus,
    Log,
}

impl Reference {
    pub(crate) fn of(log: &Arc<MemoryLog>, partitions: u16) -> Arc<Self> {
        let nothing = |partition| Taken {
            checkpoint: Checkpoint::start(log.id(), "reference".to_owned(), partition),
            events: Vec::new(),
            filled: 0,
        };
        let taken = Mutex::new((0..partitions).map(nothing).collect());
        Arc::new(Self { log: Arc::clone(log), taken, position: watch::Sender::default() })
    }

    /// Takes what comes until the bus ends; the first of it before this answers, so that what is written from now on is
    /// not in it.
    pub(crate) async fn follow(self: &Arc<Self>, mut bus: Box<dyn Bus>) -> JoinHandle<()> {
        for delivery in timeout(WITHIN, bus.next(2_000)).await.expect("the bus begins").unwrap() {
            self.take(delivery).await;
        }
        tokio::spawn(Arc::clone(self).run(bus))
    }

    /// Takes what comes until the bus ends.
    pub(crate) async fn run(self: Arc<Self>, mut bus: Box<dyn Bus>) {
        while let Ok(deliveries) = bus.next(2_000).await {
            for delivery in deliveries {
                self.take(delivery).await;
            }
        }
    }

    async fn take(&self, delivery: Delivery) {
        while self.apply(&delivery, From::Bus) == Fit::Ahead {
            let at = self.taken.lock().unwrap()[usize::from(delivery.partition)].checkpoint.position;
            let mut events = self.log.read_all(at, 1_000).await.unwrap();
            events.retain(|event| event.position <= delivery.after);
            let to = events.last().unwrap().position;
            let partitions = self.partitions();
            for missing in Delivery::of_partitions(self.log.id(), at, to, events, partitions) {
                if missing.partition == delivery.partition {
                    self.apply(&missing, From::Log);
                }
            }
        }
    }

    /// The checkpoint is compared and set under one lock: several feeds may bring the same.
    fn apply(&self, delivery: &Delivery, from: From) -> Fit {
        let mut all = self.taken.lock().unwrap();
        let taken = &mut all[usize::from(delivery.partition)];
        assert_eq!(delivery.log, taken.checkpoint.log);
        let fit = taken.checkpoint.fit(delivery);
        if fit == Fit::Next {
            taken.checkpoint.position = delivery.position;
            taken.events.extend(delivery.event.clone());
            taken.filled += usize::from(matches!(from, From::Log) && delivery.event.is_some());
        }
        let position = all.iter().map(|taken| taken.checkpoint.position).min().unwrap();
        drop(all);
        self.position.send_if_modified(|before| std::mem::replace(before, position) != position);
        fit
    }

    fn partitions(&self) -> u16 {
        u16::try_from(self.taken.lock().unwrap().len()).unwrap()
    }

    pub(crate) fn filled(&self) -> usize {
        self.taken.lock().unwrap().iter().map(|taken| taken.filled).sum()
    }

    /// Waits until every partition stands at the position.
    pub(crate) async fn wait_for(&self, position: Position) {
        let mut reached = self.position.subscribe();
        let reached = timeout(WITHIN, reached.wait_for(|reached| *reached >= position)).await;
        assert!(reached.is_ok(), "expected position {}, still at {}", position.0, self.position.borrow().0);
    }

    /// Waits until every partition stands at the log's end, and compares what was taken with the log: no event is
    /// missing, none is there twice, none is out of order, and none is another.
    pub(crate) async fn is_the_log(&self) {
        let head = self.log.head().await.unwrap();
        self.wait_for(head).await;
        let events = self.log.read_all(Position(0), usize::MAX).await.unwrap();
        let partitions = self.partitions();
        for (number, taken) in (0..).zip(self.taken.lock().unwrap().iter()) {
            let mine = |event: &&RecordedEvent| partition::partition(event.stream.as_str(), partitions) == number;
            assert!(events.iter().filter(mine).eq(&taken.events), "partition {number} is not what the log says");
        }
    }
}
