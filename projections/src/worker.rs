//! The worker: takes deliveries that fit, folds them, and writes rows and checkpoint in one transaction.

mod batch;
#[cfg(test)]
mod tests;

use crate::view::View;
use batch::Batch;
use platform::bus::{Bus, BusError, Checkpoint, Delivery, Fit};
use platform::event_log::LogId;
use platform::view_store::{Change, StoreError, ViewStore};
use schemas::views::Row;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Deliveries taken at once.
const BATCH: usize = 2_000;

/// How long a partition may get deliveries of which none continues it, before that is reported.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// Why a worker ended without being asked to. Whoever owns it starts another one.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// There are no deliveries.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The rows could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Builds one view from all partitions of a bus.
pub struct Worker<S> {
    /// Where events come from.
    pub bus: Box<dyn Bus>,
    /// Where rows go.
    pub store: Arc<S>,
}

/// How far a partition has come, and since when there is a gap behind it.
struct Partition {
    checkpoint: Checkpoint,
    gap_since: Option<Instant>,
    reported: bool,
}

impl<S: ViewStore> Worker<S> {
    /// Works until it is stopped.
    pub async fn run<V: View>(mut self, stop: CancellationToken) -> Result<(), WorkerError> {
        let view = V::Row::NAME;
        let mut partitions = partitions(self.store.as_ref(), view).await?;
        let parked = self.store.parked(view).await?;
        let mut parked: HashSet<String> = parked.into_iter().map(|parked| parked.stream).collect();
        metrics::gauge!("projection_parked_streams", "view" => view).set(parked.len() as f64);
        while let Some(deliveries) = stop.run_until_cancelled(self.bus.next(BATCH)).await {
            for (number, deliveries) in by_partition(deliveries?) {
                let Some(partition) = partitions.get_mut(&number) else {
                    tracing::error!(view, partition = number, "the view does not know this partition");
                    continue;
                };
                let fitting = partition.fitting(&deliveries);
                let ahead = deliveries.iter().any(|delivery| partition.checkpoint.fit(delivery) == Fit::Ahead);
                partition.watch(fitting.is_empty() && ahead, view);
                if fitting.is_empty() {
                    continue;
                }
                let batch = Batch::<V>::fold(&fitting, &parked, self.store.as_ref()).await?;
                let to = fitting[fitting.len() - 1].position;
                let change = Change {
                    from: partition.checkpoint.clone(),
                    to,
                    upserts: batch.upserts()?,
                    deletes: batch.deletes(),
                    parked: batch.parked.into_values().collect(),
                };
                if self.store.write(view, &change).await? {
                    partition.checkpoint.position = to;
                    parked.extend(change.parked.into_iter().map(|parked| parked.stream));
                    metrics::counter!("projection_events_total", "view" => view).increment(fitting.len() as u64);
                    metrics::counter!("projection_commits_total", "view" => view).increment(1);
                    metrics::gauge!("projection_parked_streams", "view" => view).set(parked.len() as f64);
                } else {
                    // Another worker has this partition too, and was first. The checkpoint decides between the two.
                    tracing::warn!(view, partition = number, "another worker moved the checkpoint; reading it again");
                    *partition = self::partitions(self.store.as_ref(), view)
                        .await?
                        .remove(&number)
                        .expect("it was there before");
                }
            }
        }
        Ok(())
    }
}

async fn partitions(store: &impl ViewStore, view: &str) -> Result<BTreeMap<u16, Partition>, StoreError> {
    let checkpoints = store.checkpoints(view).await?;
    let watched =
        |checkpoint: Checkpoint| (checkpoint.partition, Partition { checkpoint, gap_since: None, reported: false });
    Ok(checkpoints.into_iter().map(watched).collect())
}

fn by_partition(deliveries: Vec<Delivery>) -> BTreeMap<u16, Vec<Delivery>> {
    let mut by_partition: BTreeMap<u16, Vec<Delivery>> = BTreeMap::new();
    for delivery in deliveries {
        by_partition.entry(delivery.partition).or_default().push(delivery);
    }
    by_partition
}

impl Partition {
    /// The deliveries that continue the checkpoint, each the one before it.
    fn fitting<'a>(&self, deliveries: &'a [Delivery]) -> Vec<&'a Delivery> {
        let mut reached = self.checkpoint.clone();
        let of_this_log = |log: LogId| log == self.checkpoint.log;
        let mut fitting = Vec::new();
        for delivery in deliveries.iter().filter(|delivery| of_this_log(delivery.log)) {
            if reached.fit(delivery) == Fit::Next {
                reached.position = delivery.position;
                fitting.push(delivery);
            }
        }
        fitting
    }

    /// Reports a partition for which something is missing that does not come: what is delivered lies behind a gap.
    fn watch(&mut self, gap: bool, view: &'static str) {
        let partition = self.checkpoint.partition;
        if !gap {
            self.gap_since = None;
        }
        let stalled = gap && self.gap_since.get_or_insert_with(Instant::now).elapsed() >= STALLED_AFTER;
        if stalled && !self.reported {
            let position = self.checkpoint.position.0;
            tracing::error!(view, partition, position, "nothing that is delivered continues the view here");
        }
        if stalled != self.reported {
            self.reported = stalled;
            let labels = [("view", view.to_owned()), ("partition", partition.to_string())];
            metrics::gauge!("projection_stalled", &labels).set(f64::from(u8::from(stalled)));
        }
    }
}
