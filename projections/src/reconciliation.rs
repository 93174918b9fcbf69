//! Counts the log again, and compares with what each view says it has taken of it: an event that a view has missed or taken
//! twice is found, also if no row shows it yet.

use crate::any_view::AnyView;
use crate::worker::WorkerError;
use platform::bus::Tally;
use platform::event_log::{EventLog, LogError, Position};
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
        let account = |(view, generations)| Account {
            view,
            generations,
            position: Position(0),
            expected: Tally::default(),
            to: Position(0),
            taken: Tally::default(),
        };
        Self { log, accounts: views.into_iter().map(account).collect() }
    }

    /// Counts on to where each view stands now. What a view has taken since is left to the next round.
    pub async fn round(&mut self, pace: Pace) -> Result<Vec<(&'static str, Finding)>, WorkerError> {
        for account in &mut self.accounts {
            account.ask().await?;
        }
        let behind = self.accounts.iter().filter(|account| account.position < account.to);
        let to = self.accounts.iter().map(|account| account.to).max().unwrap_or_default();
        let mut at = behind.map(|account| account.position).min().unwrap_or(to);
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
                let new = events.iter().filter(|event| {
                    account.position < event.position && event.position <= account.to && account.view.takes(event)
                });
                new.for_each(|event| account.expected.add(event));
                account.position = account.position.max(at.min(account.to));
            }
            read += events.len() as u64;
            if let Pace::EventsPerSecond(rate) = pace {
                sleep_until(began_at + Duration::from_secs_f64(read as f64 / f64::from(rate.max(1)))).await;
            }
        }
        // A view that is not where it was counted to has been built anew meanwhile: the next round finds it level.
        let level = self.accounts.iter().filter(|account| account.position == account.to);
        Ok(level.map(|account| (account.view.name(), account.finding())).collect())
    }
}

impl Account {
    /// Asks the live generation where it stands, and what it has taken.
    async fn ask(&mut self) -> Result<(), WorkerError> {
        let checkpoints = self.generations.live_generation().store.checkpoints().await?;
        let Some(first) = checkpoints.first() else { return Ok(()) };
        // Only where all partitions stand at one place is there one position to count to.
        if checkpoints.iter().all(|checkpoint| checkpoint.position == first.position) {
            self.to = first.position;
            self.taken = Tally::of(&checkpoints);
        }
        Ok(())
    }

    fn finding(&self) -> Finding {
        Finding {
            position: self.to.0,
            taken_events: self.taken.events,
            expected_events: self.expected.events,
            consistent: self.taken == self.expected,
        }
    }
}
