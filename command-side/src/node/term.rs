//! One term of a node as the log's writer: its dispatcher, and no other, however long the node lives.

use super::Target;
use crate::commands::{Answer, Commands, Lane, Loaded, Request, Unavailable};
use crate::dispatcher::Dispatcher;
use futures_util::future::{BoxFuture, FutureExt};
use platform::event_log::{Revision, StreamId};
use platform::postgres::lease::{Epoch, Standing};
use tokio::sync::watch;
use tokio::time::Instant;

/// Commands to the node itself, under one epoch.
#[derive(Clone)]
pub struct Term {
    pub(super) epoch: Epoch,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) target: watch::Receiver<Target>,
}

impl Term {
    fn dispatcher(&self) -> Result<Dispatcher, Unavailable> {
        match &*self.target.borrow() {
            Target::Here(epoch, dispatcher) if *epoch == self.epoch => Ok(dispatcher.clone()),
            _ => Err(Unavailable::NoWriter),
        }
    }

    /// Passes on what was answered from memory, if nobody else can have written meanwhile: the lease is this node's still.
    fn while_ours<T>(&self, answer: T) -> Result<T, Unavailable> {
        match *self.standing.borrow() {
            Standing::Ours { epoch, until } if epoch == self.epoch && until > Instant::now() => Ok(answer),
            _ => Err(Unavailable::NoWriter),
        }
    }
}

impl Commands for Term {
    /// Needs no look at the lease: the answer is a verdict of the log, which checked the epoch.
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Answer, Unavailable>> {
        async move { self.dispatcher()?.send(request).await }.boxed()
    }

    fn peek(&self, lane: Lane, streams: Vec<StreamId>) -> BoxFuture<'_, Result<Vec<Loaded>, Unavailable>> {
        async move { self.while_ours(self.dispatcher()?.peek(lane, streams).await?) }.boxed()
    }

    fn follow(&self, stream: StreamId, after: Revision) -> BoxFuture<'_, Result<Answer, Unavailable>> {
        async move { self.while_ours(self.dispatcher()?.follow(stream, after).await?) }.boxed()
    }
}
