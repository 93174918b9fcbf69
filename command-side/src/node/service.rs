//! What the log's writer does for other nodes.

use super::Shared;
use super::remote::MESSAGE_BYTES_MAX;
use super::wire::proto::commands_server::{self, CommandsServer};
use super::wire::{self, proto};
use crate::commands::{Answer, Commands};
use crate::dispatcher::Dispatcher;
use platform::event_log::{Revision, StreamId};
use platform::postgres::lease::Epoch;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Calls of one connection at once.
const CONCURRENT: u32 = 4_096;

/// Takes calls until it is stopped.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, secret: Arc<str>, stop: CancellationToken) {
    let proof = digest(format!("Bearer {secret}").as_bytes());
    let service = CommandsServer::new(Service { shared }).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let guarded = tonic::service::interceptor::InterceptedService::new(service, move |request| check(request, proof));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving = Server::builder()
        .max_concurrent_streams(CONCURRENT)
        .add_service(guarded)
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!(%error, "commands of other nodes are no longer taken");
    }
}

/// Whoever asks has to know the secret. What is compared are digests, so that the time that it takes tells nothing.
fn check(request: Request<()>, proof: [u8; 32]) -> Result<Request<()>, Status> {
    let shown = request.metadata().get("authorization").map(|shown| digest(shown.as_bytes()));
    if shown == Some(proof) { Ok(request) } else { Err(Status::unauthenticated("the nodes' secret is another one")) }
}

fn digest(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

struct Service {
    shared: Arc<Shared>,
}

impl Service {
    /// The dispatcher, if this node is the writer under the epoch that the call names.
    fn dispatcher(&self, epoch: u64) -> Result<Dispatcher, proto::Unavailable> {
        let found = self.shared.dispatcher(Some(Epoch(epoch)));
        found.map(|(_, dispatcher)| dispatcher).ok_or(proto::Unavailable::NoWriter)
    }

    /// Whether what was answered from memory may leave.
    fn sure<T>(&self, epoch: u64, answer: T) -> Result<T, proto::Unavailable> {
        if self.shared.is_surely(Epoch(epoch)) { Ok(answer) } else { Err(proto::Unavailable::NoWriter) }
    }
}

#[tonic::async_trait]
impl commands_server::Commands for Service {
    async fn send(&self, request: Request<proto::SendRequest>) -> Result<Response<proto::Answer>, Status> {
        let sent = request.into_inner();
        let answer = match self.dispatcher(sent.epoch) {
            Ok(dispatcher) => {
                let request = wire::read_request(sent).map_err(Status::invalid_argument)?;
                dispatcher.send(request).await.map_err(|unavailable| wire::unavailable(&unavailable))
            }
            Err(unavailable) => Err(unavailable),
        };
        Ok(Response::new(wire::answer(answer)))
    }

    async fn peek(&self, request: Request<proto::PeekRequest>) -> Result<Response<proto::PeekAnswer>, Status> {
        let sent = request.into_inner();
        let lane = wire::read_lane(sent.lane());
        let streams = sent.streams.iter().map(|name| StreamId::new(name)).collect();
        let peeked = match self.dispatcher(sent.epoch) {
            Ok(dispatcher) => match dispatcher.peek(lane, streams).await {
                Ok(loaded) => self.sure(sent.epoch, loaded),
                Err(unavailable) => Err(wire::unavailable(&unavailable)),
            },
            Err(unavailable) => Err(unavailable),
        };
        let (revisions, unavailable) = match peeked {
            Ok(loaded) => (loaded.iter().map(|loaded| loaded.revision.0).collect(), proto::Unavailable::Unspecified),
            Err(unavailable) => (Vec::new(), unavailable),
        };
        Ok(Response::new(proto::PeekAnswer { revisions, unavailable: unavailable.into() }))
    }

    async fn follow(&self, request: Request<proto::FollowRequest>) -> Result<Response<proto::Answer>, Status> {
        let proto::FollowRequest { epoch, stream, after } = request.into_inner();
        let answer: Result<Answer, _> = match self.dispatcher(epoch) {
            Ok(dispatcher) => match dispatcher.follow(StreamId::new(&stream), Revision(after)).await {
                Ok(answer) => self.sure(epoch, answer),
                Err(unavailable) => Err(wire::unavailable(&unavailable)),
            },
            Err(unavailable) => Err(unavailable),
        };
        Ok(Response::new(wire::answer(answer)))
    }
}
