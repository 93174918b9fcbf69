//! Rebuilds a view beside the live one: fills a new generation from the log, compares both, and switches.
//!
//! The live generation takes no notice: what is compared are both as of one position, each read at one moment.

mod compare;
#[cfg(test)]
mod tests;

use crate::any_view::AnyView;
use crate::worker::{Targets, Worker, WorkerError};
use platform::bus::Checkpoint;
use platform::event_log::{EventLog, LogError, Position};
use platform::view_store::{self, Generation, Generations, Key, Stage, Switch, ViewStore};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The live generation moves on while the new one is filled: when that is no more than so many events behind, the rest is
/// taken at once.
const CLOSE: u64 = 2_000;

/// How often a switch is tried because the live generation moved ahead meanwhile.
const ATTEMPTS: usize = 100;

/// How long somebody may leave unread what is told: a comparison holds rows as they were, and all that is written
/// meanwhile is kept beside them.
const UNHEARD: Duration = Duration::from_mins(5);

/// What to do once both generations are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Switch if they do not differ.
    SwitchIfEqual,
    /// Switch, whatever differs.
    Switch,
    /// Keep the new one beside the live one.
    Keep,
}

/// How a rebuild goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Progress {
    /// A generation was begun.
    Began {
        /// Its number.
        generation: u32,
        /// Where the live one stands.
        head: u64,
    },
    /// Events were taken.
    Filled {
        /// Up to here.
        position: u64,
        /// Where the live one stands.
        head: u64,
    },
    /// Rows were compared.
    Comparing {
        /// So many, so far.
        rows: u64,
    },
    /// A row is not the same in both.
    Differs(Difference),
    /// All rows were compared.
    Compared(Comparison),
    /// Readers see another generation.
    Switched {
        /// The one before.
        from: u32,
        /// The one now.
        to: u32,
        /// How far it was, at least.
        position: u64,
    },
}

/// A row that is not the same in two generations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The values of its key fields.
    pub key: Key,
    /// As it is in the live generation; none if it is not there.
    pub live: Option<Value>,
    /// As the log has it.
    pub rebuilt: Option<Value>,
}

/// How two generations compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// Both as of this position.
    pub position: u64,
    /// Rows of either.
    pub rows: u64,
    /// Rows that are not the same in both.
    pub differing: u64,
    /// Events that the live one has taken.
    pub live_events: u64,
    /// Events that the rebuilt one has taken.
    pub rebuilt_events: u64,
    /// Whether both have taken the same, by the sum of their checksums.
    pub same_events: bool,
}

impl Comparison {
    /// Whether nothing differs.
    pub fn is_equal(&self) -> bool {
        self.differing == 0 && self.same_events
    }
}

/// How a rebuild ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rebuilt {
    /// The number of the new generation.
    pub generation: u32,
    /// How it compared with the live one.
    pub comparison: Comparison,
    /// Whether readers see it.
    pub switched: bool,
}

/// Why a rebuild did not come to its end. The live generation is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A generation could not be filled.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A generation could not be read or switched to.
    #[error(transparent)]
    Store(#[from] view_store::StoreError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Readers see it already.
    #[error("generation {number} of the view `{view}` is the live one already")]
    Live {
        /// Of which view.
        view: &'static str,
        /// Which one.
        number: u32,
    },
    /// There is no generation to go back to.
    #[error("the view `{0}` has no generation that was live before; `colophon replay list` shows those that it has")]
    NothingKept(&'static str),
    /// The other generation never caught up with the live one.
    #[error("generation {number} of the view `{view}` does not catch up with the live one; try again with less load")]
    Behind {
        /// Of which view.
        view: &'static str,
        /// Which one.
        number: u32,
    },
    /// Nobody listens any more.
    #[error("the rebuild was broken off: nobody reads what it tells")]
    BrokenOff,
}

/// A view that is rebuilt from a log.
pub struct Rebuild {
    /// Which view.
    pub view: &'static dyn AnyView,
    /// Its generations.
    pub generations: Arc<dyn Generations>,
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Who wants to know how it goes.
    pub tell: mpsc::Sender<Progress>,
}

impl Rebuild {
    /// Builds another generation, compares it with the live one, and does what is to be done then.
    ///
    /// What an earlier rebuild left that is neither live nor kept for going back is dropped first: it may have been built
    /// by another version of this program.
    pub async fn run(&self, then: Then) -> Result<Rebuilt, RebuildError> {
        for left in self.of_stages(&[Stage::Building, Stage::Built]) {
            self.generations.drop_generation(left.number).await?;
        }
        let new = self.generations.begin().await?;
        let built = self.build(&new, then).await;
        if built.is_err() {
            // It is not complete, and nobody goes on with it.
            let _ = self.generations.drop_generation(new.number).await;
        }
        built
    }

    async fn build(&self, new: &Generation, then: Then) -> Result<Rebuilt, RebuildError> {
        let head = self.live_position().await?.0;
        self.tell(Progress::Began { generation: new.number, head }).await?;
        let mut at = 0;
        loop {
            let live = self.live_position().await?;
            self.fill(&new.store, live).await?;
            if live.0.saturating_sub(at) <= CLOSE {
                break;
            }
            at = live.0;
        }
        self.judge(new, Stage::Built, then).await
    }

    /// Compares another generation with the live one, and has readers see it then or not.
    pub async fn switch(&self, number: u32, then: Then) -> Result<Rebuilt, RebuildError> {
        let other = self.generation(number)?;
        if other.stage == Stage::Live {
            return Err(RebuildError::Live { view: self.view.name(), number });
        }
        // Nobody else is to feed it while both are compared at one position.
        self.generations.hold(number).await?;
        let judged = self.judge(&other, other.stage, then).await;
        // What failed after the switch does not undo it.
        if judged.is_err() && self.generations.live_generation().number != number {
            self.generations.mark(number, other.stage).await?;
        }
        judged
    }

    /// Has readers see the generation that they saw before, as it is.
    pub async fn roll_back(&self) -> Result<(), RebuildError> {
        let kept = self.of_stages(&[Stage::Kept]).pop();
        self.show(&kept.ok_or(RebuildError::NothingKept(self.view.name()))?).await
    }

    /// Compares a generation with the live one; it is `otherwise` if readers are not to see it.
    async fn judge(&self, other: &Generation, otherwise: Stage, then: Then) -> Result<Rebuilt, RebuildError> {
        let comparison = self.compare(other).await?;
        self.tell(Progress::Compared(comparison)).await?;
        let switched = match then {
            Then::SwitchIfEqual => comparison.is_equal(),
            Then::Switch => true,
            Then::Keep => false,
        };
        if switched {
            self.show(other).await?;
        } else {
            self.generations.mark(other.number, otherwise).await?;
        }
        Ok(Rebuilt { generation: other.number, comparison, switched })
    }

    /// Takes the log into a generation, all its partitions up to a position.
    async fn fill(&self, store: &Arc<dyn ViewStore>, to: Position) -> Result<(), RebuildError> {
        let worker = Worker::open(self.view, Arc::clone(store)).await?;
        let to = worker.everywhere(to);
        self.work(worker, &to).await
    }

    /// Takes the log into a generation that nobody else feeds, each partition up to where another one has it.
    async fn follow(&self, store: &Arc<dyn ViewStore>, other: &[Checkpoint]) -> Result<(), RebuildError> {
        let to = other.iter().map(|checkpoint| (checkpoint.partition, checkpoint.position)).collect();
        self.work(Worker::open(self.view, Arc::clone(store)).await?, &to).await
    }

    async fn work(&self, mut worker: Worker, to: &Targets) -> Result<(), RebuildError> {
        let head = to.values().max().copied().unwrap_or_default().0;
        while let Some(position) = worker.advance(self.log.as_ref(), to).await? {
            self.tell(Progress::Filled { position: position.0, head }).await?;
        }
        Ok(())
    }

    /// Compares a generation with the live one, both as of one position.
    async fn compare(&self, other: &Generation) -> Result<Comparison, RebuildError> {
        let live = self.generations.live_generation();
        // Where no server runs, nobody has fed it.
        match self.fill(&live.store, self.log.head().await?).await {
            Err(RebuildError::BrokenOff) => return Err(RebuildError::BrokenOff),
            Err(error) => {
                let view = self.view.name();
                tracing::warn!(view, %error, "the live generation does not go on: it is compared as it is");
            }
            Ok(()) => {}
        }
        for _ in 0..ATTEMPTS {
            let mut frozen_live = self.generations.freeze(live.number).await?;
            self.follow(&other.store, &frozen_live.checkpoints()).await?;
            let mut frozen_other = self.generations.freeze(other.number).await?;
            let reached = frozen_other.checkpoints();
            if positions(&reached) == positions(&frozen_live.checkpoints()) {
                return compare::compare(frozen_live.as_mut(), frozen_other.as_mut(), &self.tell).await;
            }
            // The other one was fed until now, and is ahead.
            self.follow(&live.store, &reached).await?;
        }
        Err(self.behind(other))
    }

    /// Has readers see another generation, once that has caught up with the live one. Of those that they saw before, only
    /// the last is kept.
    async fn show(&self, other: &Generation) -> Result<(), RebuildError> {
        let from = self.generations.live_generation().number;
        let older = self.of_stages(&[Stage::Kept]);
        for _ in 0..ATTEMPTS {
            self.fill(&other.store, self.log.head().await?).await?;
            // What is taken is not seen before it is committed.
            let position = view_store::position(&self.generations.freeze(other.number).await?.checkpoints()).0;
            if self.switch_while_it_keeps_up(other).await? == Switch::Done {
                for older in older.iter().filter(|older| older.number != other.number) {
                    if let Err(error) = self.generations.drop_generation(older.number).await {
                        let (view, number) = (self.view.name(), older.number);
                        tracing::warn!(view, number, %error, "a generation that is not kept any more could not be dropped");
                    }
                }
                // It is done, whether anybody listens or not.
                let _ = self.tell(Progress::Switched { from, to: other.number, position }).await;
                return Ok(());
            }
        }
        Err(self.behind(other))
    }

    /// Where the live one is fed by other processes, it is held still for the switch until the other one is there too: so
    /// that goes on meanwhile.
    async fn switch_while_it_keeps_up(&self, other: &Generation) -> Result<Switch, RebuildError> {
        let until = CancellationToken::new();
        let switching = async {
            let switched = self.generations.switch(other.number).await;
            until.cancel();
            switched
        };
        let (switched, kept_up) = tokio::join!(switching, self.keep_up(&other.store, &until));
        let switched = switched?;
        if switched == Switch::Behind {
            kept_up?;
        }
        Ok(switched)
    }

    /// Takes the log into a generation, and what comes then, until that is enough.
    async fn keep_up(&self, store: &Arc<dyn ViewStore>, until: &CancellationToken) -> Result<(), RebuildError> {
        let mut worker = Worker::open(self.view, Arc::clone(store)).await?;
        while !until.is_cancelled() {
            let to = worker.everywhere(self.log.head().await?);
            while !until.is_cancelled() && worker.advance(self.log.as_ref(), &to).await?.is_some() {}
            until.run_until_cancelled(self.log.wait_past(worker.position())).await.transpose()?;
        }
        Ok(())
    }

    fn behind(&self, other: &Generation) -> RebuildError {
        RebuildError::Behind { view: self.view.name(), number: other.number }
    }

    fn generation(&self, number: u32) -> Result<Generation, RebuildError> {
        let all = self.generations.all().borrow().clone();
        let found = all.into_iter().find(|generation| generation.number == number);
        Ok(found.ok_or(view_store::StoreError::NoGeneration { view: self.view.name(), number })?)
    }

    fn of_stages(&self, stages: &[Stage]) -> Vec<Generation> {
        let mut all = self.generations.all().borrow().clone();
        all.retain(|generation| stages.contains(&generation.stage));
        all
    }

    async fn live_position(&self) -> Result<Position, RebuildError> {
        Ok(view_store::position(&self.generations.live_generation().store.checkpoints().await?))
    }

    async fn tell(&self, progress: Progress) -> Result<(), RebuildError> {
        tell(&self.tell, progress).await
    }
}

fn positions(checkpoints: &[Checkpoint]) -> BTreeSet<(u16, Position)> {
    checkpoints.iter().map(|checkpoint| (checkpoint.partition, checkpoint.position)).collect()
}

async fn tell(listener: &mpsc::Sender<Progress>, progress: Progress) -> Result<(), RebuildError> {
    listener.send_timeout(progress, UNHEARD).await.map_err(|_| RebuildError::BrokenOff)
}
