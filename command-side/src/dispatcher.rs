//! The dispatcher: the loop that drives [`Aggregates`] between its callers and the log.

mod followers;
mod snapshots;
#[cfg(test)]
pub(crate) mod tests;

use crate::aggregates::{Aggregates, Limits, Offer, Step};
use crate::commands::{Answer, Commands, Lane, Loaded, Request, Unavailable};
use crate::stream::{LoadError, Read, Streams};
use followers::Followers;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use platform::event_log::{EventLog, LogError, Position, Revision, StreamId, Verdict};
use platform::seam::Seam;
use platform::snapshot_store::SnapshotStore;
use snapshots::Snapshots;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

type CommandReply = oneshot::Sender<Result<Answer, Unavailable>>;
type PeekReply = oneshot::Sender<Result<Loaded, Unavailable>>;

/// The bounds of a dispatcher and of those who wait for it.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Of the aggregates.
    pub limits: Limits,
    /// How long a caller waits for an answer.
    pub answer_within: Duration,
    /// Streams read from the log, or answered from it, at once.
    pub concurrent_loads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { limits: Limits::default(), answer_within: Duration::from_secs(10), concurrent_loads: 64 }
    }
}

enum Message {
    Command(Box<Request>, CommandReply),
    Peek(StreamId, PeekReply),
    Follow(StreamId, Revision, CommandReply),
}

/// The dispatcher's handle: sends to its two lanes.
#[derive(Clone)]
pub struct Dispatcher {
    customer: mpsc::Sender<Message>,
    system: mpsc::Sender<Message>,
    answer_within: Duration,
}

impl Dispatcher {
    /// Starts the loop. After `stop` it takes no more commands, finishes those that it has, and ends;
    /// a log that can no longer be trusted, or that has another writer now, ends it with that error.
    pub fn start(
        log: Arc<dyn EventLog>,
        seam: Seam,
        settings: Settings,
        stop: CancellationToken,
    ) -> (Self, JoinHandle<Result<(), LogError>>) {
        Self::start_on(Streams { log, snapshots: None }, seam, settings, stop)
    }

    /// Starts the loop as [`Dispatcher::start`] does, beside snapshots of the log's long streams.
    pub fn start_with_snapshots(
        log: Arc<dyn EventLog>,
        snapshots: SnapshotStore,
        seam: Seam,
        settings: Settings,
        stop: CancellationToken,
    ) -> (Self, JoinHandle<Result<(), LogError>>) {
        Self::start_on(Streams { log, snapshots: Some(Arc::new(snapshots)) }, seam, settings, stop)
    }

    pub(crate) fn start_on(
        streams: Streams,
        seam: Seam,
        settings: Settings,
        stop: CancellationToken,
    ) -> (Self, JoinHandle<Result<(), LogError>>) {
        let (customer, from_customers) = mpsc::channel(settings.limits.queue_depth);
        let (system, from_system) = mpsc::channel(settings.limits.queue_depth);
        let task = Loop {
            aggregates: Aggregates::new(settings.limits, seam.clock),
            snapshots: Snapshots::new(streams.clone()),
            streams,
            committing: None,
            reads: JoinSet::new(),
            queued_reads: VecDeque::new(),
            followers: Followers::new(settings.limits.queue_depth),
            concurrent_reads: settings.concurrent_loads,
            depths: [(Lane::Customer, "customer"), (Lane::System, "system")]
                .map(|(lane, name)| (lane, metrics::gauge!("dispatcher_commands_under_way", "lane" => name))),
        };
        let running = tokio::spawn(task.run([from_customers, from_system], stop));
        (Self { customer, system, answer_within: settings.answer_within }, running)
    }

    async fn ask<T>(
        &self,
        lane: Lane,
        message: Message,
        reply: oneshot::Receiver<Result<T, Unavailable>>,
    ) -> Result<T, Unavailable> {
        let sender = match lane {
            Lane::Customer => &self.customer,
            Lane::System => &self.system,
        };
        sender.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unavailable::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Unavailable::Stopping,
        })?;
        match tokio::time::timeout(self.answer_within, reply).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Unavailable::Stopping),
            Err(_) => Err(Unavailable::TimedOut),
        }
    }
}

impl Commands for Dispatcher {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Answer, Unavailable>> {
        let (reply, answer) = oneshot::channel();
        self.ask(request.lane, Message::Command(Box::new(request), reply), answer).boxed()
    }

    fn peek(&self, lane: Lane, streams: Vec<StreamId>) -> BoxFuture<'_, Result<Vec<Loaded>, Unavailable>> {
        let one = move |stream| {
            let (reply, answer) = oneshot::channel();
            self.ask(lane, Message::Peek(stream, reply), answer)
        };
        let all = join_all(streams.into_iter().map(one));
        async move { all.await.into_iter().collect() }.boxed()
    }

    fn follow(&self, stream: StreamId, after: Revision) -> BoxFuture<'_, Result<Answer, Unavailable>> {
        let (reply, answer) = oneshot::channel();
        self.ask(Lane::Customer, Message::Follow(stream, after, reply), answer).boxed()
    }
}

/// What a task that reads the log brings back.
enum Brought {
    Loaded(StreamId, Result<Read, Unavailable>),
    Recalled(CommandReply, Result<Answer, Unavailable>),
}

struct Loop {
    aggregates: Aggregates<CommandReply, PeekReply>,
    streams: Streams,
    snapshots: Snapshots,
    committing: Option<BoxFuture<'static, Result<Vec<Verdict>, LogError>>>,
    reads: JoinSet<Brought>,
    queued_reads: VecDeque<BoxFuture<'static, Brought>>,
    followers: Followers,
    concurrent_reads: usize,
    depths: [(Lane, metrics::Gauge); 2],
}

impl Loop {
    async fn run(
        mut self,
        [mut customer, mut system]: [mpsc::Receiver<Message>; 2],
        stop: CancellationToken,
    ) -> Result<(), LogError> {
        let mut stopping = false;
        loop {
            tokio::select! {
                biased;
                // Also if it was cancelled while nothing was awaited.
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    customer.close();
                    system.close();
                }
                result = committed(&mut self.committing), if self.committing.is_some() => {
                    self.committing = None;
                    self.settle(result)?;
                }
                Some(read) = self.reads.join_next() => self.took(read),
                Some(message) = system.recv() => self.receive(message),
                Some(message) = customer.recv() => self.receive(message),
                else => return Ok(()),
            }
            // What has come meanwhile goes into the same batch.
            while let Ok(message) = system.try_recv().or_else(|_| customer.try_recv()) {
                self.receive(message);
            }
            self.advance();
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Command(request, reply) => {
                if let Offer::Full(reply) = self.aggregates.offer(*request, reply) {
                    let _ = reply.send(Err(Unavailable::Overloaded));
                }
            }
            Message::Peek(stream, reply) => {
                let (offer, step) = self.aggregates.peek(stream, reply);
                if let Offer::Full(reply) = offer {
                    let _ = reply.send(Err(Unavailable::Overloaded));
                }
                self.reply(step);
            }
            Message::Follow(stream, after, reply) => match self.aggregates.durable(&stream) {
                Some((loaded, position)) if loaded.revision > after => {
                    let _ = reply.send(Ok(Answer { outcome: Ok(loaded), position }));
                }
                _ => self.followers.add(stream, after, reply),
            },
        }
    }

    fn settle(&mut self, result: Result<Vec<Verdict>, LogError>) -> Result<(), LogError> {
        let (step, outcome) = match result {
            Ok(verdicts) => (self.aggregates.settle(verdicts), Ok(())),
            Err(last @ (LogError::Fatal(_) | LogError::Deposed)) => {
                (self.aggregates.abandon(&Unavailable::Log), Err(last))
            }
            Err(error) => {
                tracing::error!(%error, "a batch of events failed; its commands are answered as unavailable");
                (self.aggregates.failed(&Unavailable::Log), Ok(()))
            }
        };
        self.reply(step);
        outcome
    }

    fn took(&mut self, brought: Result<Brought, tokio::task::JoinError>) {
        match brought.expect("reading the log does not panic, and nobody aborts it") {
            Brought::Loaded(stream, Ok(Read { loaded, last, begun_at })) => {
                self.snapshots.begun_at(&stream, begun_at);
                let step = self.aggregates.loaded(&stream, last, Ok(loaded));
                self.reply(step);
            }
            Brought::Loaded(stream, Err(unavailable)) => {
                let step = self.aggregates.loaded(&stream, Position(0), Err(unavailable));
                self.reply(step);
            }
            Brought::Recalled(reply, answer) => {
                let _ = reply.send(answer);
            }
        }
    }

    /// A caller who no longer waits is no error: what was decided stands.
    fn reply(&mut self, step: Step<CommandReply, PeekReply>) {
        for (reply, answer) in step.answers {
            let _ = reply.send(answer);
        }
        for (reply, loaded) in step.peeked {
            let _ = reply.send(loaded);
        }
        for (stream, loaded, position) in step.advanced {
            self.followers.advanced(&stream, &loaded, position);
            self.snapshots.advanced(&stream, &loaded);
        }
        for (reply, first) in step.recalls {
            let streams = self.streams.clone();
            let recall = async move {
                let recalled = streams.recall(&first).await;
                let answer = recalled.map(|Read { loaded, last, .. }| Answer { outcome: Ok(loaded), position: last });
                Brought::Recalled(reply, answer.map_err(|error| unreadable(&error)))
            };
            self.queued_reads.push_back(recall.boxed());
        }
    }

    /// Starts what can be started: reads of the log, and the next commit.
    fn advance(&mut self) {
        for id in self.aggregates.loads() {
            let streams = self.streams.clone();
            let load = async move {
                let read = streams.load(&id).await.map_err(|error| unreadable(&error));
                Brought::Loaded(id, read)
            };
            self.queued_reads.push_back(load.boxed());
        }
        while self.reads.len() < self.concurrent_reads
            && let Some(read) = self.queued_reads.pop_front()
        {
            self.reads.spawn(read);
        }
        if self.committing.is_none() {
            let batch = self.aggregates.next_batch();
            if !batch.is_empty() {
                let log = Arc::clone(&self.streams.log);
                self.committing = Some(async move { log.append(batch).await }.boxed());
            }
        }
        for (lane, gauge) in &self.depths {
            gauge.set(self.aggregates.depth(*lane) as f64);
        }
    }
}

async fn committed(
    committing: &mut Option<BoxFuture<'static, Result<Vec<Verdict>, LogError>>>,
) -> Result<Vec<Verdict>, LogError> {
    match committing {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

fn unreadable(error: &LoadError) -> Unavailable {
    tracing::error!(%error, "a stream cannot be read; its commands are answered as unavailable");
    Unavailable::Log
}
