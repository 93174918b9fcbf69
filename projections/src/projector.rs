//! The role `projector`, for one view: keeps its generations level with the log.

use crate::any_view::AnyView;
use crate::dead_letters;
use crate::worker::{Worker, WorkerError};
use futures_util::future::join_all;
use platform::bus::Deliveries;
use platform::event_log::EventLog;
use platform::view_store::{self, Generation, Generations, Stage, ViewStore};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What views are built from.
#[derive(Clone)]
pub struct Source {
    /// The log, for what is not delivered.
    pub log: Arc<dyn EventLog>,
    /// What is delivered.
    pub deliveries: Arc<dyn Deliveries>,
}

/// How long a worker that failed rests before another one is started.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// Feeds every generation that is complete, the live one and those beside it, until it is stopped.
pub async fn run(
    view: &'static dyn AnyView,
    generations: Arc<dyn Generations>,
    source: Source,
    stop: CancellationToken,
) {
    let mut all = generations.all();
    // The generations whose streams that were set aside have been tried again.
    let mut retried = BTreeSet::new();
    while !stop.is_cancelled() {
        let mut fed: Vec<Generation> = all.borrow_and_update().clone();
        fed.retain(|generation| generation.stage != Stage::Building);
        let round = stop.child_token();
        let feeding = join_all(fed.iter().map(async |generation| {
            let is_retried = retried.contains(&generation.number);
            feed(view, generations.as_ref(), generation, &source, is_retried, &round).await
        }));
        let changed = async {
            // Without the sender the generations are closed, and so is all that would feed them.
            let _ = all.changed().await;
            round.cancel();
        };
        let (are_retried, _) = tokio::join!(feeding, round.run_until_cancelled(changed));
        retried = fed.iter().zip(are_retried).filter(|(_, is)| *is).map(|(generation, _)| generation.number).collect();
    }
}

/// A worker, and another one after it failed. Answers whether the streams that were set aside have been tried again.
async fn feed(
    view: &'static dyn AnyView,
    generations: &dyn Generations,
    generation: &Generation,
    source: &Source,
    mut is_retried: bool,
    stop: &CancellationToken,
) -> bool {
    while !stop.is_cancelled() {
        if let Err(error) = feed_once(view, &generation.store, source, &mut is_retried, stop.clone()).await {
            if !generations.all().borrow().iter().any(|other| other.number == generation.number) {
                // It was dropped meanwhile.
                break;
            }
            let view = view.name();
            tracing::error!(view, %error, "the view does not go on; trying again in a second");
            metrics::counter!("projection_failures_total", "view" => view).increment(1);
            stop.run_until_cancelled(tokio::time::sleep(RESTART_AFTER)).await;
        }
    }
    is_retried
}

async fn feed_once(
    view: &'static dyn AnyView,
    store: &Arc<dyn ViewStore>,
    source: &Source,
    is_retried: &mut bool,
    stop: CancellationToken,
) -> Result<(), WorkerError> {
    // What was set aside by an older program, this one may be able to take.
    if !*is_retried {
        dead_letters::retry_all(view, source.log.as_ref(), store).await?;
        *is_retried = true;
    }
    let position = view_store::position(&store.checkpoints().await?);
    let bus = Arc::clone(&source.deliveries).subscribe(position);
    Worker::open(view, Arc::clone(store)).await?.run(bus, source.log.as_ref(), stop).await
}
