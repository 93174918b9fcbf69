//! Commands to the node that writes the log, where that is another one: sent over gRPC, their answers folded here.

use crate::commands::{Answer, Commands, Lane, Loaded, Request, Unavailable};
use crate::folded::Folded;
use crate::secret::Secret;
use crate::stream::Streams;
use crate::wire::{self, MESSAGE_BYTES, WireError, v1};
use futures_util::future::{BoxFuture, FutureExt, try_join_all};
use platform::event_log::{EventLog, Revision, StreamId};
use platform::postgres::lease::Epoch;
use platform::snapshot_store::SnapshotStore;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use uuid::Uuid;
use v1::commands_client::CommandsClient;

/// Calls of a kind that may be under way from one node at once: fewer than a connection carries.
pub(crate) const CONCURRENT_CALLS: usize = 1_024;

/// How long a connection may take to be made, and how long a silent one is believed to live.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
const ALIVE_WITHIN: Duration = Duration::from_secs(2);

/// What a node needs to send commands to others.
#[derive(Clone)]
pub struct Peers {
    sender: Uuid,
    /// See [`Peers::session`].
    session: Arc<AtomicU64>,
    secret: Secret,
    folded: Arc<Folded>,
    bounds: Arc<Bounds>,
    answer_within: Duration,
}

/// How much may be under way, by kind: those who only wait must not keep out commands, nor customers the system.
struct Bounds {
    customer: Semaphore,
    system: Semaphore,
    follow: Semaphore,
}

impl Peers {
    /// What the process `sender` sends others. What answers speak of is read from `log`; who asks waits for
    /// `answer_within` at most.
    pub fn new(
        sender: Uuid,
        log: Arc<dyn EventLog>,
        snapshots: Option<Arc<SnapshotStore>>,
        secret: Secret,
        answer_within: Duration,
    ) -> Self {
        let [customer, system, follow] = std::array::from_fn(|_| Semaphore::new(CONCURRENT_CALLS));
        Self {
            sender,
            session: Arc::default(),
            secret,
            folded: Arc::new(Folded::new(Streams { log, snapshots })),
            bounds: Arc::new(Bounds { customer, system, follow }),
            answer_within,
        }
    }

    /// Counts the attempts that were given up: what was sent before and not answered may be on its way still, and is not to
    /// take effect after its next attempt was answered.
    pub(crate) fn session(&self) -> u64 {
        self.session.load(Ordering::SeqCst)
    }

    /// The node at an address, such as `127.0.0.1:9000`, while it writes the log under an epoch. It is connected to when
    /// something is sent, and again whenever the connection is lost.
    pub fn at(&self, address: &str, epoch: Epoch) -> Result<Remote, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(CONNECT_WITHIN)
            .http2_keep_alive_interval(ALIVE_WITHIN)
            .keep_alive_timeout(ALIVE_WITHIN)
            .keep_alive_while_idle(true);
        let client = CommandsClient::new(endpoint.connect_lazy())
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES);
        Ok(Remote { client, epoch, address: address.into(), peers: self.clone() })
    }
}

/// Another node, while it writes the log.
#[derive(Clone)]
pub struct Remote {
    client: CommandsClient<Channel>,
    epoch: Epoch,
    address: Arc<str>,
    peers: Peers,
}

impl Remote {
    /// Where it is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether it is the node at this address, in this term.
    pub fn is(&self, address: &str, epoch: Epoch) -> bool {
        self.address() == address && self.epoch == epoch
    }

    /// The same node in a later term, over the same connection.
    #[must_use]
    pub fn under(&self, epoch: Epoch) -> Self {
        Self { epoch, ..self.clone() }
    }

    /// Makes a call within its bounds, and reads what it answers.
    async fn call<M, A, T>(
        &self,
        bound: &Semaphore,
        message: M,
        call: impl AsyncFnOnce(CommandsClient<Channel>, tonic::Request<M>) -> Result<tonic::Response<A>, Status>,
        read: impl AsyncFnOnce(A) -> Result<Result<T, Unavailable>, WireError>,
    ) -> Result<T, Unavailable> {
        let _permit = bound.try_acquire().map_err(|_| Unavailable::Overloaded)?;
        let mut request = tonic::Request::new(message);
        request.set_timeout(self.peers.answer_within);
        self.peers.secret.sign(request.metadata_mut());
        let answered = async {
            let answer = call(self.client.clone(), request).await.map_err(|status| self.failed(&status))?;
            read(answer.into_inner()).await.unwrap_or_else(|error| {
                tracing::error!(%error, "node {} answers what this one does not understand", self.address);
                Err(Unavailable::NoWriter)
            })
        };
        metrics::counter!("command_forwards_total").increment(1);
        let within = tokio::time::timeout(self.peers.answer_within, answered);
        within.await.unwrap_or(Err(Unavailable::TimedOut))
    }

    fn failed(&self, status: &Status) -> Unavailable {
        let address = &self.address;
        match status.code() {
            Code::DeadlineExceeded => return Unavailable::TimedOut,
            // It is gone, or going: whoever asked asks again.
            Code::Unavailable | Code::Cancelled | Code::Unknown => {
                tracing::debug!(%status, "node {address} is not reached");
            }
            _ => tracing::error!(%status, "node {address} refuses what this one sends"),
        }
        Unavailable::NoWriter
    }
}

/// A command on its way, in a session that ends with it unless it is answered.
struct Attempt<'a> {
    sessions: &'a AtomicU64,
    session: u64,
    answered: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.answered {
            // Only by the first of all that were given up together.
            let (session, next) = (self.session, self.session + 1);
            let _ = self.sessions.compare_exchange(session, next, Ordering::SeqCst, Ordering::SeqCst);
        }
    }
}

impl Commands for Remote {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Answer, Unavailable>> {
        let bound = match request.lane {
            Lane::Customer => &self.peers.bounds.customer,
            Lane::System => &self.peers.bounds.system,
        };
        async move {
            let (stream, folded, session) = (request.stream.clone(), &self.peers.folded, self.peers.session());
            let mut attempt = Attempt { sessions: &self.peers.session, session, answered: false };
            let message = wire::send_request(self.epoch, self.peers.sender, session, request);
            let send = async |mut client: CommandsClient<Channel>, message| client.send(message).await;
            let read = async |answer| wire::read_answer(answer, &stream, folded).await;
            let result = self.call(bound, message, send, read).await;
            attempt.answered = !matches!(result, Err(Unavailable::NoWriter | Unavailable::TimedOut));
            result
        }
        .boxed()
    }

    fn peek(&self, lane: Lane, streams: Vec<StreamId>) -> BoxFuture<'_, Result<Vec<Loaded>, Unavailable>> {
        let bound = match lane {
            Lane::Customer => &self.peers.bounds.customer,
            Lane::System => &self.peers.bounds.system,
        };
        let message = v1::PeekRequest {
            epoch: self.epoch.0,
            lane: wire::lane_number(lane),
            streams: streams.iter().map(|stream| stream.as_str().to_owned()).collect(),
        };
        async move {
            let peek = async |mut client: CommandsClient<Channel>, message| client.peek(message).await;
            let read = async |answer: v1::PeekAnswer| {
                let v1::PeekAnswer { revisions, unavailable } = answer;
                if unavailable != i32::from(v1::Unavailable::Unspecified) {
                    return Ok(Err(wire::read_unavailable(unavailable)?));
                }
                if revisions.len() != streams.len() {
                    return Err(WireError::Field("revisions"));
                }
                let found = streams.iter().zip(revisions);
                let folded = found.map(|(stream, revision)| self.peers.folded.at(stream, Revision(revision)));
                Ok(try_join_all(folded).await)
            };
            self.call(bound, message, peek, read).await
        }
        .boxed()
    }

    fn follow(&self, stream: StreamId, after: Revision) -> BoxFuture<'_, Result<Answer, Unavailable>> {
        let folded = &self.peers.folded;
        let message = v1::FollowRequest { epoch: self.epoch.0, stream: stream.as_str().to_owned(), after: after.0 };
        async move {
            let follow = async |mut client: CommandsClient<Channel>, message| client.follow(message).await;
            let read = async |answer| wire::read_answer(answer, &stream, folded).await;
            self.call(&self.peers.bounds.follow, message, follow, read).await
        }
        .boxed()
    }
}
