//! How the views fare, watched in the background: whether they move, and whether they have taken all that the log has.

use crate::any_view::AnyView;
use crate::reconciliation::{Finding, Pace, Reconciliation};
use platform::bus::Tally;
use platform::event_log::{EventLog, LogError, Position};
use platform::view_store::{self, Generations, SetAside};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// A view and its generations.
pub type Watched = (&'static dyn AnyView, Arc<dyn Generations>);

/// How often the views are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A view that does not move for so long while the log has more for it is frozen.
pub const FROZEN_AFTER: Duration = Duration::from_secs(30);

/// How long it is from one round of the reconciliation to the next.
const RECONCILE_EVERY: Duration = Duration::from_secs(10);

/// How fast the reconciliation reads the log.
const RECONCILE_PACE: Pace = Pace::EventsPerSecond(5_000);

/// How the views fare.
pub struct Health {
    log: Arc<dyn EventLog>,
    views: Vec<Watched>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    moved: BTreeMap<&'static str, (Position, Instant)>,
    found: BTreeMap<&'static str, Finding>,
    damage: Option<String>,
}

/// What is wrong, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Of which view; none for the log.
    pub view: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Alarm {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.view {
            Some(view) => write!(formatter, "view `{view}`: {}", self.what),
            None => formatter.write_str(&self.what),
        }
    }
}

impl Health {
    /// Nothing is known yet.
    pub fn new(log: Arc<dyn EventLog>, views: Vec<Watched>) -> Arc<Self> {
        Arc::new(Self { log, views, state: Mutex::default() })
    }

    /// Watches until it is stopped.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let looking = async {
            loop {
                self.look().await;
                sleep(LOOK_EVERY).await;
            }
        };
        let reconciling = async {
            let mut reconciliation = Reconciliation::new(Arc::clone(&self.log), self.views.iter().cloned());
            loop {
                self.reconcile(&mut reconciliation).await;
                sleep(RECONCILE_EVERY).await;
            }
        };
        stop.run_until_cancelled(async { tokio::join!(looking, reconciling) }).await;
    }

    /// What is wrong now; nothing if all is well.
    pub fn alarms(&self) -> Vec<Alarm> {
        let state = self.state();
        let mut alarms = Vec::new();
        alarms.extend(state.damage.as_ref().map(|what| Alarm { view: None, what: what.clone() }));
        for (view, (position, since)) in &state.moved {
            if since.elapsed() >= FROZEN_AFTER {
                let (position, seconds) = (position.0, since.elapsed().as_secs());
                let what = format!("it stands at position {position} since {seconds} s while the log goes on");
                alarms.push(Alarm { view: Some((*view).to_owned()), what });
            }
        }
        for (view, finding) in state.found.iter().filter(|(_, finding)| !finding.consistent) {
            let Finding { position, taken_events, expected_events, .. } = finding;
            let what = format!(
                "up to position {position} it has taken {taken_events} events, and they are not the {expected_events} \
                 that the log has for it; rebuild it"
            );
            alarms.push(Alarm { view: Some((*view).to_owned()), what });
        }
        alarms
    }

    /// What each view has set aside.
    pub fn set_aside(&self) -> BTreeMap<&'static str, SetAside> {
        let of_view = |(view, generations): &Watched| (view.name(), generations.live_generation().store.set_aside());
        self.views.iter().map(of_view).collect()
    }

    async fn look(&self) {
        let Ok(head) = self.log.head().await else {
            // Whether the log goes on is not known: the time counts anew.
            self.state().moved.clear();
            return;
        };
        for (view, generations) in &self.views {
            let live = generations.live_generation().store;
            metrics::gauge!("projection_parked_streams", "view" => view.name())
                .set(live.set_aside().parked.len() as f64);
            let Ok(checkpoints) = live.checkpoints().await else { continue };
            let position = view_store::position(&checkpoints);
            let applied = Tally::of(&checkpoints).events as f64;
            metrics::gauge!("projection_events_applied", "view" => view.name()).set(applied);
            let mut state = self.state();
            let now = Instant::now();
            let (at, since) = state.moved.entry(view.name()).or_insert((position, now));
            if *at != position || position >= head {
                (*at, *since) = (position, now);
            }
            let frozen = since.elapsed() >= FROZEN_AFTER;
            metrics::gauge!("projection_frozen", "view" => view.name()).set(f64::from(u8::from(frozen)));
        }
    }

    async fn reconcile(&self, reconciliation: &mut Reconciliation) {
        match reconciliation.round(RECONCILE_PACE).await {
            Ok(findings) => findings.into_iter().for_each(|(view, finding)| self.found(view, finding)),
            Err(crate::worker::WorkerError::Log(error @ LogError::Damaged { .. })) => {
                tracing::error!(%error, "the log is not as it was written");
                self.state().damage = Some(error.to_string());
            }
            Err(error) => tracing::warn!(%error, "the views cannot be compared with the log now"),
        }
        metrics::gauge!("log_damaged").set(f64::from(u8::from(self.state().damage.is_some())));
    }

    fn found(&self, view: &'static str, finding: Finding) {
        let Finding { position, taken_events, expected_events, consistent } = finding;
        metrics::gauge!("projection_reconciled_position", "view" => view).set(position as f64);
        metrics::gauge!("projection_inconsistent", "view" => view).set(f64::from(u8::from(!consistent)));
        let before = self.state().found.insert(view, finding);
        if !consistent && before.is_none_or(|before| before.consistent) {
            tracing::error!(
                view,
                position,
                taken_events,
                expected_events,
                "the view has not taken what the log has for it"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds what is known")
    }
}
