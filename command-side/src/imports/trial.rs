//! A dry run: commands are decided by the same rules, on what is registered and what the file said before, and go nowhere.

use super::Halt;
use crate::commands::{Loaded, Refusal};
use domain::Command;
use platform::event_log::{Revision, StreamId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Aggregates that a dry run keeps in mind: those that the file would change.
const STREAMS_MAX: usize = 500_000;

/// What the aggregates would be by now.
#[derive(Default)]
pub(crate) struct Trial(Mutex<HashMap<StreamId, Loaded>>);

impl Trial {
    /// An aggregate as it would be; `durable` is what it is.
    pub(crate) fn state_of(&self, stream: &StreamId, durable: Loaded) -> Loaded {
        let streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        streams.get(stream).cloned().unwrap_or(durable)
    }

    /// What would come of a command.
    pub(crate) fn decide(
        &self,
        stream: StreamId,
        durable: Loaded,
        command: Command,
    ) -> Result<Result<Loaded, Refusal>, Halt> {
        let before = self.state_of(&stream, durable);
        let events = match domain::decide(&before.state, command) {
            Ok(events) => events,
            Err(rejection) => return Ok(Err(Refusal::Rejected(rejection))),
        };
        if events.is_empty() {
            return Ok(Ok(before));
        }
        let state = events.iter().fold(before.state.as_ref().clone(), domain::evolve);
        let revision = Revision(before.revision.0 + events.len() as u64);
        let after = Loaded { state: Arc::new(state), revision };
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.len() >= STREAMS_MAX && !streams.contains_key(&stream) {
            return Err(Halt::TrialTooLarge(STREAMS_MAX));
        }
        streams.insert(stream, after.clone());
        Ok(Ok(after))
    }
}
