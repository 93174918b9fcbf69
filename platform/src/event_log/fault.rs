//! An event log that fails on demand: for tests of whoever appends.

use super::{Append, EventLog, LogError, LogId, Position, RecordedEvent, Revision, StreamId, Verdict};
use futures_util::future::{BoxFuture, FutureExt};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, mpsc};

/// What can happen to an append.
pub enum Fault {
    /// It is not in the log, and the log does not answer.
    Lost,
    /// It is in the log, and the log does not answer.
    Unanswered,
    /// It is not in the log, and the log takes no more.
    Fatal,
    /// Somebody else appends this just before it.
    Preceded(Append),
    /// It waits until the semaphore has a permit for it.
    Held(Arc<Semaphore>),
}

/// What happens to the appends to come: a list of faults for each.
type Faults = VecDeque<Vec<Fault>>;

/// A log with faults.
pub struct FaultyLog {
    log: Arc<dyn EventLog>,
    faults: Mutex<Faults>,
    reads_fail: AtomicBool,
    held_reads: Mutex<HashMap<StreamId, Arc<Semaphore>>>,
}

impl FaultyLog {
    /// A log that does all that `log` does.
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log, faults: Mutex::default(), reads_fail: AtomicBool::new(false), held_reads: Mutex::default() }
    }

    /// What happens, one after the other, to the append after those that were spoken of already.
    pub fn then(&self, faults: Vec<Fault>) {
        self.faults.lock().expect("nothing panics while it holds the faults").push_back(faults);
    }

    /// Lets each read of a stream wait until the semaphore has a permit for it.
    pub fn hold_reads(&self, stream: StreamId, permits: Arc<Semaphore>) {
        self.held_reads.lock().expect("nothing panics while it holds the streams").insert(stream, permits);
    }

    /// Whether reading fails.
    pub fn fail_reads(&self, fail: bool) {
        self.reads_fail.store(fail, Ordering::SeqCst);
    }

    fn read<'a, T: Send + 'a>(
        &'a self,
        read: BoxFuture<'a, Result<T, LogError>>,
    ) -> BoxFuture<'a, Result<T, LogError>> {
        if self.reads_fail.load(Ordering::SeqCst) {
            return std::future::ready(Err(LogError::Unavailable("reading fails on demand".to_owned()))).boxed();
        }
        read
    }
}

impl EventLog for FaultyLog {
    fn id(&self) -> LogId {
        self.log.id()
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Vec<Verdict>, LogError>> {
        let faults = self.faults.lock().expect("nothing panics while it holds the faults").pop_front();
        async move {
            let mut answers = true;
            for fault in faults.unwrap_or_default() {
                match fault {
                    Fault::Lost => return Err(LogError::Unavailable("lost on demand".to_owned())),
                    Fault::Unanswered => answers = false,
                    Fault::Fatal => return Err(LogError::Fatal("fatal on demand".to_owned())),
                    Fault::Preceded(foreign) => {
                        self.log.append(vec![foreign]).await?;
                    }
                    Fault::Held(permits) => permits.acquire().await.expect("nobody closes the semaphore").forget(),
                }
            }
            let verdicts = self.log.append(batch).await?;
            if answers { Ok(verdicts) } else { Err(LogError::Unavailable("unanswered on demand".to_owned())) }
        }
        .boxed()
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        let held = self.held_reads.lock().expect("nothing panics while it holds the streams").get(stream).cloned();
        let read = self.read(self.log.read_stream(stream, after, limit));
        async move {
            if let Some(permits) = held {
                permits.acquire().await.expect("nobody closes the semaphore").forget();
            }
            read.await
        }
        .boxed()
    }

    fn read_all(&self, after: Position, limit: usize) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        self.read(self.log.read_all(after, limit))
    }

    fn wait_past(&self, position: Position) -> BoxFuture<'_, Result<Position, LogError>> {
        self.log.wait_past(position)
    }

    fn import(&self, last: Position, pages: mpsc::Receiver<Vec<RecordedEvent>>) -> BoxFuture<'_, Result<(), LogError>> {
        self.log.import(last, pages)
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        self.log.head()
    }
}
