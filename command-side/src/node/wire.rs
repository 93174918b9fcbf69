//! Requests and answers as they cross the wire.

use crate::commands::{Answer, Lane, Refusal, Request, Unavailable};
use platform::event_log::{BodyHash, CommandId, Position, Revision, StreamId};
use proto::answer::Outcome;
use schemas::commands::rejection;
use uuid::Uuid;

/// The generated protocol.
#[expect(missing_docs, clippy::all, reason = "it is generated; the .proto documents it")]
pub(super) mod proto {
    tonic::include_proto!("colophon.commands.v1");
}

/// An accepted or refused command: the revision after it in place of the aggregate.
pub(super) type Decided = (Result<Revision, Refusal>, Position);

pub(super) fn request(request: &Request, epoch: u64) -> proto::SendRequest {
    let command = schemas::commands::encode(&request.command);
    proto::SendRequest {
        epoch,
        id: request.id.0.as_bytes().to_vec(),
        body_hash: request.body_hash.0.to_vec(),
        stream: request.stream.to_string(),
        if_match: request.if_match.map(|revision| revision.0),
        lane: lane(request.lane).into(),
        traceparent: request.traceparent.clone(),
        command: command.event_type.to_owned(),
        version: command.version.into(),
        data: command.data,
    }
}

/// The request, or what of it this version does not understand.
pub(super) fn read_request(sent: proto::SendRequest) -> Result<Request, String> {
    let lane = read_lane(sent.lane());
    let version = u16::try_from(sent.version).map_err(|error| error.to_string())?;
    let command = schemas::commands::decode(&sent.command, version, &sent.data).map_err(|error| error.to_string())?;
    Ok(Request {
        id: CommandId(Uuid::from_slice(&sent.id).map_err(|error| error.to_string())?),
        body_hash: BodyHash(sent.body_hash.try_into().map_err(|_| "a body's hash has 32 bytes".to_owned())?),
        stream: StreamId::new(&sent.stream),
        if_match: sent.if_match.map(Revision),
        lane,
        traceparent: sent.traceparent,
        command,
    })
}

pub(super) fn lane(lane: Lane) -> proto::Lane {
    match lane {
        Lane::Customer => proto::Lane::Customer,
        Lane::System => proto::Lane::System,
    }
}

pub(super) fn read_lane(lane: proto::Lane) -> Lane {
    match lane {
        proto::Lane::System => Lane::System,
        proto::Lane::Customer | proto::Lane::Unspecified => Lane::Customer,
    }
}

pub(super) fn answer(answer: Result<Answer, proto::Unavailable>) -> proto::Answer {
    let (outcome, position) = match answer {
        Ok(Answer { outcome: Ok(loaded), position }) => (Outcome::Revision(loaded.revision.0), position),
        Ok(Answer { outcome: Err(Refusal::Rejected(rejected)), position }) => {
            (Outcome::Rejection(rejection::encode(&rejected)), position)
        }
        Ok(Answer { outcome: Err(Refusal::Outdated(revision)), position }) => (Outcome::Outdated(revision.0), position),
        Ok(Answer { outcome: Err(Refusal::KeyReused), position }) => {
            (Outcome::KeyReused(proto::KeyReused {}), position)
        }
        Err(unavailable) => (Outcome::Unavailable(unavailable.into()), Position(0)),
    };
    proto::Answer { outcome: Some(outcome), position: position.0 }
}

pub(super) fn read_answer(answer: proto::Answer) -> Result<Decided, Unavailable> {
    let position = Position(answer.position);
    match answer.outcome {
        Some(Outcome::Revision(revision)) => Ok((Ok(Revision(revision)), position)),
        Some(Outcome::Rejection(rejected)) => {
            // A rule of a later version: nobody here can say it.
            let rejected = rejection::decode(&rejected).ok_or(Unavailable::Log)?;
            Ok((Err(Refusal::Rejected(rejected)), position))
        }
        Some(Outcome::Outdated(revision)) => Ok((Err(Refusal::Outdated(Revision(revision))), position)),
        Some(Outcome::KeyReused(_)) => Ok((Err(Refusal::KeyReused), position)),
        Some(Outcome::Unavailable(unavailable)) => Err(read_unavailable(unavailable)),
        None => Err(Unavailable::Log),
    }
}

pub(super) fn unavailable(unavailable: &Unavailable) -> proto::Unavailable {
    match unavailable {
        Unavailable::Overloaded => proto::Unavailable::Overloaded,
        Unavailable::TimedOut => proto::Unavailable::TimedOut,
        Unavailable::Log => proto::Unavailable::Log,
        Unavailable::Stopping => proto::Unavailable::Stopping,
    }
}

pub(super) fn read_unavailable(unavailable: i32) -> Unavailable {
    match proto::Unavailable::try_from(unavailable) {
        Ok(proto::Unavailable::Overloaded) => Unavailable::Overloaded,
        Ok(proto::Unavailable::TimedOut) => Unavailable::TimedOut,
        // Whoever asked finds out who the writer is.
        _ => Unavailable::Log,
    }
}
