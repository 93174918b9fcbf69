//! The worker: takes deliveries that fit, folds them, and writes rows and checkpoint in one transaction.

pub mod batch;
#[cfg(test)]
mod tests;

use crate::any_view::AnyView;
use platform::bus::{Bus, BusError, Checkpoint, Delivery, Fit, Tally};
use platform::event_log::{EventLog, LogError, Position};
use platform::view_store::{Change, SetAside, StoreError, ViewStore};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Deliveries taken at once.
const BATCH: usize = 2_000;

/// Events taken at once of a log beside which others are served: whoever else writes waits for no more than these.
const SHARE: usize = 500;

/// Why a worker ended without being asked to. Whoever owns it starts another one.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// There are no deliveries.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The rows could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Partitions, each with a position up to which it is to be taken.
pub type Targets = BTreeMap<u16, Position>;

/// Builds one generation of a view.
pub struct Worker {
    view: &'static dyn AnyView,
    store: Arc<dyn ViewStore>,
    partitions: BTreeMap<u16, Checkpoint>,
    set_aside: SetAside,
}

impl Worker {
    /// A worker that goes on where the generation stands.
    pub async fn open(view: &'static dyn AnyView, store: Arc<dyn ViewStore>) -> Result<Self, StoreError> {
        let mut worker = Self { view, store, partitions: BTreeMap::new(), set_aside: SetAside::default() };
        worker.look_again().await?;
        Ok(worker)
    }

    /// Takes what comes until it is stopped. What the bus does not bring, since it begins later or has lost it, is taken
    /// from the log itself.
    pub async fn run(
        mut self,
        mut bus: Box<dyn Bus>,
        log: &dyn EventLog,
        stop: CancellationToken,
    ) -> Result<(), WorkerError> {
        while let Some(deliveries) = stop.run_until_cancelled(bus.next(BATCH)).await {
            let deliveries = deliveries?;
            // What is being written is written to its end: a store tells of it after that.
            while !stop.is_cancelled() {
                let missing = self.take(&deliveries).await?;
                if missing.is_empty() {
                    break;
                }
                while !stop.is_cancelled() && self.advance(log, &missing).await?.is_some() {}
                metrics::counter!("projection_gaps_closed_total", "view" => self.view.name()).increment(1);
            }
        }
        Ok(())
    }

    /// Takes the log's next share into those partitions that are behind; answers how far all of the view is then, or none
    /// if no partition was behind.
    pub async fn advance(&mut self, log: &dyn EventLog, to: &Targets) -> Result<Option<Position>, WorkerError> {
        let behind = |(number, to): (&u16, &Position)| {
            let at = self.partitions.get(number)?.position;
            (at < *to).then_some((at, *to))
        };
        let (from, ends): (Vec<_>, Vec<_>) = to.iter().filter_map(behind).unzip();
        let (Some(at), Some(end)) = (from.into_iter().min(), ends.into_iter().max()) else { return Ok(None) };
        let limit = usize::try_from(end.0 - at.0).unwrap_or(SHARE).min(SHARE);
        let events = log.read_all(at, limit).await?;
        let Some(last) = events.last().map(|event| event.position) else {
            let what = format!("expected events up to position {}, found none after {}", end.0, at.0);
            return Err(LogError::Unavailable(what).into());
        };
        let partitions = u16::try_from(self.partitions.len()).expect("partitions are numbered as u16");
        let share = Delivery::of_partitions(log.id(), at, last, events, partitions);
        self.take(&share.into_iter().filter_map(|delivery| up_to(delivery, to)).collect::<Vec<_>>()).await?;
        Ok(Some(self.position()))
    }

    /// All its partitions up to one position.
    pub fn everywhere(&self, position: Position) -> Targets {
        self.partitions.keys().map(|number| (*number, position)).collect()
    }

    /// How far it has come.
    pub fn position(&self) -> Position {
        self.partitions.values().map(|checkpoint| checkpoint.position).min().unwrap_or_default()
    }

    /// Takes deliveries, as far as they continue what there is; answers up to where something is missing for the others.
    pub async fn take(&mut self, deliveries: &[Delivery]) -> Result<Targets, StoreError> {
        let by_partition = by_partition(deliveries);
        if let Some(unknown) = by_partition.keys().find(|number| !self.partitions.contains_key(number)) {
            let (view, partition) = (self.view.name(), *unknown);
            tracing::error!(view, partition, "the view does not know this partition; its deliveries are left alone");
        }
        let fitting = |checkpoints: &BTreeMap<u16, Checkpoint>, moved: &dyn Fn(&Checkpoint) -> bool| {
            let known = by_partition.iter().filter_map(|(number, of_it)| Some((checkpoints.get(number)?, of_it)));
            let fitting = known.filter(|(checkpoint, _)| moved(checkpoint));
            let fitting = fitting.map(|(checkpoint, of_it)| (checkpoint.clone(), fitting_to(checkpoint, of_it)));
            fitting.filter(|(_, rest)| !rest.is_empty()).collect::<Vec<_>>()
        };
        let mut rest = fitting(&self.partitions, &|_| true);
        while !rest.is_empty() {
            let before: Vec<_> = rest.iter().map(|(from, _)| from.clone()).collect();
            self.apply(rest).await?;
            // Where somebody else was first, what is left of these is folded anew: the bus may not deliver them again.
            rest = fitting(&self.partitions, &|now| {
                before.iter().any(|from| from.partition == now.partition && from != now)
            });
        }
        let known =
            by_partition.iter().filter_map(|(number, of_it)| Some((number, self.partitions.get(number)?, of_it)));
        Ok(known.filter_map(|(number, checkpoint, of_it)| Some((*number, gap(checkpoint, of_it)?))).collect())
    }

    /// Folds deliveries that continue their partitions, and writes what they come to.
    async fn apply(&mut self, fitting: Vec<(Checkpoint, Vec<&Delivery>)>) -> Result<(), StoreError> {
        let view = self.view.name();
        let (mut changes, mut taken) = (Vec::new(), 0);
        for (from, deliveries) in fitting {
            let folded = self.view.fold(&deliveries, &self.set_aside, self.store.as_ref()).await?;
            let Tally { events, digest } = from.tally;
            let to = deliveries.last().map_or(from.position, |delivery| delivery.position);
            taken += deliveries.iter().filter(|delivery| delivery.event.is_some()).count();
            changes.push(Change {
                tally: Tally { events: events + folded.tally.events, digest: digest.wrapping_add(folded.tally.digest) },
                upserts: folded.upserts,
                deletes: folded.deletes,
                parked: folded.parked,
                ..Change::of(from, to)
            });
        }
        let written = self.store.write_all(&changes).await?;
        for change in changes.iter().zip(&written).filter(|(_, written)| **written).map(|(change, _)| change) {
            for parked in &change.parked {
                let (stream, position, reason) = (&parked.stream, parked.position, &parked.reason);
                tracing::error!(view, %stream, position, reason, "the view cannot take this event, and sets the stream aside");
            }
            self.set_aside.change(change);
            self.partitions.insert(change.from.partition, change.checkpoint());
        }
        if written.contains(&false) {
            // Another worker has a partition too, and was first, or a stream that was set aside is taken up again.
            tracing::debug!(view, "a checkpoint is not where it was; reading all of them again");
            self.look_again().await?;
        }
        if self.store.is_live() {
            metrics::counter!("projection_events_total", "view" => view).increment(taken as u64);
            metrics::counter!("projection_commits_total", "view" => view).increment(1);
        }
        Ok(())
    }

    /// Reads where the generation stands.
    async fn look_again(&mut self) -> Result<(), StoreError> {
        let checkpoints = self.store.checkpoints().await?;
        self.partitions = checkpoints.into_iter().map(|checkpoint| (checkpoint.partition, checkpoint)).collect();
        self.set_aside = self.store.set_aside();
        Ok(())
    }
}

/// As much of a delivery as lies within its partition's target.
fn up_to(delivery: Delivery, to: &Targets) -> Option<Delivery> {
    let end = *to.get(&delivery.partition)?;
    if delivery.position <= end {
        return Some(delivery);
    }
    // Nothing lies before its event.
    (delivery.after < end).then_some(Delivery { position: end, event: None, ..delivery })
}

fn by_partition(deliveries: &[Delivery]) -> BTreeMap<u16, Vec<&Delivery>> {
    let mut by_partition: BTreeMap<u16, Vec<&Delivery>> = BTreeMap::new();
    for delivery in deliveries {
        by_partition.entry(delivery.partition).or_default().push(delivery);
    }
    by_partition
}

/// The deliveries that continue a checkpoint, each the one before it.
fn fitting_to<'a>(checkpoint: &Checkpoint, deliveries: &[&'a Delivery]) -> Vec<&'a Delivery> {
    let mut reached = checkpoint.clone();
    let mut fitting = Vec::new();
    for delivery in deliveries.iter().copied().filter(|delivery| delivery.log == checkpoint.log) {
        if reached.fit(delivery) == Fit::Next {
            reached.position = delivery.position;
            fitting.push(delivery);
        }
    }
    fitting
}

/// Where the first delivery begins that does not fit because something before it is missing.
fn gap(checkpoint: &Checkpoint, deliveries: &[&Delivery]) -> Option<Position> {
    let of_this_log = deliveries.iter().filter(|delivery| delivery.log == checkpoint.log);
    let ahead = of_this_log.filter(|delivery| checkpoint.fit(delivery) == Fit::Ahead);
    ahead.map(|delivery| delivery.after).min()
}
