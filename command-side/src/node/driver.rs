//! Follows the writer's lease: starts a dispatcher when this node gains it, ends it at once when it is lost.

use super::{Target, Writing};
use crate::dispatcher::{self, Dispatcher};
use crate::remote::{Peers, Remote};
use crate::stream::Streams;
use platform::event_log::LogError;
use platform::postgres::lease::{Epoch, Standing};
use platform::seam::Seam;
use platform::snapshot_store::SnapshotStore;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

pub(super) struct Driver {
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) target: watch::Sender<Target>,
    pub(super) term: watch::Sender<Option<Epoch>>,
    pub(super) writing: Writing,
    pub(super) snapshots: Option<Arc<SnapshotStore>>,
    pub(super) seam: Seam,
    pub(super) settings: dispatcher::Settings,
    pub(super) peers: Peers,
    /// The node that commands went to last: its connection is kept for its next term.
    pub(super) last: Option<Remote>,
}

/// A dispatcher of this node's, and the epoch it decides under.
struct Deciding {
    epoch: Epoch,
    stop: CancellationToken,
    loop_: JoinHandle<Result<(), LogError>>,
}

impl Driver {
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), LogError> {
        let mut deciding: Option<Deciding> = None;
        // The last epoch of which the log said that it is over, whatever the lease says still.
        let mut over = Epoch(0);
        loop {
            let standing = self.standing.borrow_and_update().clone();
            self.take(&standing, &mut deciding, over).await;
            tokio::select! {
                () = stop.cancelled() => break,
                changed = self.standing.changed() => if changed.is_err() {
                    // Nobody looks after the lease any more.
                    self.leave(&mut deciding).await;
                    stop.cancelled().await;
                    break;
                },
                ended = ended(&mut deciding) => {
                    over = deciding.take().map_or(over, |deciding| deciding.epoch);
                    self.announce(Target::Nobody);
                    match ended.expect("the dispatcher does not panic, and nobody aborted it") {
                        Err(LogError::Deposed) => tracing::info!("another node writes the log now, the log says"),
                        other => return other,
                    }
                }
            }
        }
        self.announce(Target::Stopped);
        let Some(Deciding { stop, loop_, .. }) = deciding else { return Ok(()) };
        stop.cancel();
        match loop_.await.expect("the dispatcher does not panic, and nobody aborted it") {
            Err(LogError::Deposed) => Ok(()),
            other => other,
        }
    }

    /// Has commands go where they belong now.
    async fn take(&mut self, standing: &Standing, deciding: &mut Option<Deciding>, over: Epoch) {
        match standing {
            Standing::Ours { epoch, .. } if deciding.as_ref().is_some_and(|deciding| deciding.epoch == *epoch) => {}
            Standing::Ours { epoch, .. } if *epoch <= over => {}
            Standing::Ours { epoch, .. } => {
                self.leave(deciding).await;
                *deciding = Some(self.begin(*epoch));
            }
            Standing::Theirs { address, epoch } => {
                if matches!(&*self.target.borrow(), Target::There(remote) if remote.is(address, *epoch)) {
                    return;
                }
                self.leave(deciding).await;
                let known = self.last.take().filter(|remote| remote.address() == address);
                let remote = known.map_or_else(|| self.peers.at(address, *epoch), |remote| Ok(remote.under(*epoch)));
                match remote {
                    Ok(remote) => {
                        self.last = Some(remote.clone());
                        self.announce(Target::There(Arc::new(remote)));
                    }
                    Err(error) => tracing::error!(%error, "`{address}` is no address of a node"),
                }
            }
            Standing::Unknown => self.leave(deciding).await,
        }
    }

    fn begin(&self, epoch: Epoch) -> Deciding {
        let streams = Streams { log: (self.writing)(epoch), snapshots: self.snapshots.clone() };
        let stop = CancellationToken::new();
        let (dispatcher, loop_) = Dispatcher::start_on(streams, self.seam.clone(), self.settings, stop.clone());
        self.announce(Target::Here(epoch, dispatcher));
        Deciding { epoch, stop, loop_ }
    }

    /// Ends the dispatcher as it stands: what it has not answered is asked of the next writer.
    async fn leave(&self, deciding: &mut Option<Deciding>) {
        self.announce(Target::Nobody);
        if let Some(Deciding { loop_, .. }) = deciding.take() {
            loop_.abort();
            // Only that it was aborted, or had ended before.
            let _ = loop_.await;
        }
    }

    fn announce(&self, target: Target) {
        let epoch = if let Target::Here(epoch, _) = &target { Some(*epoch) } else { None };
        metrics::gauge!("command_writer").set(if epoch.is_some() { 1.0 } else { 0.0 });
        self.target.send_if_modified(|before| {
            let changed = !matches!((&*before, &target), (Target::Nobody, Target::Nobody));
            *before = target;
            changed
        });
        self.term.send_if_modified(|before| std::mem::replace(before, epoch) != epoch);
    }
}

async fn ended(deciding: &mut Option<Deciding>) -> Result<Result<(), LogError>, JoinError> {
    match deciding {
        Some(Deciding { loop_, .. }) => loop_.await,
        None => std::future::pending().await,
    }
}
