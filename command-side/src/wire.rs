//! Commands and answers as they cross the wire between nodes, in the messages of `colophon.commands.v1`.

use crate::commands::{Answer, Lane, Loaded, Refusal, Request, Unavailable};
use crate::folded::Folded;
use platform::event_log::{BodyHash, CommandId, Position, Revision, StreamId};
use platform::postgres::lease::Epoch;
use schemas::commands::rejection;
use schemas::events::{DecodeError, Encoded};
use thiserror::Error;
use uuid::Uuid;

/// What is generated from `schemas/proto`.
pub(crate) mod v1 {
    #![allow(missing_docs, clippy::all, reason = "it is generated")]
    tonic::include_proto!("colophon.commands.v1");
}

/// The largest message: an order of a thousand lines with the longest titles is a third of it.
pub(crate) const MESSAGE_BYTES: usize = 4 << 20;

/// Why a message is none of this protocol.
#[derive(Debug, Error)]
pub(crate) enum WireError {
    #[error("a field is missing or of another length: {0}")]
    Field(&'static str),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

pub(crate) fn send_request(epoch: Epoch, sender: Uuid, session: u64, request: Request) -> v1::SendRequest {
    let lane = lane_number(request.lane);
    let Encoded { event_type, version, data } = schemas::commands::encode(&request.command);
    v1::SendRequest {
        epoch: epoch.0,
        id: request.id.0.as_bytes().to_vec(),
        body_hash: request.body_hash.0.to_vec(),
        stream: request.stream.as_str().to_owned(),
        if_match: request.if_match.map(|revision| revision.0),
        lane,
        command: event_type.to_owned(),
        version: version.into(),
        data,
        traceparent: request.traceparent,
        sender: sender.as_bytes().to_vec(),
        session,
    }
}

pub(crate) fn read_sender(message: &v1::SendRequest) -> Result<Uuid, WireError> {
    Uuid::from_slice(&message.sender).map_err(|_| WireError::Field("sender"))
}

pub(crate) fn read_request(message: v1::SendRequest) -> Result<Request, WireError> {
    let version = u16::try_from(message.version).map_err(|_| WireError::Field("version"))?;
    Ok(Request {
        id: CommandId(Uuid::from_slice(&message.id).map_err(|_| WireError::Field("id"))?),
        body_hash: BodyHash(message.body_hash.try_into().map_err(|_| WireError::Field("body_hash"))?),
        stream: StreamId::new(&message.stream),
        if_match: message.if_match.map(Revision),
        lane: read_lane(message.lane)?,
        traceparent: message.traceparent,
        command: schemas::commands::decode(&message.command, version, &message.data)?,
    })
}

pub(crate) fn lane_number(lane: Lane) -> i32 {
    let lane = match lane {
        Lane::Customer => v1::Lane::Customer,
        Lane::System => v1::Lane::System,
    };
    lane.into()
}

pub(crate) fn read_lane(lane: i32) -> Result<Lane, WireError> {
    match v1::Lane::try_from(lane) {
        Ok(v1::Lane::Customer) => Ok(Lane::Customer),
        Ok(v1::Lane::System) => Ok(Lane::System),
        Ok(v1::Lane::Unspecified) | Err(_) => Err(WireError::Field("lane")),
    }
}

/// An answer without the state: whoever reads it folds that by itself.
pub(crate) fn answer(result: Result<Answer, Unavailable>) -> v1::Answer {
    use v1::answer::Outcome;
    let Answer { outcome, position } = match result {
        Ok(answer) => answer,
        Err(unavailable) => {
            let outcome = Some(Outcome::Unavailable(unavailable_number(&unavailable)));
            return v1::Answer { outcome, position: 0 };
        }
    };
    let outcome = match outcome {
        Ok(Loaded { revision, .. }) => Outcome::Revision(revision.0),
        Err(Refusal::Rejected(rejection)) => Outcome::Rejection(rejection::encode(&rejection)),
        Err(Refusal::Outdated(Revision(current))) => Outcome::Outdated(current),
        Err(Refusal::KeyReused) => Outcome::KeyReused(v1::KeyReused {}),
    };
    v1::Answer { outcome: Some(outcome), position: position.0 }
}

/// The answer about a stream, with the state as the log tells it.
pub(crate) async fn read_answer(
    message: v1::Answer,
    stream: &StreamId,
    folded: &Folded,
) -> Result<Result<Answer, Unavailable>, WireError> {
    use v1::answer::Outcome;
    let outcome = match message.outcome.ok_or(WireError::Field("outcome"))? {
        Outcome::Revision(revision) => match folded.at(stream, Revision(revision)).await {
            Ok(loaded) => Ok(loaded),
            Err(unavailable) => return Ok(Err(unavailable)),
        },
        Outcome::Rejection(told) => {
            Err(Refusal::Rejected(rejection::decode(&told).ok_or(WireError::Field("rejection"))?))
        }
        Outcome::Outdated(current) => Err(Refusal::Outdated(Revision(current))),
        Outcome::KeyReused(v1::KeyReused {}) => Err(Refusal::KeyReused),
        Outcome::Unavailable(number) => return Ok(Err(read_unavailable(number)?)),
    };
    Ok(Ok(Answer { outcome, position: Position(message.position) }))
}

pub(crate) fn unavailable_number(unavailable: &Unavailable) -> i32 {
    let unavailable = match unavailable {
        Unavailable::Overloaded => v1::Unavailable::Overloaded,
        Unavailable::TimedOut => v1::Unavailable::TimedOut,
        Unavailable::Log => v1::Unavailable::Log,
        Unavailable::Stopping => v1::Unavailable::Stopping,
        Unavailable::NoWriter => v1::Unavailable::NoWriter,
    };
    unavailable.into()
}

pub(crate) fn read_unavailable(number: i32) -> Result<Unavailable, WireError> {
    match v1::Unavailable::try_from(number) {
        Ok(v1::Unavailable::Overloaded) => Ok(Unavailable::Overloaded),
        Ok(v1::Unavailable::TimedOut) => Ok(Unavailable::TimedOut),
        Ok(v1::Unavailable::Log) => Ok(Unavailable::Log),
        Ok(v1::Unavailable::Stopping) => Ok(Unavailable::Stopping),
        Ok(v1::Unavailable::NoWriter) => Ok(Unavailable::NoWriter),
        Ok(v1::Unavailable::Unspecified) | Err(_) => Err(WireError::Field("unavailable")),
    }
}
