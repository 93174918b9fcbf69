//! Those who wait for the next event of a stream.

use crate::commands::{Answer, Loaded, Unavailable};
use platform::event_log::{Position, Revision, StreamId};
use std::collections::HashMap;
use tokio::sync::oneshot;

type Reply = oneshot::Sender<Result<Answer, Unavailable>>;

/// By stream: past which revision they wait, and whom to answer.
pub(super) struct Followers {
    waiting: HashMap<StreamId, Vec<(Revision, Reply)>>,
    count: usize,
    most: usize,
}

impl Followers {
    /// At most so many at once.
    pub(super) fn new(most: usize) -> Self {
        Self { waiting: HashMap::new(), count: 0, most }
    }

    /// Answers once the stream is past `after`.
    pub(super) fn add(&mut self, stream: StreamId, after: Revision, reply: Reply) {
        if self.count >= self.most {
            self.forget_the_gone();
        }
        if self.count >= self.most {
            let _ = reply.send(Err(Unavailable::Overloaded));
            return;
        }
        self.count += 1;
        self.waiting.entry(stream).or_default().push((after, reply));
    }

    /// Takes in what a stream has become.
    pub(super) fn advanced(&mut self, stream: &StreamId, loaded: &Loaded, position: Position) {
        let Some(waiting) = self.waiting.remove(stream) else { return };
        self.count -= waiting.len();
        for (after, reply) in waiting {
            if loaded.revision > after {
                let _ = reply.send(Ok(Answer { outcome: Ok(loaded.clone()), position }));
            } else if !reply.is_closed() {
                self.count += 1;
                self.waiting.entry(stream.clone()).or_default().push((after, reply));
            }
        }
    }

    /// Whoever waited too long for his liking is no longer there.
    fn forget_the_gone(&mut self) {
        for waiting in self.waiting.values_mut() {
            waiting.retain(|(_, reply)| !reply.is_closed());
        }
        self.waiting.retain(|_, waiting| !waiting.is_empty());
        self.count = self.waiting.values().map(Vec::len).sum();
    }
}
