//! The seam between whoever has a command and whoever decides it: requests, answers, refusals.

use domain::{Command, Rejection, State};
use futures_util::future::BoxFuture;
use platform::event_log::{BodyHash, CommandId, Position, Revision, StreamId};
use platform::seam::Seam;
use schemas::problems::{Problem, Rule};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use uuid::{Builder, Uuid};

/// Takes commands to the log's one writer: the dispatcher where that is this process.
pub trait Commands: Send + Sync {
    /// Has a command decided; the answer is a verdict of the log, durable when it arrives.
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Answer, Unavailable>>;

    /// The durable state of streams, in their order: what a decision may rely on as a fact.
    fn peek(&self, lane: Lane, streams: Vec<StreamId>) -> BoxFuture<'_, Result<Vec<Loaded>, Unavailable>>;

    /// The durable state of a stream, as soon as it is past a revision. Whoever no longer wants to wait drops this.
    fn follow(&self, stream: StreamId, after: Revision) -> BoxFuture<'_, Result<Answer, Unavailable>>;
}

/// A command on its way.
#[derive(Debug, Clone)]
pub struct Request {
    /// The same for every repeat.
    pub id: CommandId,
    /// What it asks for, to tell a repeat from another command with its key.
    pub body_hash: BodyHash,
    /// Whose aggregate it is for.
    pub stream: StreamId,
    /// The revision that the sender has seen, where that matters.
    pub if_match: Option<Revision>,
    /// Which queue it waits in.
    pub lane: Lane,
    /// W3C trace context of the request that caused it.
    pub traceparent: String,
    /// What it asks for.
    pub command: Command,
}

impl Request {
    /// A command without an idempotency key, whatever revision its aggregate is at.
    pub fn unkeyed(stream: StreamId, command: Command, seam: &Seam) -> Self {
        Self {
            id: CommandId(seam.uuid()),
            body_hash: BodyHash([0; 32]),
            stream,
            if_match: None,
            lane: Lane::Customer,
            traceparent: String::new(),
            command,
        }
    }
}

impl Request {
    /// A saga's step: whoever takes it again, for the same object, sends the same command. Steps of one saga have ids that
    /// begin alike, so that they lie side by side in an index.
    pub fn of_step(saga: Uuid, step: &str, stream: StreamId, command: Command) -> Self {
        let mut digest = Sha256::new();
        for part in [saga.as_bytes().as_slice(), step.as_bytes(), &[0], stream.as_str().as_bytes()] {
            digest.update(part);
        }
        let mut bytes = *saga.as_bytes();
        bytes[8..].copy_from_slice(&digest.finalize()[..8]);
        Self {
            id: CommandId(Builder::from_custom_bytes(bytes).into_uuid()),
            body_hash: BodyHash([0; 32]),
            stream,
            if_match: None,
            lane: Lane::System,
            traceparent: String::new(),
            command,
        }
    }
}

/// Each lane has its own queue, so that a flood of orders cannot starve what frees resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// From people.
    Customer,
    /// From the system itself: sagas, deadlines, payments. Decided first.
    System,
}

/// An aggregate as of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its state; shared, since many answers speak of one state.
    pub state: Arc<State>,
    /// As of how many events.
    pub revision: Revision,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The aggregate after it, or why it was refused.
    pub outcome: Result<Loaded, Refusal>,
    /// A view at this position shows the outcome.
    pub position: Position,
}

/// Why a command was refused: a decision, not a failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// By a rule of the domain.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The aggregate is at this revision, not at the one that the sender has seen.
    #[error("it is at revision {} now", .0.0)]
    Outdated(Revision),
    /// The idempotency key came before, with another body.
    #[error("the idempotency key was used before with another body")]
    KeyReused,
}

/// Why there is no answer: the world broke, or there is too much of it. A later try may succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The queue is full.
    #[error("too many commands are waiting")]
    Overloaded,
    /// The answer did not come in time. The command may still take effect.
    #[error("the command was not decided in time")]
    TimedOut,
    /// The log did not answer. The command may or may not have taken effect.
    #[error("the event log is not available")]
    Log,
    /// The process is going down.
    #[error("the server is stopping")]
    Stopping,
    /// The node that writes the log is not known, or cannot be reached. The command may or may not have taken effect.
    #[error("the node that writes the event log cannot be reached")]
    NoWriter,
}

impl Answer {
    /// The aggregate after the command, or the problem to send.
    pub fn accepted(self) -> Result<(Loaded, Position), Problem> {
        let position = self.position;
        self.outcome.map(|loaded| (loaded, position)).map_err(|refusal| {
            let problem = match refusal {
                Refusal::Rejected(rejection) => Problem::from(rejection),
                Refusal::Outdated(Revision(current)) => outdated(current),
                Refusal::KeyReused => Problem::new(
                    Rule::IdempotencyKeyReused,
                    "this idempotency key was used before with another body; send a new key with a new request",
                ),
            };
            Problem { position: Some(position.0), ..problem }
        })
    }
}

/// The problem of an `If-Match` that names another revision than the current one.
pub(crate) fn outdated(current: u64) -> Problem {
    let detail = format!("the current entity tag is \"{current}\"; read again, then repeat the change with it");
    Problem::new(Rule::PreconditionFailed, detail)
}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        let rule = match unavailable {
            Unavailable::Overloaded => Rule::Overloaded,
            Unavailable::TimedOut | Unavailable::Log | Unavailable::Stopping | Unavailable::NoWriter => {
                Rule::Unavailable
            }
        };
        let detail = format!("{unavailable}; repeat the request with the same idempotency key");
        Problem { retry_after_s: Some(1), ..Problem::new(rule, detail) }
    }
}
