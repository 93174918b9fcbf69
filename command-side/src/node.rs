//! A node's commands, wherever the log's writer is: decided here while this node has the writer's lease, else sent to the
//! node that has it, and sent again when it changes hands.
//!
//! A repeat has its command's id, and the log finds it: so whoever asks sees neither the change nor a second effect. That
//! a writer that lost its lease unawares decides nothing is the log's affair, which checks the epoch with every batch.
//! What is answered from memory is answered only while the lease is surely this node's.

mod driver;
pub mod term;
#[cfg(test)]
mod tests;

use crate::commands::{Answer, Commands, Lane, Loaded, Request, Unavailable};
use crate::dispatcher::{self, Dispatcher};
use crate::remote::{Peers, Remote};
use crate::secret::Secret;
use driver::Driver;
use futures_util::future::{BoxFuture, FutureExt};
use platform::event_log::{EventLog, LogError, Revision, StreamId};
use platform::postgres::lease::{Epoch, Standing};
use platform::seam::Seam;
use platform::snapshot_store::SnapshotStore;
use std::sync::Arc;
use std::time::Duration;
use term::Term;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// How long it rests before it asks the same node again, the first time and at most.
const REST_MIN: Duration = Duration::from_millis(5);
const REST_MAX: Duration = Duration::from_millis(500);

/// Opens the log for a writer of this epoch: it takes that epoch's appends only while no later one has begun.
pub type Writing = Arc<dyn Fn(Epoch) -> Arc<dyn EventLog> + Send + Sync>;

/// What a node is made of.
pub struct Parts {
    /// To read from.
    pub log: Arc<dyn EventLog>,
    /// To append to.
    pub writing: Writing,
    /// This node's own snapshots of long streams.
    pub snapshots: Option<Arc<SnapshotStore>>,
    /// For the time.
    pub seam: Seam,
    /// Of the dispatcher, while there is one; `answer_within` is every caller's bound.
    pub settings: dispatcher::Settings,
    /// What the nodes know each other by.
    pub secret: Secret,
}

/// The handle.
#[derive(Clone)]
pub struct Node {
    standing: watch::Receiver<Standing>,
    target: watch::Receiver<Target>,
    writing: watch::Receiver<Option<Epoch>>,
    answer_within: Duration,
}

/// Where commands go.
#[derive(Clone)]
enum Target {
    /// Nowhere: nobody is known to write the log.
    Nobody,
    /// To the dispatcher in this process.
    Here(Epoch, Dispatcher),
    /// To another node.
    There(Arc<Remote>),
    /// Nowhere any more: this node is stopping.
    Stopped,
}

impl Node {
    /// Begins to follow the writer's lease. The task ends after `stop`, once what this node's dispatcher has is answered;
    /// the lease is to be given back only then. It ends with an error if this process can no longer trust the log.
    pub fn start(
        parts: Parts,
        standing: watch::Receiver<Standing>,
        stop: CancellationToken,
    ) -> (Self, JoinHandle<Result<(), LogError>>) {
        let Parts { log, writing, snapshots, seam, settings, secret } = parts;
        let answer_within = settings.answer_within;
        let (target, targets) = watch::channel(Target::Nobody);
        let (term, terms) = watch::channel(None);
        let peers = Peers::new(seam.random_uuid(), log, snapshots.clone(), secret, answer_within);
        let driver =
            Driver { standing: standing.clone(), target, term, writing, snapshots, seam, settings, peers, last: None };
        let running = tokio::spawn(driver.run(stop));
        (Self { standing, target: targets, writing: terms, answer_within }, running)
    }

    /// Whether this node writes the log.
    pub fn is_writer(&self) -> bool {
        self.writing.borrow().is_some()
    }

    /// Under which epoch this node writes the log, if it does; told whenever that changes.
    pub fn writing(&self) -> watch::Receiver<Option<Epoch>> {
        self.writing.clone()
    }

    /// This node's own dispatcher, while it writes the log under this epoch; else nobody, wherever the writer is. What is
    /// sent there takes no effect in a later term.
    pub fn under(&self, epoch: Epoch) -> Term {
        Term { epoch, standing: self.standing.clone(), target: self.target.clone() }
    }

    /// Asks whoever writes the log, and whoever does so then, until there is an answer or the caller's time is over.
    async fn insist<T>(
        &self,
        ask: impl Fn(Arc<dyn Commands>) -> BoxFuture<'static, Result<T, Unavailable>>,
    ) -> Result<T, Unavailable> {
        let deadline = Instant::now() + self.answer_within;
        let mut targets = self.target.clone();
        let (mut last, mut rest) = (Unavailable::NoWriter, REST_MIN);
        loop {
            let target: Option<Arc<dyn Commands>> = match &*targets.borrow_and_update() {
                Target::Nobody => None,
                Target::Here(epoch, _) => Some(Arc::new(self.under(*epoch))),
                Target::There(remote) => Some(remote.clone()),
                Target::Stopped => return Err(Unavailable::Stopping),
            };
            if let Some(target) = target {
                tokio::select! {
                    // An answer that is there counts, whatever else is.
                    biased;
                    answered = ask(target) => match answered {
                        Ok(answer) => return Ok(answer),
                        Err(passing @ (Unavailable::Log | Unavailable::Stopping | Unavailable::NoWriter)) => last = passing,
                        Err(lasting @ (Unavailable::Overloaded | Unavailable::TimedOut)) => return Err(lasting),
                    },
                    () = elsewhere(&mut targets) => {
                        rest = REST_MIN;
                        continue;
                    }
                    () = sleep_until(deadline) => return Err(Unavailable::TimedOut),
                }
                metrics::counter!("command_retries_total").increment(1);
                tokio::select! {
                    () = sleep(rest) => rest = (rest * 2).min(REST_MAX),
                    _ = targets.changed() => rest = REST_MIN,
                    () = sleep_until(deadline) => return Err(last),
                }
            } else {
                tokio::select! {
                    _ = targets.changed() => rest = REST_MIN,
                    () = sleep_until(deadline) => return Err(last),
                }
            }
        }
    }
}

/// Returns once commands go to another place. What a stopping node has under way, it answers.
async fn elsewhere(targets: &mut watch::Receiver<Target>) {
    while targets.changed().await.is_ok() {
        if !matches!(*targets.borrow(), Target::Stopped) {
            return;
        }
    }
    std::future::pending().await
}

impl Commands for Node {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Answer, Unavailable>> {
        let ask = move |writer: Arc<dyn Commands>| {
            let request = request.clone();
            async move { writer.send(request).await }.boxed()
        };
        self.insist(ask).boxed()
    }

    fn peek(&self, lane: Lane, streams: Vec<StreamId>) -> BoxFuture<'_, Result<Vec<Loaded>, Unavailable>> {
        let ask = move |writer: Arc<dyn Commands>| {
            let streams = streams.clone();
            async move { writer.peek(lane, streams).await }.boxed()
        };
        self.insist(ask).boxed()
    }

    fn follow(&self, stream: StreamId, after: Revision) -> BoxFuture<'_, Result<Answer, Unavailable>> {
        let ask = move |writer: Arc<dyn Commands>| {
            let stream = stream.clone();
            async move { writer.follow(stream, after).await }.boxed()
        };
        self.insist(ask).boxed()
    }
}
