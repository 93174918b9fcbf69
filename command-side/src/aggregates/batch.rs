//! A batch in the making: by stream, the commands that were decided and what came of them.

use super::{Limits, Pending};
use crate::commands::{Loaded, Refusal};
use indexmap::IndexMap;
use platform::event_log::{Append, Decision, NewEvent, Revision, StreamId};

/// One command and what was decided.
pub(super) struct Decided<R> {
    pub(super) pending: Pending<R>,
    /// Empty once handed over.
    pub(super) events: Vec<NewEvent>,
    pub(super) event_count: u64,
    pub(super) outcome: Result<Loaded, Refusal>,
}

impl<R> Decided<R> {
    fn bytes(&self) -> usize {
        self.events.iter().map(|event| event.data.len()).sum()
    }
}

/// One stream's share.
pub(super) struct Work<R> {
    expected: Revision,
    pub(super) decided: Vec<Decided<R>>,
}

impl<R> Work<R> {
    /// How many events it appends.
    pub(super) fn events(&self) -> u64 {
        self.decided.iter().map(|decided| decided.event_count).sum()
    }

    /// The aggregate after all of it, if it appends anything.
    pub(super) fn newest(&self) -> Option<Loaded> {
        let last = self.decided.iter().rfind(|decided| decided.event_count > 0)?;
        last.outcome.as_ref().ok().cloned()
    }

    /// Its commands, in their order.
    pub(super) fn into_commands(self) -> impl DoubleEndedIterator<Item = Pending<R>> {
        self.decided.into_iter().map(|decided| decided.pending)
    }
}

/// Works by stream, in the order in which they were begun.
pub(super) struct Batch<R> {
    works: IndexMap<StreamId, Work<R>>,
    commands: usize,
    bytes: usize,
}

impl<R> Default for Batch<R> {
    fn default() -> Self {
        Self { works: IndexMap::new(), commands: 0, bytes: 0 }
    }
}

impl<R> Batch<R> {
    pub(super) fn is_empty(&self) -> bool {
        self.works.is_empty()
    }

    pub(super) fn contains(&self, stream: &StreamId) -> bool {
        self.works.contains_key(stream)
    }

    pub(super) fn has_room(&self, limits: &Limits) -> bool {
        self.commands < limits.batch_commands && self.bytes < limits.batch_bytes
    }

    /// Adds a command that was decided at revision `expected`, or at what the stream's earlier commands here lead to.
    pub(super) fn add(&mut self, stream: StreamId, expected: Revision, decided: Decided<R>) {
        self.commands += 1;
        self.bytes += decided.bytes();
        let work = self.works.entry(stream).or_insert_with(|| Work { expected, decided: Vec::new() });
        work.decided.push(decided);
    }

    /// Takes the stream's commands out again, in their order.
    pub(super) fn withdraw(&mut self, stream: &StreamId) -> Vec<Pending<R>> {
        let Some(work) = self.works.shift_remove(stream) else { return Vec::new() };
        self.commands -= work.decided.len();
        self.bytes -= work.decided.iter().map(Decided::bytes).sum::<usize>();
        work.into_commands().collect()
    }

    /// The appends, in the order of [`Batch::into_works`].
    pub(super) fn hand_over(&mut self) -> Vec<Append> {
        let decision = |decided: &mut Decided<R>| Decision {
            command_id: decided.pending.request.id,
            events: std::mem::take(&mut decided.events),
        };
        let append = |(stream, work): (&StreamId, &mut Work<R>)| Append {
            stream: stream.clone(),
            expected: work.expected,
            decisions: work.decided.iter_mut().map(decision).collect(),
        };
        self.works.iter_mut().map(append).collect()
    }

    pub(super) fn into_works(self) -> impl Iterator<Item = (StreamId, Work<R>)> {
        self.works.into_iter()
    }
}
