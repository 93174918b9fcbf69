//! Revisions, positions and checksums: what a batch comes to, as one pure function for every engine.

use super::{
    Append, CommandId, Decision, EventId, LogError, NewEvent, Position, RecordedEvent, Revision, StreamId, Verdict,
};
use crc::{CRC_64_NVME, Crc, Table};
use std::collections::{HashMap, HashSet};

#[cfg(test)]
mod tests;

pub(crate) static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_NVME);

/// Where a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// How many events it has.
    pub revision: Revision,
    /// The checksum of the last one; 0 without events.
    pub checksum: u64,
}

impl Head {
    /// Where a stream ends whose last event this is.
    pub fn of(event: &RecordedEvent) -> Self {
        Self { revision: event.revision, checksum: event.checksum }
    }
}

/// What an engine read, under its lock, of what a batch touches.
#[derive(Debug, Clone, Default)]
pub struct Heads {
    /// The log's last position.
    pub position: Position,
    /// Of each of the batch's streams that has events.
    pub streams: HashMap<StreamId, Head>,
    /// The first events of those of the batch's commands that are in the log already.
    pub recorded: HashMap<EventId, RecordedEvent>,
}

impl Heads {
    /// Takes in what an engine read: the last event of the `log`, of a `stream`, or the first one of a `command`.
    pub(super) fn add(&mut self, what: &str, event: RecordedEvent) -> Result<(), LogError> {
        verify(&event)?;
        match what {
            "log" => self.position = event.position,
            "stream" => {
                let head = Head::of(&event);
                self.streams.insert(event.stream, head);
            }
            _ => {
                self.recorded.insert(event.envelope.id, event);
            }
        }
        Ok(())
    }
}

/// Judges each append of a batch, and seals the events of those that fit.
pub fn seal(heads: &Heads, batch: Vec<Append>) -> (Vec<Verdict>, Vec<RecordedEvent>) {
    let mut sealed =
        Sealed { heads, position: heads.position, touched: HashSet::new(), first: HashMap::new(), events: Vec::new() };
    let verdicts = batch.into_iter().map(|append| sealed.judge(append)).collect();
    (verdicts, sealed.events)
}

/// A batch, as far as it is sealed.
struct Sealed<'a> {
    heads: &'a Heads,
    position: Position,
    touched: HashSet<StreamId>,
    /// Where in `events` the first event of each command is.
    first: HashMap<CommandId, usize>,
    events: Vec<RecordedEvent>,
}

impl Sealed<'_> {
    fn judge(&mut self, append: Append) -> Verdict {
        let head = self.heads.streams.get(&append.stream).copied().unwrap_or_default();
        // A stream has one append in a batch: what comes second rests on a revision that nobody has answered yet.
        if !self.touched.insert(append.stream.clone()) || append.expected != head.revision {
            return Verdict::Conflict;
        }
        if let Some(first) = append.decisions.iter().find_map(|decision| self.recorded(decision)) {
            return Verdict::Repeated { first: first.clone() };
        }
        let mut commands = HashSet::new();
        if !append.decisions.iter().all(|decision| commands.insert(decision.command_id)) {
            return Verdict::Conflict;
        }
        let revision = self.write(head, append);
        Verdict::Appended { revision, position: self.position }
    }

    /// The first event of a decision's command, if the command is in the log or in this batch already.
    fn recorded(&self, decision: &Decision) -> Option<&RecordedEvent> {
        let in_batch = self.first.get(&decision.command_id).map(|place| &self.events[*place]);
        in_batch.or_else(|| self.heads.recorded.get(&EventId::of(decision.command_id, 0)))
    }

    fn write(&mut self, mut head: Head, append: Append) -> Revision {
        for decision in append.decisions {
            if !decision.events.is_empty() {
                self.first.insert(decision.command_id, self.events.len());
            }
            for NewEvent { envelope, data } in decision.events {
                self.position.0 += 1;
                let mut event = RecordedEvent {
                    stream: append.stream.clone(),
                    revision: Revision(head.revision.0 + 1),
                    position: self.position,
                    envelope,
                    data,
                    previous_checksum: head.checksum,
                    checksum: 0,
                };
                event.checksum = checksum(&event);
                head = Head::of(&event);
                self.events.push(event);
            }
        }
        head.revision
    }
}

/// CRC-64/NVME over the whole record but its own checksum; every field of variable length is preceded by its length.
pub fn checksum(event: &RecordedEvent) -> u64 {
    let mut digest = CRC.digest();
    let envelope = &event.envelope;
    for field in
        [event.stream.as_str().as_bytes(), envelope.event_type.as_bytes(), envelope.traceparent.as_bytes(), &event.data]
    {
        digest.update(&(field.len() as u64).to_be_bytes());
        digest.update(field);
    }
    for number in [
        event.revision.0,
        event.position.0,
        u64::from(envelope.version),
        envelope.recorded_at.0.cast_unsigned(),
        event.previous_checksum,
    ] {
        digest.update(&number.to_be_bytes());
    }
    digest.update(envelope.id.0.as_bytes());
    digest.update(envelope.command_id.0.as_bytes());
    digest.update(&envelope.body_hash.0);
    digest.finalize()
}

/// Checks events of one stream that were read after `before`: each is what was written, and none is missing between.
pub fn verify_stream(before: Head, events: &[RecordedEvent]) -> Result<(), LogError> {
    let mut head = before;
    for event in events {
        verify(event)?;
        follows(head, event)?;
        head = Head::of(event);
    }
    Ok(())
}

/// Checks events of one stream that were read after `after`, together with the one that is there: the next one's checksum
/// has to continue it. Answers with those after it.
pub(super) fn verify_anchored(after: Revision, mut events: Vec<RecordedEvent>) -> Result<Vec<RecordedEvent>, LogError> {
    let mut before = Head { revision: after, checksum: 0 };
    if after.0 > 0 && events.first().is_some_and(|event| event.revision == after) {
        let anchor = events.remove(0);
        verify(&anchor)?;
        before = Head::of(&anchor);
    }
    verify_stream(before, &events)?;
    Ok(events)
}

/// Checks events of the whole log that were read after `after`: each is what was written, and none is missing between.
/// Of what lies before `after` it knows nothing; [`Chain`] does.
pub fn verify_all(after: Position, events: &[RecordedEvent]) -> Result<(), LogError> {
    let mut heads: HashMap<&StreamId, Head> = HashMap::new();
    for (distance, event) in (1..).zip(events) {
        stands_at(after.0 + distance, event)?;
        verify(event)?;
        if let Some(before) = heads.insert(&event.stream, Head::of(event)) {
            follows(before, event)?;
        }
    }
    Ok(())
}

/// Checks one event by itself.
pub fn verify(event: &RecordedEvent) -> Result<(), LogError> {
    let computed = checksum(event);
    if computed == event.checksum {
        return Ok(());
    }
    Err(damaged(event, format!("expected checksum {:016x}, found {computed:016x}", event.checksum)))
}

/// A whole log as it is followed from its first event on: where it ends, and where each of its streams does. So it finds
/// a broken chain also where two pages of reading meet. It takes some hundred bytes a stream.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    position: Position,
    heads: HashMap<StreamId, Head>,
}

impl Chain {
    /// Takes in the log's next event. Fails if it is not the next one, or not what was written; the chain then stays
    /// as it was.
    pub fn follow(&mut self, event: &RecordedEvent) -> Result<(), LogError> {
        stands_at(self.position.0 + 1, event)?;
        verify(event)?;
        follows(self.head(&event.stream), event)?;
        match self.heads.get_mut(&event.stream) {
            Some(head) => *head = Head::of(event),
            None => drop(self.heads.insert(event.stream.clone(), Head::of(event))),
        }
        self.position = event.position;
        Ok(())
    }

    /// Where a stream ends; the default where it has no event.
    pub fn head(&self, stream: &StreamId) -> Head {
        self.heads.get(stream).copied().unwrap_or_default()
    }

    /// The position of the last event.
    pub fn position(&self) -> Position {
        self.position
    }

    /// How many streams there are.
    pub fn streams(&self) -> usize {
        self.heads.len()
    }
}

fn stands_at(expected: u64, event: &RecordedEvent) -> Result<(), LogError> {
    if event.position.0 == expected {
        return Ok(());
    }
    let (position, stream) = (event.position.0, &event.stream);
    Err(LogError::Damaged {
        position: expected,
        stream: "unknown".to_owned(),
        what: format!("expected an event here, found the next one at position {position}, stream {stream}"),
    })
}

fn follows(before: Head, event: &RecordedEvent) -> Result<(), LogError> {
    if event.revision.0 != before.revision.0 + 1 {
        return Err(damaged(event, format!("expected revision {}, found {}", before.revision.0 + 1, event.revision.0)));
    }
    if event.previous_checksum != before.checksum {
        let (expected, found) = (before.checksum, event.previous_checksum);
        return Err(damaged(event, format!("expected to follow checksum {expected:016x}, found {found:016x}")));
    }
    Ok(())
}

fn damaged(event: &RecordedEvent, what: String) -> LogError {
    LogError::Damaged { position: event.position.0, stream: event.stream.to_string(), what }
}
