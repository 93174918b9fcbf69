//! Counts the log again, and compares with what each view says it has taken of it: an event that a view has missed or taken
//! twice is found, also if no row shows it yet.

use crate::any_view::AnyView;
use crate::worker::WorkerError;
use platform::bus::Tally;
use platform::bus::partition::partition;
use platform::event_log::{EventLog, LogError, Position, RecordedEvent};
use platform::view_store::Generations;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

#[cfg(test)]
mod tests;

/// Events read at once.
const PAGE: usize = 1_000;

/// How fast the log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As fast as it can be.
    Full,
    /// At most so many events per second, so that nobody else waits for the disk.
    EventsPerSecond(u32),
}

/// What one view says, and what the log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Up to here.
    pub position: u64,
    /// Events that the view has taken or set aside.
    pub taken_events: u64,
    /// Events that the log has for it.
    pub expected_events: u64,
    /// Whether they are the same events, by the sum of their checksums.
    pub consistent: bool,
}

/// What has been counted so far.
pub struct Reconciliation {
    log: Arc<dyn EventLog>,
    accounts: Vec<Account>,
}

/// One view's part of the log.
struct Account {
    view: &'static dyn AnyView,
    generations: Arc<dyn Generations>,
    partitions: Vec<Counted>,
}

/// One partition of it.
#[derive(Default, Clone, Copy)]
struct Counted {
    /// Counted up to here.
    position: Position,
    expected: Tally,
    /// To be counted up to here, and what the view says it has taken then.
    to: Position,
    taken: Tally,
}

impl Reconciliation {
    /// Nothing is counted yet.
    pub fn new(
        log: Arc<dyn EventLog>,
        views: impl IntoIterator<Item = (&'static dyn AnyView, Arc<dyn Generations>)>,
    ) -> Self {
        let account = |(view, generations)| Account { view, generations, partitions: Vec::new() };
        Self { log, accounts: views.into_iter().map(account).collect() }
    }

    /// Counts on to where each view stands now. What a view has taken since is left to the next round.
    pub async fn round(&mut self, pace: Pace) -> Result<Vec<(&'static str, Finding)>, WorkerError> {
        for account in &mut self.accounts {
            account.ask().await?;
        }
        let partitions = || self.accounts.iter().flat_map(|account| &account.partitions);
        let to = partitions().map(|partition| partition.to).max().unwrap_or_default();
        let behind = partitions().filter(|partition| partition.position < partition.to);
        let mut at = behind.map(|partition| partition.position).min().unwrap_or(to);
        let began_at = Instant::now();
        let mut read = 0;
        while at < to {
            let limit = usize::try_from(to.0 - at.0).unwrap_or(PAGE).min(PAGE);
            let events = self.log.read_all(at, limit).await?;
            let Some(last) = events.last() else {
                return Err(LogError::Unavailable(format!("expected events up to position {}", to.0)).into());
            };
            at = last.position;
            for account in &mut self.accounts {
                account.count(&events, at);
            }
            read += events.len() as u64;
            if let Pace::EventsPerSecond(rate) = pace {
                sleep_until(began_at + Duration::from_secs_f64(read as f64 / f64::from(rate.max(1)))).await;
            }
        }
        // A view that is not where it was counted to has been built anew meanwhile: the next round finds it level.
        let level = self.accounts.iter().filter(|account| account.is_level());
        Ok(level.map(|account| (account.view.name(), account.finding())).collect())
    }
}

impl Account {
    /// Asks the live generation where it stands, and what it has taken.
    async fn ask(&mut self) -> Result<(), WorkerError> {
        let checkpoints = self.generations.live_generation().store.checkpoints().await?;
        self.partitions.resize(checkpoints.len(), Counted::default());
        for checkpoint in checkpoints {
            let counted = &mut self.partitions[usize::from(checkpoint.partition)];
            (counted.to, counted.taken) = (checkpoint.position, checkpoint.tally);
        }
        Ok(())
    }

    /// Counts events that follow on each other in the log, the last of them at `last`.
    fn count(&mut self, events: &[RecordedEvent], last: Position) {
        let partitions = u16::try_from(self.partitions.len()).unwrap_or(u16::MAX);
        for event in events.iter().filter(|event| self.view.takes(event)) {
            let counted = &mut self.partitions[usize::from(partition(event.stream.as_str(), partitions))];
            if counted.position < event.position && event.position <= counted.to {
                counted.expected.add(event);
            }
        }
        for counted in &mut self.partitions {
            counted.position = counted.position.max(last.min(counted.to));
        }
    }

    fn is_level(&self) -> bool {
        self.partitions.iter().all(|counted| counted.position == counted.to)
    }

    fn finding(&self) -> Finding {
        let position = self.partitions.iter().map(|counted| counted.to).min().unwrap_or_default();
        let (taken, expected) = self
            .partitions
            .iter()
            .map(|counted| (counted.taken.events, counted.expected.events))
            .fold((0, 0), |(taken, expected), counted| (taken + counted.0, expected + counted.1));
        Finding {
            position: position.0,
            taken_events: taken,
            expected_events: expected,
            consistent: self.partitions.iter().all(|counted| counted.taken == counted.expected),
        }
    }
}
