//! A node: takes commands to the log's one writer, be that this process or another one.
//!
//! Whoever has the writer's lease decides, with an empty cache at first; the others forward to it. A command whose answer
//! was lost with its writer is sent again under its id, to whoever is the writer then: the log finds what had taken effect.

mod cache;
pub mod remote;
pub mod service;
#[cfg(test)]
mod tests;
mod wire;

use crate::commands::{Answer, Commands, Lane, Loaded, Request, Unavailable};
use crate::dispatcher::{self, Dispatcher};
use crate::stream::Streams;
use cache::Cache;
use futures_util::future::{BoxFuture, FutureExt};
use platform::event_log::{EventLog, LogError, Revision, StreamId};
use platform::postgres::lease::{Epoch, Standing};
use platform::seam::Seam;
use platform::snapshot_store::SnapshotStore;
use remote::Remote;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long it is until a command is sent again that the writer did not answer.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// How a node is set up.
pub struct Settings {
    /// Of the dispatcher that runs while this node is the writer.
    pub dispatcher: dispatcher::Settings,
    /// What nodes prove to each other that they know.
    pub secret: Arc<str>,
    /// Snapshots of the log's long streams, in this node's own files.
    pub snapshots: Option<SnapshotStore>,
}

/// The log as it is written under an epoch of the writer's lease.
type Writing = dyn Fn(Epoch) -> Arc<dyn EventLog> + Send + Sync;

/// The node.
pub struct Node {
    shared: Arc<Shared>,
    failed: watch::Receiver<Option<LogError>>,
    stop: CancellationToken,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
}

pub(crate) struct Shared {
    streams: Streams,
    writing: Box<Writing>,
    standing: watch::Receiver<Standing>,
    /// The dispatcher, while this node is the writer.
    local: watch::Sender<Option<(Epoch, Dispatcher)>>,
    remote: Remote,
    seam: Seam,
    settings: dispatcher::Settings,
}

impl Node {
    /// Starts a node. With a listener it takes commands from other nodes, as long as it is the writer.
    pub fn start(
        log: Arc<dyn EventLog>,
        writing: impl Fn(Epoch) -> Arc<dyn EventLog> + Send + Sync + 'static,
        standing: watch::Receiver<Standing>,
        listener: Option<TcpListener>,
        seam: Seam,
        Settings { dispatcher, secret, snapshots }: Settings,
    ) -> Arc<Self> {
        let streams = Streams { log, snapshots: snapshots.map(Arc::new) };
        let remote = Remote::new(Arc::clone(&secret), Cache::new(streams.clone()), dispatcher.answer_within);
        let shared = Arc::new(Shared {
            streams,
            writing: Box::new(writing),
            standing,
            local: watch::Sender::new(None),
            remote,
            seam,
            settings: dispatcher,
        });
        let (stop, (fail, failed)) = (CancellationToken::new(), watch::channel(None));
        let mut tasks = JoinSet::new();
        tasks.spawn(lead(Arc::clone(&shared), fail, stop.clone()));
        if let Some(listener) = listener {
            tasks.spawn(service::serve(listener, Arc::clone(&shared), secret, stop.clone()));
        }
        Arc::new(Self { shared, failed, stop, tasks: tokio::sync::Mutex::new(tasks) })
    }

    /// Whether this node is the writer.
    pub fn is_writer(&self) -> bool {
        self.shared.local.borrow().is_some()
    }

    /// Returns when the log can no longer be trusted.
    pub async fn failure(&self) -> LogError {
        let mut failed = self.failed.clone();
        match failed.wait_for(Option::is_some).await {
            Ok(error) => error.clone().expect("it was waited for"),
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes no more commands, decides those at hand, and ends.
    pub async fn stop(&self) {
        self.stop.cancel();
        let mut tasks = self.tasks.lock().await;
        while tasks.join_next().await.is_some() {}
    }
}

/// Runs a dispatcher whenever the lease is ours, until it is lost or the node is stopped.
async fn lead(shared: Arc<Shared>, fail: watch::Sender<Option<LogError>>, stop: CancellationToken) {
    let gauge = metrics::gauge!("command_writer");
    gauge.set(0.0);
    let mut standing = shared.standing.clone();
    while !stop.is_cancelled() {
        let ours = standing.wait_for(|standing| matches!(standing, Standing::Ours { .. }));
        let Some(Ok(epoch)) = stop.run_until_cancelled(async { ours.await.map(|ours| epoch_of(&ours)) }).await else {
            return;
        };
        let Some(epoch) = epoch else { continue };
        let (tenure, log) = (stop.child_token(), (shared.writing)(epoch));
        let streams = Streams { log, snapshots: shared.streams.snapshots.clone() };
        let (dispatcher, mut deciding) =
            Dispatcher::start_on(streams, shared.seam.clone(), shared.settings, tenure.clone());
        tracing::info!(epoch = epoch.0, "this node is the log's writer");
        shared.local.send_replace(Some((epoch, dispatcher)));
        gauge.set(1.0);
        let ended = tokio::select! {
            ended = &mut deciding => Some(ended),
            _ = standing.wait_for(|standing| epoch_of(standing) != Some(epoch)) => None,
            () = stop.cancelled() => None,
        };
        shared.local.send_replace(None);
        gauge.set(0.0);
        // What it was asked is answered by the log: decided, or that another node is the writer.
        tenure.cancel();
        let ended = match ended {
            Some(ended) => ended,
            None => deciding.await,
        };
        match ended.expect("deciding does not panic, and nobody aborts it") {
            Ok(()) => {}
            Err(LogError::Deposed) => {
                tracing::warn!(epoch = epoch.0, "another node is the log's writer now");
                // Not before the lease's keeper knows it too: under this epoch nothing can be written any more.
                let other = standing.wait_for(|standing| epoch_of(standing) != Some(epoch));
                let _ = stop.run_until_cancelled(other).await;
            }
            Err(error) => {
                fail.send_replace(Some(error));
                return;
            }
        }
    }
}

fn epoch_of(standing: &Standing) -> Option<Epoch> {
    match standing {
        Standing::Ours { epoch, .. } => Some(*epoch),
        Standing::Theirs { .. } | Standing::Unknown => None,
    }
}

impl Shared {
    /// The dispatcher of an epoch, or of any, while this node is the writer.
    pub(crate) fn dispatcher(&self, of: Option<Epoch>) -> Option<(Epoch, Dispatcher)> {
        self.local.borrow().clone().filter(|(epoch, _)| of.is_none_or(|of| of == *epoch))
    }

    /// Whether the lease is surely ours under this epoch: what is answered from memory is only then what the log says.
    pub(crate) fn is_surely(&self, of: Epoch) -> bool {
        matches!(&*self.standing.borrow(), Standing::Ours { epoch, until } if *epoch == of && *until > Instant::now())
    }

    /// Asks the writer, and asks again whoever is it then, until there is an answer or the time is over.
    async fn ask<'a, T>(
        &self,
        here: impl Fn(Dispatcher) -> Asking<'a, T>,
        there: impl Fn(String, Epoch) -> Asking<'a, T>,
        verdict: Verdict,
    ) -> Result<T, Unavailable> {
        let asking = async {
            loop {
                let standing = self.standing.borrow().clone();
                let answer = match (self.dispatcher(None), standing) {
                    (Some((epoch, dispatcher)), _) => match here(dispatcher).await {
                        Ok(_) if verdict == Verdict::OfMemory && !self.is_surely(epoch) => Err(Unavailable::Log),
                        answer => answer,
                    },
                    (None, Standing::Theirs { address, epoch }) => there(address, epoch).await,
                    (None, Standing::Ours { .. } | Standing::Unknown) => Err(Unavailable::Log),
                };
                match answer {
                    Err(Unavailable::Log | Unavailable::Stopping) => sleep(AGAIN_AFTER).await,
                    answer => return answer,
                }
            }
        };
        timeout(self.settings.answer_within, asking).await.unwrap_or(Err(Unavailable::TimedOut))
    }
}

/// A question on its way.
type Asking<'a, T> = BoxFuture<'a, Result<T, Unavailable>>;

/// What an answer of this node rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The log's word.
    OfLog,
    /// What the dispatcher remembers.
    OfMemory,
}

impl Commands for Node {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Answer, Unavailable>> {
        let request = Arc::new(request);
        let sent = Arc::clone(&request);
        let here = move |dispatcher: Dispatcher| {
            let request = Request::clone(&sent);
            async move { dispatcher.send(request).await }.boxed()
        };
        let there = move |address: String, epoch| {
            let request = Arc::clone(&request);
            async move { self.shared.remote.send(&address, epoch, &request).await }.boxed()
        };
        self.shared.ask(here, there, Verdict::OfLog).boxed()
    }

    fn peek(&self, lane: Lane, streams: Vec<StreamId>) -> BoxFuture<'_, Result<Vec<Loaded>, Unavailable>> {
        let streams: Arc<[StreamId]> = streams.into();
        let asked = Arc::clone(&streams);
        let here = move |dispatcher: Dispatcher| {
            let streams = asked.to_vec();
            async move { dispatcher.peek(lane, streams).await }.boxed()
        };
        let there = move |address: String, epoch| {
            let streams = Arc::clone(&streams);
            async move { self.shared.remote.peek(&address, epoch, lane, &streams).await }.boxed()
        };
        self.shared.ask(here, there, Verdict::OfMemory).boxed()
    }

    fn follow(&self, stream: StreamId, after: Revision) -> BoxFuture<'_, Result<Answer, Unavailable>> {
        let followed = stream.clone();
        let here = move |dispatcher: Dispatcher| {
            let stream = followed.clone();
            async move { dispatcher.follow(stream, after).await }.boxed()
        };
        let there = move |address: String, epoch| {
            let stream = stream.clone();
            async move { self.shared.remote.follow(&address, epoch, &stream, after).await }.boxed()
        };
        self.shared.ask(here, there, Verdict::OfMemory).boxed()
    }
}
