//! Commands from other nodes, over gRPC: decided here while this node writes the log, and never handed on.

use crate::commands::{Answer, Commands, Unavailable};
use crate::node::Node;
use crate::remote::CONCURRENT_CALLS;
use crate::secret::Secret;
use crate::wire::{self, MESSAGE_BYTES, WireError, v1};
use futures_util::future::{BoxFuture, FutureExt};
use lru::LruCache;
use platform::event_log::{Revision, StreamId};
use platform::postgres::lease::Epoch;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use uuid::Uuid;
use v1::commands_server::{Commands as Service, CommandsServer};

/// The calls of one connection that may be under way: of each kind as many as its node sends at once, and then some.
const CONCURRENT_STREAMS: u32 = 4 * CONCURRENT_CALLS as u32;

/// How long a silent connection is believed to live.
const ALIVE_WITHIN: Duration = Duration::from_secs(5);

/// Sending processes that are remembered: all that a deployment has, with many that it had.
const SENDERS: NonZeroUsize = NonZeroUsize::new(1_024).expect("it is not zero");

/// Streams that one peek may name: an order has a thousand lines, and is one itself.
const PEEKED_STREAMS: usize = 2_048;

/// Serves other nodes until it is stopped; then what is under way is answered, and nothing more is taken.
pub async fn serve(
    listener: TcpListener,
    node: Node,
    secret: Secret,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let service = CommandsServer::new(Served { node, secret, sessions: Mutex::new(LruCache::new(SENDERS)) })
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    Server::builder()
        .max_concurrent_streams(CONCURRENT_STREAMS)
        .http2_keepalive_interval(Some(ALIVE_WITHIN))
        .http2_keepalive_timeout(Some(ALIVE_WITHIN))
        .add_service(service)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stop.cancelled_owned())
        .await
}

/// What other nodes see.
struct Served {
    node: Node,
    secret: Secret,
    /// The latest session of each sender.
    sessions: Mutex<LruCache<Uuid, u64>>,
}

impl Served {
    /// The message of a caller who is a node.
    fn admit<M>(&self, request: Request<M>) -> Result<M, Status> {
        self.secret.verify(request.metadata())?;
        Ok(request.into_inner())
    }

    /// Decides a command, unless its sender has given up the session that it comes in. What is in the dispatcher's queue
    /// before a session ends is before its next attempt; so the queue is entered under the lock.
    async fn decide(
        &self,
        sender: Uuid,
        session: u64,
        mut decided: BoxFuture<'_, Result<Answer, Unavailable>>,
    ) -> Result<Answer, Unavailable> {
        let entered = poll_fn(|context| {
            let mut sessions = self.sessions.lock().expect("nothing panics while it holds the sessions");
            let latest = sessions.get_or_insert_mut(sender, || session);
            if session < *latest {
                return Poll::Ready(Poll::Ready(Err(Unavailable::NoWriter)));
            }
            *latest = session;
            Poll::Ready(decided.poll_unpin(context))
        });
        match entered.await {
            Poll::Ready(answer) => answer,
            Poll::Pending => decided.await,
        }
    }
}

fn malformed(error: WireError) -> Status {
    Status::invalid_argument(error.to_string())
}

#[tonic::async_trait]
impl Service for Served {
    async fn send(&self, request: Request<v1::SendRequest>) -> Result<Response<v1::Answer>, Status> {
        let message = self.admit(request)?;
        let (term, session) = (self.node.under(Epoch(message.epoch)), message.session);
        let sender = wire::read_sender(&message).map_err(malformed)?;
        let request = wire::read_request(message).map_err(malformed)?;
        Ok(Response::new(wire::answer(self.decide(sender, session, term.send(request)).await)))
    }

    async fn peek(&self, request: Request<v1::PeekRequest>) -> Result<Response<v1::PeekAnswer>, Status> {
        let v1::PeekRequest { epoch, lane, streams } = self.admit(request)?;
        let lane = wire::read_lane(lane).map_err(malformed)?;
        if streams.len() > PEEKED_STREAMS {
            return Err(malformed(WireError::Field("streams")));
        }
        let streams = streams.iter().map(|name| StreamId::new(name)).collect();
        let answer = match self.node.under(Epoch(epoch)).peek(lane, streams).await {
            Ok(found) => v1::PeekAnswer {
                revisions: found.iter().map(|loaded| loaded.revision.0).collect(),
                unavailable: v1::Unavailable::Unspecified.into(),
            },
            Err(unavailable) => no_peek(&unavailable),
        };
        Ok(Response::new(answer))
    }

    async fn follow(&self, request: Request<v1::FollowRequest>) -> Result<Response<v1::Answer>, Status> {
        let v1::FollowRequest { epoch, stream, after } = self.admit(request)?;
        let followed = self.node.under(Epoch(epoch)).follow(StreamId::new(&stream), Revision(after)).await;
        Ok(Response::new(wire::answer(followed)))
    }
}

fn no_peek(unavailable: &Unavailable) -> v1::PeekAnswer {
    v1::PeekAnswer { revisions: Vec::new(), unavailable: wire::unavailable_number(unavailable) }
}
