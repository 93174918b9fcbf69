//! What the tools for views do: in the process that has the data directory, which may be a server or the tool itself.

use crate::lag::Lag;
use crate::log::output::time;
use crate::views::Views;
use anyhow::{Context, anyhow};
use platform::bus::Tally;
use platform::event_log::{EventLog, Position, Revision, StreamId};
use platform::seam::Seam;
use platform::view_store::{self, Parked, Stage};
use projections::any_view::{self, AnyView};
use projections::dead_letters::{self, Outcome, Remedy};
use projections::health::{Alarm, Health};
use projections::rebuild::{Progress, Rebuild, Rebuilt, Then};
use projections::reconciliation::{Finding, Pace, Reconciliation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What is told and not yet taken.
const UNTOLD: usize = 256;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// Build new generations of views, one view after the other.
    Rebuild {
        /// Which views.
        views: Vec<String>,
        /// What to do with the new generations.
        then: Then,
    },
    /// Have readers see another generation of a view.
    Switch {
        /// Which view.
        view: String,
        /// Which generation.
        generation: u32,
        /// Whether it may differ.
        then: Then,
    },
    /// Have readers see the generation that they saw before.
    RollBack {
        /// Of which view.
        view: String,
    },
    /// Remove a generation that readers do not see.
    Drop {
        /// Of which view.
        view: String,
        /// Which generation.
        generation: u32,
    },
    /// Show the generations of all views.
    List,
    /// Compare what the views have taken with what the log has for them.
    Verify,
    /// Show the streams that views have set aside.
    DeadLetters {
        /// Of which view; none for all.
        view: Option<String>,
    },
    /// Show a stream that a view has set aside, with the event that stopped it.
    DeadLetter {
        /// Which view.
        view: String,
        /// Which stream.
        stream: String,
    },
    /// Take up streams that views have set aside.
    TakeUp {
        /// Of which view; none for all.
        view: Option<String>,
        /// Which stream; none for all.
        stream: Option<String>,
        /// What to do with the event that stopped it.
        remedy: Remedy,
    },
}

/// What a tool hears of it, in the order in which it happens; the last is `Done` or `Failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case")]
pub enum Told {
    /// A rebuild or a switch goes on.
    Progress {
        /// Of which view.
        view: String,
        /// How.
        progress: Progress,
    },
    /// A rebuild or a switch came to its end.
    Rebuilt {
        /// Of which view.
        view: String,
        /// How.
        rebuilt: Rebuilt,
    },
    /// A view could not be rebuilt; the others are, all the same.
    NotRebuilt {
        /// Which view.
        view: String,
        /// Why.
        reason: String,
    },
    /// A generation.
    Generation(GenerationReport),
    /// How a view compares with the log.
    View(ViewReport),
    /// What is wrong.
    Alarm(Alarm),
    /// A stream that is set aside.
    Parked {
        /// By which view.
        view: String,
        /// Where and why.
        parked: Parked,
    },
    /// The event that stopped a stream.
    Event {
        /// Its type.
        event_type: String,
        /// The version of the type's schema.
        version: u16,
        /// When it was recorded (RFC 3339).
        recorded_at: String,
        /// Its data, as far as it is JSON.
        data: Value,
        /// Events of the stream behind it.
        waiting: u64,
    },
    /// A stream was taken up.
    TakenUp {
        /// Of which view.
        view: String,
        /// Which stream.
        stream: String,
        /// What became of it.
        outcome: Outcome,
    },
    /// All is done.
    Done,
    /// It was not done, or not wholly.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A generation, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerationReport {
    /// Of which view.
    pub view: String,
    /// Its number.
    pub generation: u32,
    /// What it is for.
    pub stage: Stage,
    /// How far it is.
    pub position: u64,
    /// Events that it has taken.
    pub events: u64,
    /// Streams that it has set aside.
    pub parked: usize,
    /// Events that it leaves out.
    pub skipped: usize,
}

/// How a view compares with the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewReport {
    /// Which view.
    pub view: String,
    /// What it has taken, and what it should have.
    pub finding: Finding,
    /// How far it was behind the log when that was compared.
    pub lag: Lag,
    /// Streams that it has set aside.
    pub parked: usize,
}

/// Where the tasks are done.
#[derive(Clone)]
pub struct Workshop {
    log: Arc<dyn EventLog>,
    views: Views,
    seam: Seam,
    /// None where no server runs.
    health: Option<Arc<Health>>,
    /// Held by the task that changes generations.
    changing: Arc<Mutex<()>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Workshop {
    /// A workshop for these views of this log.
    pub fn new(log: Arc<dyn EventLog>, views: Views, seam: Seam, health: Option<Arc<Health>>) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        Self { log, views, seam, health, changing: Arc::default(), tasks, stop }
    }

    /// Breaks off what is under way, and returns when all of it has ended.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Does a task, and tells how it goes. It ends early when nobody listens any more.
    pub fn start(&self, task: Task) -> mpsc::Receiver<Told> {
        let (tell, told) = mpsc::channel(UNTOLD);
        let workshop = self.clone();
        let stop = self.stop.clone();
        let work = async move {
            let last = match workshop.perform(task, &tell).await {
                Ok(()) => Told::Done,
                Err(error) => Told::Failed { reason: format!("{error:#}") },
            };
            let _ = tell.send(last).await;
        };
        self.tasks.spawn(async move { stop.run_until_cancelled(work).await });
        told
    }

    async fn perform(&self, task: Task, tell: &mpsc::Sender<Told>) -> anyhow::Result<()> {
        match task {
            Task::Rebuild { views, then } => self.rebuild(&views, then, tell).await,
            Task::Switch { view, generation, then } => {
                let _changing = self.alone()?;
                let view = named(&view)?;
                let (rebuild, telling) = self.rebuild_of(view, tell)?;
                let rebuilt = rebuild.switch(generation, then).await;
                ended(rebuild, telling).await;
                say(tell, Told::Rebuilt { view: view.name().to_owned(), rebuilt: rebuilt? }).await
            }
            Task::RollBack { view } => {
                let _changing = self.alone()?;
                let (rebuild, telling) = self.rebuild_of(named(&view)?, tell)?;
                let rolled_back = rebuild.roll_back().await;
                ended(rebuild, telling).await;
                Ok(rolled_back?)
            }
            Task::Drop { view, generation } => {
                let _changing = self.alone()?;
                Ok(self.views.generations(named(&view)?)?.drop_generation(generation).await?)
            }
            Task::List => self.list(tell).await,
            Task::Verify => self.verify(tell).await,
            Task::DeadLetters { view } => self.dead_letters(view.as_deref(), tell).await,
            Task::DeadLetter { view, stream } => self.dead_letter(named(&view)?, &stream, tell).await,
            Task::TakeUp { view, stream, remedy } => {
                self.take_up(view.as_deref(), stream.as_deref(), remedy, tell).await
            }
        }
    }

    async fn rebuild(&self, views: &[String], then: Then, tell: &mpsc::Sender<Told>) -> anyhow::Result<()> {
        let views = views.iter().map(|view| named(view)).collect::<anyhow::Result<Vec<_>>>()?;
        let _changing = self.alone()?;
        for view in views {
            let name = view.name().to_owned();
            let rebuilt = match self.rebuild_of(view, tell) {
                Ok((rebuild, telling)) => {
                    let rebuilt = rebuild.run(then).await;
                    ended(rebuild, telling).await;
                    rebuilt.map_err(anyhow::Error::from)
                }
                Err(error) => Err(error),
            };
            let told = match rebuilt {
                Ok(rebuilt) => Told::Rebuilt { view: name, rebuilt },
                Err(error) => Told::NotRebuilt { view: name, reason: error.to_string() },
            };
            say(tell, told).await?;
        }
        Ok(())
    }

    /// A rebuild, and the task that tells of its progress as this view's.
    fn rebuild_of(
        &self,
        view: &'static dyn AnyView,
        tell: &mpsc::Sender<Told>,
    ) -> anyhow::Result<(Rebuild, JoinHandle<()>)> {
        let generations = self.views.generations(view)?;
        let (progress, mut told) = mpsc::channel(1);
        let tell = tell.clone();
        let telling = tokio::spawn(async move {
            while let Some(progress) = told.recv().await {
                if say(&tell, Told::Progress { view: view.name().to_owned(), progress }).await.is_err() {
                    return;
                }
            }
        });
        Ok((Rebuild { view, generations, log: Arc::clone(&self.log), tell: progress }, telling))
    }

    async fn list(&self, tell: &mpsc::Sender<Told>) -> anyhow::Result<()> {
        for (view, generations) in self.views.all() {
            let all = generations.all().borrow().clone();
            for generation in all {
                let checkpoints = generation.store.checkpoints().await?;
                let set_aside = generation.store.set_aside();
                let report = GenerationReport {
                    view: view.name().to_owned(),
                    generation: generation.number,
                    stage: generation.stage,
                    position: view_store::position(&checkpoints).0,
                    events: Tally::of(&checkpoints).events,
                    parked: set_aside.parked.len(),
                    skipped: set_aside.skipped.values().map(Vec::len).sum(),
                };
                say(tell, Told::Generation(report)).await?;
            }
        }
        Ok(())
    }

    async fn verify(&self, tell: &mpsc::Sender<Told>) -> anyhow::Result<()> {
        let head = self.log.head().await?;
        let findings = Reconciliation::new(Arc::clone(&self.log), self.views.all()).round(Pace::Full).await?;
        for (name, finding) in findings {
            let view = named(name)?;
            let now = self.seam.clock.now();
            let lag = Lag::of(self.log.as_ref(), Position(finding.position), head, now).await?;
            let parked = self.views.generations(view)?.live_generation().store.set_aside().parked.len();
            say(tell, Told::View(ViewReport { view: name.to_owned(), finding, lag, parked })).await?;
        }
        for alarm in self.health.iter().flat_map(|health| health.alarms()) {
            say(tell, Told::Alarm(alarm)).await?;
        }
        Ok(())
    }

    async fn dead_letters(&self, only: Option<&str>, tell: &mpsc::Sender<Told>) -> anyhow::Result<()> {
        for view in self.these(only)? {
            let set_aside = self.views.generations(view)?.live_generation().store.set_aside();
            let mut parked: Vec<_> = set_aside.parked.into_values().collect();
            parked.sort_by_key(|parked| parked.position);
            for parked in parked {
                say(tell, Told::Parked { view: view.name().to_owned(), parked }).await?;
            }
        }
        Ok(())
    }

    async fn dead_letter(
        &self,
        view: &'static dyn AnyView,
        stream: &str,
        tell: &mpsc::Sender<Told>,
    ) -> anyhow::Result<()> {
        let parked = self.views.generations(view)?.live_generation().store.set_aside().parked.remove(stream);
        let parked = parked.with_context(|| not_parked(view, stream))?;
        let event = self.log.read_all(Position(parked.position - 1), 1).await?.pop();
        let event = event.with_context(|| format!("the log has no event at position {}", parked.position))?;
        let waiting = self.behind(stream, parked.revision).await?;
        say(tell, Told::Parked { view: view.name().to_owned(), parked }).await?;
        let data = serde_json::from_slice(&event.data);
        let told = Told::Event {
            event_type: event.envelope.event_type,
            version: event.envelope.version,
            recorded_at: time(event.envelope.recorded_at),
            data: data.unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&event.data).into_owned())),
            waiting,
        };
        say(tell, told).await
    }

    /// How many events of a stream there are after a revision.
    async fn behind(&self, stream: &str, revision: u64) -> anyhow::Result<u64> {
        let (stream, mut last) = (StreamId::new(stream), Revision(revision));
        while let Some(event) = self.log.read_stream(&stream, last, 1_000).await?.pop() {
            last = event.revision;
        }
        Ok(last.0 - revision)
    }

    async fn take_up(
        &self,
        only: Option<&str>,
        stream: Option<&str>,
        remedy: Remedy,
        tell: &mpsc::Sender<Told>,
    ) -> anyhow::Result<()> {
        // A generation that is begun meanwhile would not know what is left out.
        let _changing = self.alone()?;
        let mut found = false;
        for view in self.these(only)? {
            // Those beside the live one as well, so that they stay alike.
            let all = self.views.generations(view)?.all().borrow().clone();
            for generation in all.iter().filter(|generation| generation.stage != Stage::Building) {
                let parked = generation.store.set_aside().parked;
                for name in parked.into_keys().filter(|name| stream.is_none_or(|stream| stream == name)) {
                    let taken_up = dead_letters::take_up(view, self.log.as_ref(), &generation.store, &name, remedy);
                    let outcome = taken_up.await?;
                    found = true;
                    if generation.stage == Stage::Live {
                        let view = view.name().to_owned();
                        say(tell, Told::TakenUp { view, stream: name, outcome }).await?;
                    }
                }
            }
        }
        match (only, stream) {
            (Some(view), Some(stream)) if !found => Err(anyhow!(not_parked(named(view)?, stream))),
            _ => Ok(()),
        }
    }

    /// One view, or all that this process has.
    fn these(&self, only: Option<&str>) -> anyhow::Result<Vec<&'static dyn AnyView>> {
        let all = || self.views.all().into_iter().map(|(view, _)| view).collect();
        only.map_or_else(|| Ok(all()), |name| Ok(vec![named(name)?]))
    }

    /// One task at a time changes generations.
    fn alone(&self) -> anyhow::Result<tokio::sync::OwnedMutexGuard<()>> {
        let alone = Arc::clone(&self.changing).try_lock_owned();
        alone.map_err(|_| anyhow!("generations are being changed already; try again when that is done"))
    }
}

/// Lets what a rebuild told be passed on, before what comes after it.
async fn ended(rebuild: Rebuild, telling: JoinHandle<()>) {
    drop(rebuild);
    let _ = telling.await;
}

/// The view of a name.
pub fn named(name: &str) -> anyhow::Result<&'static dyn AnyView> {
    any_view::named(name).with_context(|| {
        let names: Vec<_> = any_view::ALL.iter().map(|view| view.name()).collect();
        format!("no view is called `{name}`; there are {}", names.join(", "))
    })
}

fn not_parked(view: &dyn AnyView, stream: &str) -> String {
    format!("the view `{}` has not set `{stream}` aside; `colophon dead-letters list` shows what is", view.name())
}

async fn say(tell: &mpsc::Sender<Told>, told: Told) -> anyhow::Result<()> {
    tell.send(told).await.map_err(|_| anyhow!("nobody listens any more"))
}
