//! The log's writer in another process, as it is asked over gRPC.

use super::cache::Cache;
use super::wire::proto::commands_client::CommandsClient;
use super::wire::{self, Decided, proto};
use crate::commands::{Answer, Lane, Loaded, Request, Unavailable};
use futures_util::future::try_join_all;
use platform::event_log::{Revision, StreamId};
use platform::postgres::lease::Epoch;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

/// How long a node may take to take a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// How often a connection is tried on which nothing happens, and how long that may take: a node that stands still is found
/// out before its lease has long ended.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Bytes that an answer may have: the revisions of as many streams as an order has lines, and room.
pub(super) const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Other nodes, by address.
pub(crate) struct Remote {
    secret: Arc<str>,
    channels: Mutex<HashMap<String, Channel>>,
    cache: Cache,
    answer_within: Duration,
}

impl Remote {
    pub(super) fn new(secret: Arc<str>, cache: Cache, answer_within: Duration) -> Self {
        Self { secret, channels: Mutex::default(), cache, answer_within }
    }

    pub(super) async fn send(&self, address: &str, epoch: Epoch, request: &Request) -> Result<Answer, Unavailable> {
        let sent = self.call(wire::request(request, epoch.0))?;
        let answer = self.client(address)?.send(sent).await.map_err(|status| away(address, &status))?;
        self.answered(&request.stream, wire::read_answer(answer.into_inner())?).await
    }

    pub(super) async fn follow(
        &self,
        address: &str,
        epoch: Epoch,
        stream: &StreamId,
        after: Revision,
    ) -> Result<Answer, Unavailable> {
        let sent = proto::FollowRequest { epoch: epoch.0, stream: stream.to_string(), after: after.0 };
        let answer = self.client(address)?.follow(self.call(sent)?).await.map_err(|status| away(address, &status))?;
        self.answered(stream, wire::read_answer(answer.into_inner())?).await
    }

    pub(super) async fn peek(
        &self,
        address: &str,
        epoch: Epoch,
        lane: Lane,
        streams: &[StreamId],
    ) -> Result<Vec<Loaded>, Unavailable> {
        let names = streams.iter().map(StreamId::to_string).collect();
        let sent = proto::PeekRequest { epoch: epoch.0, lane: wire::lane(lane).into(), streams: names };
        let answer = self.client(address)?.peek(self.call(sent)?).await.map_err(|status| away(address, &status))?;
        let proto::PeekAnswer { revisions, unavailable } = answer.into_inner();
        if revisions.len() != streams.len() {
            return Err(wire::read_unavailable(unavailable));
        }
        let loads = streams.iter().zip(revisions).map(|(stream, at)| self.cache.load(stream, Revision(at)));
        try_join_all(loads).await
    }

    /// The answer with the aggregate, as this node folds it.
    async fn answered(&self, stream: &StreamId, (outcome, position): Decided) -> Result<Answer, Unavailable> {
        let outcome = match outcome {
            Ok(revision) => Ok(self.cache.load(stream, revision).await?),
            Err(refusal) => Err(refusal),
        };
        Ok(Answer { outcome, position })
    }

    fn call<T>(&self, message: T) -> Result<tonic::Request<T>, Unavailable> {
        let mut request = tonic::Request::new(message);
        let bearer: MetadataValue<Ascii> = format!("Bearer {}", self.secret).parse().map_err(|_| {
            tracing::error!("the nodes' secret cannot be sent: it has to be of visible ASCII characters");
            Unavailable::Log
        })?;
        request.metadata_mut().insert("authorization", bearer);
        request.set_timeout(self.answer_within);
        Ok(request)
    }

    fn client(&self, address: &str) -> Result<CommandsClient<Channel>, Unavailable> {
        let mut channels = self.channels.lock().expect("nothing panics while it holds the channels");
        if !channels.contains_key(address) {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| {
                tracing::error!(address, %error, "the log's writer has an address that is none");
                Unavailable::Log
            })?;
            // Writers come and go: the addresses of those that are gone are not kept.
            channels.clear();
            let endpoint = endpoint
                .connect_timeout(CONNECT_WITHIN)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(KEEP_ALIVE)
                .keep_alive_while_idle(true)
                .tcp_nodelay(true);
            channels.insert(address.to_owned(), endpoint.connect_lazy());
        }
        Ok(CommandsClient::new(channels[address].clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
    }
}

fn away(address: &str, status: &tonic::Status) -> Unavailable {
    tracing::debug!(address, code = %status.code(), "the log's writer did not answer: {}", status.message());
    metrics::counter!("commands_forwarding_failures_total").increment(1);
    match status.code() {
        tonic::Code::Unauthenticated => {
            tracing::error!(address, "the log's writer does not take this node's `cluster.secret`");
            Unavailable::Log
        }
        tonic::Code::ResourceExhausted => Unavailable::Overloaded,
        _ => Unavailable::Log,
    }
}
