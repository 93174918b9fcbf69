//! The dispatcher as a synchronous state machine: which aggregates are in memory, what is decided, what rests on what.
//!
//! The next batch is decided while the last one commits, against the state that includes the last one. It is handed
//! over only after the last one's verdicts, and what rested on a refused part of it is decided again. So every answer,
//! a refusal too, is a verdict of the log.

mod batch;
#[cfg(test)]
mod tests;

use crate::commands::{Answer, Lane, Loaded, Refusal, Request, Unavailable};
use crate::stream::encode;
use batch::{Batch, Decided, Work};
use domain::{Event, State};
use lru::LruCache;
use platform::event_log::{Append, CommandId, Position, RecordedEvent, Revision, StreamId, Verdict};
use platform::seam::Clock;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The bounds of a dispatcher.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Aggregates kept in memory while nothing is under way for them.
    pub cached_streams: usize,
    /// Commands of one lane that may be under way, and peeks that may wait for a load.
    pub queue_depth: usize,
    /// Commands decided into one batch.
    pub batch_commands: usize,
    /// Bytes of event data in one batch; the last command in it may exceed this.
    pub batch_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cached_streams: 65_536, queue_depth: 4_096, batch_commands: 256, batch_bytes: 4 << 20 }
    }
}

/// What became of an offered command or peek.
#[derive(Debug, PartialEq, Eq)]
pub enum Offer<R> {
    /// Its reply will come out of a later step.
    Queued,
    /// Too many wait already; here is the reply handle again.
    Full(R),
}

/// What a step of the machine gives its driver to send.
#[derive(Debug)]
pub struct Step<R, P> {
    /// Replies to commands.
    pub answers: Vec<(R, Result<Answer, Unavailable>)>,
    /// Repeats, each with the first event of its command: to be answered from the log.
    pub recalls: Vec<(R, RecordedEvent)>,
    /// Replies to peeks.
    pub peeked: Vec<(P, Result<Loaded, Unavailable>)>,
    /// Streams whose durable state moved, with a position at which a view shows it.
    pub advanced: Vec<(StreamId, Loaded, Position)>,
}

impl<R, P> Default for Step<R, P> {
    fn default() -> Self {
        Self { answers: Vec::new(), recalls: Vec::new(), peeked: Vec::new(), advanced: Vec::new() }
    }
}

/// A command under way, and whom to answer.
struct Pending<R> {
    request: Request,
    reply: R,
}

enum Entry<R, P> {
    /// The stream is being read; these wait for it.
    Loading { commands: Vec<Pending<R>>, peeks: Vec<P> },
    /// `durable` is in the log; `tip` is what it will be once all that is decided is in the log too.
    Ready { durable: Loaded, tip: Loaded },
}

/// All aggregates' one writer, without its loop. `R` answers a command, `P` a peek.
pub struct Aggregates<R, P> {
    limits: Limits,
    clock: Arc<dyn Clock>,
    entries: LruCache<StreamId, Entry<R, P>>,
    /// By lane: commands of loaded streams that wait for room in a batch.
    queues: [VecDeque<Pending<R>>; 2],
    /// By lane: how many commands are under way.
    depths: [usize; 2],
    waiting_peeks: usize,
    /// Every command under way, with the repeats of it that came meanwhile.
    under_way: HashMap<CommandId, VecDeque<Pending<R>>>,
    prepared: Batch<R>,
    committing: Batch<R>,
    loads: Vec<StreamId>,
    /// All that is known to be durable lies up to here.
    reached: Position,
}

impl<R, P> Aggregates<R, P> {
    /// An empty cache.
    pub fn new(limits: Limits, clock: Arc<dyn Clock>) -> Self {
        Self {
            limits,
            clock,
            entries: LruCache::unbounded(),
            queues: [VecDeque::new(), VecDeque::new()],
            depths: [0; 2],
            waiting_peeks: 0,
            under_way: HashMap::new(),
            prepared: Batch::default(),
            committing: Batch::default(),
            loads: Vec::new(),
            reached: Position(0),
        }
    }

    /// The durable state of a stream that is in memory, with a position at which a view shows it.
    pub fn durable(&self, stream: &StreamId) -> Option<(Loaded, Position)> {
        match self.entries.peek(stream)? {
            Entry::Ready { durable, .. } => Some((durable.clone(), self.reached)),
            Entry::Loading { .. } => None,
        }
    }

    /// Takes a command in. A repeat of one that is under way waits for that one.
    pub fn offer(&mut self, request: Request, reply: R) -> Offer<R> {
        let depth = &mut self.depths[request.lane as usize];
        if *depth >= self.limits.queue_depth {
            return Offer::Full(reply);
        }
        *depth += 1;
        self.admit(Pending { request, reply });
        self.prepare();
        Offer::Queued
    }

    /// Asks for the durable state of a stream; it is in the step at once if the stream is in memory. One without events is
    /// looked up again, unless something is under way for it: an import into the empty log may have brought it, and no
    /// verdict would tell.
    pub fn peek(&mut self, stream: StreamId, reply: P) -> (Offer<P>, Step<R, P>) {
        let mut step = Step::default();
        let under_way = self.prepared.contains(&stream) || self.committing.contains(&stream);
        match self.entries.get_mut(&stream) {
            Some(Entry::Ready { durable, .. }) if durable.revision.0 > 0 || under_way => {
                step.peeked.push((reply, Ok(durable.clone())));
                return (Offer::Queued, step);
            }
            _ if self.waiting_peeks >= self.limits.queue_depth => return (Offer::Full(reply), step),
            Some(Entry::Loading { peeks, .. }) => peeks.push(reply),
            Some(Entry::Ready { .. }) | None => self.load(stream, Vec::new(), vec![reply]),
        }
        self.waiting_peeks += 1;
        (Offer::Queued, step)
    }

    /// The streams that are to be read from the log now. Each comes back through [`Aggregates::loaded`].
    pub fn loads(&mut self) -> Vec<StreamId> {
        std::mem::take(&mut self.loads)
    }

    /// Takes in a stream that was read, its last event at `last`, or that it could not be.
    pub fn loaded(&mut self, stream: &StreamId, last: Position, result: Result<Loaded, Unavailable>) -> Step<R, P> {
        let mut step = Step::default();
        self.reached = self.reached.max(last);
        let Some(Entry::Loading { commands, peeks }) = self.entries.pop(stream) else { return step };
        self.waiting_peeks -= peeks.len();
        step.peeked.extend(peeks.into_iter().map(|reply| (reply, result.clone())));
        match result {
            Ok(loaded) => {
                step.advanced.push((stream.clone(), loaded.clone(), self.reached));
                self.entries.put(stream.clone(), Entry::Ready { durable: loaded.clone(), tip: loaded });
                for pending in commands {
                    self.queues[pending.request.lane as usize].push_back(pending);
                }
                self.evict();
            }
            Err(unavailable) => {
                for pending in commands {
                    self.finish(pending, Err(unavailable.clone()), &mut step);
                }
            }
        }
        self.prepare();
        step
    }

    /// The next batch to append: none while the last one is not settled. The one after it is decided at once.
    pub fn next_batch(&mut self) -> Vec<Append> {
        if !self.committing.is_empty() {
            return Vec::new();
        }
        self.committing = std::mem::take(&mut self.prepared);
        self.prepare();
        self.committing.hand_over()
    }

    /// Takes in the verdicts on the last batch.
    pub fn settle(&mut self, verdicts: Vec<Verdict>) -> Step<R, P> {
        let mut step = Step::default();
        for ((stream, work), verdict) in std::mem::take(&mut self.committing).into_works().zip(verdicts) {
            match verdict {
                Verdict::Appended { position, .. } => self.appended(&stream, work, position, &mut step),
                Verdict::Conflict => {
                    metrics::counter!("dispatcher_conflicts_total").increment(1);
                    let commands = work.into_commands().chain(self.prepared.withdraw(&stream)).collect();
                    self.load(stream, commands, Vec::new());
                }
                Verdict::Repeated { first } => self.repeated(&stream, work, &first, &mut step),
            }
        }
        self.prepare();
        step
    }

    /// Takes in that the last batch failed: whether it is in the log is not known, so its streams are read again.
    pub fn failed(&mut self, unavailable: &Unavailable) -> Step<R, P> {
        let mut step = Step::default();
        for (stream, work) in std::mem::take(&mut self.committing).into_works() {
            let rested_on_it = self.prepared.withdraw(&stream);
            self.load(stream, rested_on_it, Vec::new());
            for pending in work.into_commands() {
                self.finish(pending, Err(unavailable.clone()), &mut step);
            }
        }
        self.prepare();
        step
    }

    /// Gives up on everything: for a log that takes no more appends.
    pub fn abandon(&mut self, unavailable: &Unavailable) -> Step<R, P> {
        let mut step = Step::default();
        let batches = [std::mem::take(&mut self.committing), std::mem::take(&mut self.prepared)];
        let works = batches.into_iter().flat_map(Batch::into_works);
        let mut commands: Vec<_> = works.flat_map(|(_, work)| work.into_commands()).collect();
        commands.extend(self.queues.iter_mut().flat_map(std::mem::take));
        while let Some((_, entry)) = self.entries.pop_lru() {
            if let Entry::Loading { commands: waiting, peeks } = entry {
                commands.extend(waiting);
                step.peeked.extend(peeks.into_iter().map(|reply| (reply, Err(unavailable.clone()))));
            }
        }
        commands.extend(std::mem::take(&mut self.under_way).into_values().flatten());
        step.answers.extend(commands.into_iter().map(|pending| (pending.reply, Err(unavailable.clone()))));
        (self.depths, self.waiting_peeks) = ([0; 2], 0);
        step
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.waiting_peeks == 0
    }

    /// How many commands of a lane are under way.
    pub fn depth(&self, lane: Lane) -> usize {
        self.depths[lane as usize]
    }

    fn admit(&mut self, pending: Pending<R>) {
        if let Some(repeats) = self.under_way.get_mut(&pending.request.id) {
            return repeats.push_back(pending);
        }
        self.under_way.insert(pending.request.id, VecDeque::new());
        self.queues[pending.request.lane as usize].push_back(pending);
    }

    fn load(&mut self, stream: StreamId, commands: Vec<Pending<R>>, peeks: Vec<P>) {
        self.entries.put(stream.clone(), Entry::Loading { commands, peeks });
        self.loads.push(stream);
    }

    /// Decides queued commands into the prepared batch, the system's first, as far as it has room.
    fn prepare(&mut self) {
        while self.prepared.has_room(&self.limits) {
            let [customer, system] = &mut self.queues;
            let Some(pending) = system.pop_front().or_else(|| customer.pop_front()) else { break };
            match self.entries.get_mut(&pending.request.stream) {
                Some(Entry::Ready { tip, .. }) => {
                    let stream = pending.request.stream.clone();
                    let expected = tip.revision;
                    let decided = decide(pending, tip, self.clock.as_ref());
                    self.prepared.add(stream, expected, decided);
                }
                Some(Entry::Loading { commands, .. }) => commands.push(pending),
                None => self.load(pending.request.stream.clone(), vec![pending], Vec::new()),
            }
        }
    }

    fn appended(&mut self, stream: &StreamId, work: Work<R>, position: Position, step: &mut Step<R, P>) {
        self.reached = self.reached.max(position);
        if let (Some(Entry::Ready { durable, .. }), Some(newest)) = (self.entries.get_mut(stream), work.newest()) {
            step.advanced.push((stream.clone(), newest.clone(), position));
            *durable = newest;
        }
        // The events of one append lie side by side, its last one at `position`.
        let mut unwritten = work.events();
        for decided in work.decided {
            unwritten -= decided.event_count;
            let behind_it = if decided.event_count > 0 { unwritten } else { 0 };
            let answer = Answer { outcome: decided.outcome, position: Position(position.0 - behind_it) };
            self.finish(decided.pending, Ok(answer), step);
        }
    }

    /// The stream is as expected, but one of the commands is in the log already: nothing of the append was written.
    fn repeated(&mut self, stream: &StreamId, work: Work<R>, first: &RecordedEvent, step: &mut Step<R, P>) {
        if let Some(Entry::Ready { durable, tip }) = self.entries.get_mut(stream) {
            *tip = durable.clone();
        }
        let (repeats, again): (Vec<_>, Vec<_>) = work
            .into_commands()
            .chain(self.prepared.withdraw(stream))
            .partition(|pending| pending.request.id == first.envelope.command_id);
        for pending in again.into_iter().rev() {
            self.queues[pending.request.lane as usize].push_front(pending);
        }
        for pending in repeats {
            if pending.request.body_hash == first.envelope.body_hash {
                self.leave(&pending);
                step.recalls.push((pending.reply, first.clone()));
            } else {
                let answer = Answer { outcome: Err(Refusal::KeyReused), position: first.position };
                self.finish(pending, Ok(answer), step);
            }
        }
    }

    fn finish(&mut self, pending: Pending<R>, result: Result<Answer, Unavailable>, step: &mut Step<R, P>) {
        self.leave(&pending);
        step.answers.push((pending.reply, result));
    }

    /// The command is no longer under way: its repeats are judged now, the first of them for the rest.
    fn leave(&mut self, pending: &Pending<R>) {
        self.depths[pending.request.lane as usize] -= 1;
        for repeat in self.under_way.remove(&pending.request.id).unwrap_or_default() {
            self.admit(repeat);
        }
    }

    /// Forgets the streams used longest ago, those in a batch excepted.
    fn evict(&mut self) {
        for _ in self.limits.cached_streams..self.entries.len() {
            let Some((stream, entry)) = self.entries.pop_lru() else { return };
            let in_use = matches!(entry, Entry::Loading { .. })
                || self.prepared.contains(&stream)
                || self.committing.contains(&stream);
            if in_use {
                self.entries.put(stream, entry);
            }
        }
    }
}

/// Decides one command against the tip, and moves the tip to what it will be.
fn decide<R>(pending: Pending<R>, tip: &mut Loaded, clock: &dyn Clock) -> Decided<R> {
    match judge(tip, &pending.request) {
        Ok(events) if !events.is_empty() => {
            let state = events.iter().fold(State::clone(&tip.state), domain::evolve);
            let revision = Revision(tip.revision.0 + events.len() as u64);
            *tip = Loaded { state: Arc::new(state), revision };
            let events = encode(&pending.request, &events, clock.now());
            Decided { event_count: events.len() as u64, events, outcome: Ok(tip.clone()), pending }
        }
        unchanged => Decided { event_count: 0, events: Vec::new(), outcome: unchanged.map(|_| tip.clone()), pending },
    }
}

fn judge(tip: &Loaded, request: &Request) -> Result<Vec<Event>, Refusal> {
    if request.if_match.is_some_and(|seen| seen != tip.revision) {
        return Err(Refusal::Outdated(tip.revision));
    }
    domain::decide(&tip.state, request.command.clone()).map_err(Refusal::Rejected)
}
