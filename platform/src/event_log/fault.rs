//! An event log that fails on demand: for tests of whoever appends.

use super::{Append, EventLog, LogError, LogId, Position, RecordedEvent, Revision, StreamId, Verdict};
use futures_util::future::{BoxFuture, FutureExt};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// What happens to one append.
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

/// A log with faults.
pub struct FaultyLog {
    log: Arc<dyn EventLog>,
    faults: Mutex<VecDeque<Option<Fault>>>,
    reads_fail: AtomicBool,
}

impl FaultyLog {
    /// A log that does all that `log` does.
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log, faults: Mutex::default(), reads_fail: AtomicBool::new(false) }
    }

    /// What happens to the append after those that were spoken of already; `None`: nothing.
    pub fn then(&self, fault: Option<Fault>) {
        self.faults.lock().expect("nothing panics while it holds the faults").push_back(fault);
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
        let fault = self.faults.lock().expect("nothing panics while it holds the faults").pop_front().flatten();
        async move {
            match fault {
                None => self.log.append(batch).await,
                Some(Fault::Lost) => Err(LogError::Unavailable("lost on demand".to_owned())),
                Some(Fault::Unanswered) => {
                    self.log.append(batch).await?;
                    Err(LogError::Unavailable("unanswered on demand".to_owned()))
                }
                Some(Fault::Fatal) => Err(LogError::Fatal("fatal on demand".to_owned())),
                Some(Fault::Preceded(foreign)) => {
                    self.log.append(vec![foreign]).await?;
                    self.log.append(batch).await
                }
                Some(Fault::Held(permits)) => {
                    permits.acquire().await.expect("nobody closes the semaphore").forget();
                    self.log.append(batch).await
                }
            }
        }
        .boxed()
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        self.read(self.log.read_stream(stream, after, limit))
    }

    fn read_all(&self, after: Position, limit: usize) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        self.read(self.log.read_all(after, limit))
    }

    fn wait_past(&self, position: Position) -> BoxFuture<'_, Result<Position, LogError>> {
        self.log.wait_past(position)
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        self.log.head()
    }
}
