//! The role `projector`, for one view: keeps its generations level with the log.

use crate::any_view::AnyView;
use crate::dead_letters;
use crate::worker::{Worker, WorkerError};
use futures_util::future::join_all;
use platform::bus::log_tail::{LogTail, Recent};
use platform::view_store::{self, Generation, Generations, Stage};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a worker that failed rests before another one is started.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// Feeds every generation that is complete, the live one and those beside it, until it is stopped.
pub async fn run(
    view: &'static dyn AnyView,
    generations: Arc<dyn Generations>,
    recent: Arc<Recent>,
    stop: CancellationToken,
) {
    let mut all = generations.all();
    let retried = Mutex::new(BTreeSet::new());
    while !stop.is_cancelled() {
        let mut fed: Vec<Generation> = all.borrow_and_update().clone();
        fed.retain(|generation| generation.stage != Stage::Building);
        let round = stop.child_token();
        let feeding = join_all(
            fed.iter().map(|generation| feed(view, generations.as_ref(), generation, &recent, &retried, &round)),
        );
        let changed = async {
            // Without the sender the generations are closed, and so is all that would feed them.
            let _ = all.changed().await;
            round.cancel();
        };
        tokio::join!(feeding, async {
            round.run_until_cancelled(changed).await;
        });
    }
}

/// A worker, and another one after it failed.
async fn feed(
    view: &'static dyn AnyView,
    generations: &dyn Generations,
    generation: &Generation,
    recent: &Arc<Recent>,
    retried: &Mutex<BTreeSet<u32>>,
    stop: &CancellationToken,
) {
    while !stop.is_cancelled() {
        if let Err(error) = feed_once(view, generation, recent, retried, stop.clone()).await {
            if !generations.all().borrow().iter().any(|other| other.number == generation.number) {
                // It was dropped meanwhile.
                return;
            }
            let view = view.name();
            tracing::error!(view, %error, "the view does not go on; trying again in a second");
            metrics::counter!("projection_failures_total", "view" => view).increment(1);
            stop.run_until_cancelled(tokio::time::sleep(RESTART_AFTER)).await;
        }
    }
}

async fn feed_once(
    view: &'static dyn AnyView,
    generation: &Generation,
    recent: &Arc<Recent>,
    retried: &Mutex<BTreeSet<u32>>,
    stop: CancellationToken,
) -> Result<(), WorkerError> {
    let Generation { number, store, .. } = generation;
    // What was set aside by an older program, this one may be able to take.
    if !lock(retried).contains(number) {
        dead_letters::retry_all(view, recent.log(), store).await?;
        lock(retried).insert(*number);
    }
    let position = view_store::position(&store.checkpoints().await?);
    let bus = Box::new(LogTail::new(Arc::clone(recent), position));
    Worker::open(view, Arc::clone(store)).await?.run(bus, stop).await
}

/// The generations whose streams that were set aside have been tried again.
fn lock(retried: &Mutex<BTreeSet<u32>>) -> MutexGuard<'_, BTreeSet<u32>> {
    retried.lock().expect("nothing panics while it holds the numbers")
}
