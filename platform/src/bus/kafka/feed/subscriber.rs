//! Who takes what a feed brings: a queue with a bound, and which partitions' starts are still to be told.

use crate::bus::{Bus, BusError, Delivery};
use crate::event_log::{EventLog, Position};
use futures_util::future::{BoxFuture, FutureExt};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

/// Deliveries that may wait, and bytes of their events' data; what the consumer has in hand may come on top.
const DELIVERIES: usize = 8_000;
const BYTES: usize = 16 << 20;

/// How long the log may take to say how far it is, and when it is asked again.
const LOG_WITHIN: Duration = Duration::from_secs(5);
const LOG_AGAIN: Duration = Duration::from_secs(1);

/// What waits for a subscriber.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    /// The partitions whose start is to be told, and when that was found out.
    starts: BTreeMap<u16, Ticket>,
    last: Ticket,
    ended: bool,
}

/// Counts the times that starts were to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Ticket(u64);

impl Inbox {
    /// It has to be told how far the log is in these partitions.
    pub(super) fn begin(&self, partitions: &BTreeSet<u16>) {
        let mut waiting = self.waiting();
        waiting.last.0 += 1;
        let ticket = waiting.last;
        waiting.starts.extend(partitions.iter().map(|partition| (*partition, ticket)));
        self.changed.notify_one();
    }

    pub(super) fn add(&self, deliveries: &[Delivery]) {
        let mut waiting = self.waiting();
        waiting.bytes += deliveries.iter().map(bytes).sum::<usize>();
        waiting.deliveries.extend(deliveries.iter().cloned());
        self.changed.notify_one();
    }

    pub(super) fn end(&self) {
        self.waiting().ended = true;
        self.changed.notify_one();
    }

    /// Whether no more should come.
    pub(super) fn is_full(&self) -> bool {
        let waiting = self.waiting();
        waiting.deliveries.len() >= DELIVERIES || waiting.bytes >= BYTES
    }

    /// Whether it is worth while to let more come.
    pub(super) fn has_room(&self) -> bool {
        let waiting = self.waiting();
        waiting.deliveries.len() <= DELIVERIES / 2 && waiting.bytes <= BYTES / 2
    }

    fn take(&self, limit: usize) -> Vec<Delivery> {
        let mut waiting = self.waiting();
        let count = limit.min(waiting.deliveries.len());
        let taken: Vec<_> = waiting.deliveries.drain(..count).collect();
        waiting.bytes -= taken.iter().map(bytes).sum::<usize>();
        taken
    }

    /// Until when starts have been found out that are to be told, if there are any.
    fn to_tell(&self) -> Option<Ticket> {
        let waiting = self.waiting();
        (!waiting.starts.is_empty()).then_some(waiting.last)
    }

    /// The partitions that had to be told until then; they are told by this.
    fn tell(&self, until: Ticket, limit: usize) -> Vec<u16> {
        let mut waiting = self.waiting();
        let due = waiting.starts.iter().filter(|(_, ticket)| **ticket <= until);
        let due: Vec<_> = due.map(|(partition, _)| *partition).take(limit).collect();
        waiting.starts.retain(|partition, _| !due.contains(partition));
        due
    }

    fn is_ended(&self) -> bool {
        self.waiting().ended
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(delivery: &Delivery) -> usize {
    delivery.event.as_ref().map_or(0, |event| event.data.len())
}

/// A feed's deliveries for one view.
pub(super) struct Subscriber {
    inbox: Arc<Inbox>,
    log: Arc<dyn EventLog>,
    /// When the log is asked again, if it did not answer.
    again_at: Option<Instant>,
}

impl Subscriber {
    pub(super) fn new(inbox: Arc<Inbox>, log: Arc<dyn EventLog>) -> Self {
        Self { inbox, log, again_at: None }
    }

    async fn deliveries(&mut self, limit: usize) -> Result<Vec<Delivery>, BusError> {
        loop {
            if let Some(until) = self.inbox.to_tell()
                && self.again_at.is_none_or(|again_at| again_at <= Instant::now())
                && let Some(head) = self.head().await
            {
                let starts = self.inbox.tell(until, limit).into_iter().map(|partition| self.start(partition, head));
                return Ok(starts.collect());
            }
            let deliveries = self.inbox.take(limit);
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
            if self.inbox.is_ended() {
                return Err(BusError("the feed was stopped".to_owned()));
            }
            let again_at = self.again_at;
            tokio::select! {
                () = self.inbox.changed.notified() => {}
                () = async { sleep_until(again_at.unwrap_or_else(Instant::now)).await }, if again_at.is_some() => {}
            }
        }
    }

    /// How far the log is. That is asked after the partitions' starts were fixed, so nothing lies between.
    async fn head(&mut self) -> Option<Position> {
        let error = match timeout(LOG_WITHIN, self.log.head()).await {
            Ok(Ok(head)) => {
                self.again_at = None;
                return Some(head);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {LOG_WITHIN:?}"),
        };
        if self.again_at.is_none() {
            tracing::warn!(error, "the log does not say how far it is; views that are behind have to wait for that");
        }
        self.again_at = Some(Instant::now() + LOG_AGAIN);
        None
    }

    fn start(&self, partition: u16, head: Position) -> Delivery {
        Delivery { log: self.log.id(), partition, after: head, position: head, event: None }
    }
}

impl Bus for Subscriber {
    fn next(&mut self, limit: usize) -> BoxFuture<'_, Result<Vec<Delivery>, BusError>> {
        self.deliveries(limit).boxed()
    }
}

#[cfg(test)]
mod tests;
