//! Imports: each row of a file becomes a command, many at once, and a row that cannot is refused with its reason.
//!
//! An import that stops half-way, for whatever reason, is completed by running it again: rows that are in are skipped.

mod columns;
mod encoding;
mod fields;
mod notes;
mod onix;
mod opening;
mod progress;
mod reason;
mod row;
mod rows;
mod stock;
mod table;
mod task;
#[cfg(test)]
mod tests;
mod trial;

pub use columns::{Field, REASON_COLUMN};
pub use notes::{LeftOut, Note, Repair};
pub use progress::{Frame, Progress, ReadAs};
pub use task::{BookFormat, Content, Effect, RefusedRows, Task};

use crate::commands::{Commands, Lane, Loaded, Refusal, Request, Unavailable};
use domain::Command;
use opening::Unreadable;
use platform::event_log::StreamId;
use platform::seam::Seam;
use row::{Entry, Outcome};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use trial::Trial;

/// Rows under way at once. Rows about the same book stay in their order.
const LANES: usize = 64;

/// What nobody has listened to yet. Small, since a refused row may come with its text.
const TOLD: usize = 32;

/// Kibibytes of text that rows under way keep, so that they can be written down if they are refused.
const KEPT_KIB: u32 = 32 * 1_024;

/// How often a command is offered to a dispatcher that is overloaded, and how long the import waits in between.
const OFFERS: u32 = 600;
const OFFER_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Where rows come from.
pub(crate) trait Source {
    /// How the file is read; whole once the first row was asked for.
    fn read_as(&self) -> ReadAs;

    /// The next row.
    fn next_entry(&mut self) -> Result<Option<Entry>, Unreadable>;
}

/// Why an import cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Halt {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("a dry run keeps at most {0} books in mind, and this file would change more: split it")]
    TrialTooLarge(usize),
}

/// Does `task` with `file`, gzip or plain, and tells how it goes. It stops when nobody listens any more.
pub fn start(
    file: Box<dyn Read + Send>,
    task: Task,
    commands: Arc<dyn Commands>,
    seam: Seam,
) -> mpsc::Receiver<Progress> {
    let (progress, receiver) = mpsc::channel(TOLD);
    let trial = (task.effect == Effect::DryRun).then(|| Arc::new(Trial::default()));
    tokio::spawn(Import { commands, seam, trial, progress }.run(task, file));
    receiver
}

/// What every row needs.
#[derive(Clone)]
pub(crate) struct Import {
    commands: Arc<dyn Commands>,
    seam: Seam,
    /// Where commands go instead of to the dispatcher, in a dry run.
    trial: Option<Arc<Trial>>,
    progress: mpsc::Sender<Progress>,
}

/// A row on its way through a lane, with the room that its text takes.
type OnItsWay = (Entry, Option<OwnedSemaphorePermit>);

impl Import {
    async fn run(self, task: Task, file: Box<dyn Read + Send>) {
        let mut lanes = JoinSet::new();
        let mut senders = Vec::new();
        for _ in 0..LANES {
            let (sender, rows) = mpsc::channel(4);
            senders.push(sender);
            lanes.spawn(self.clone().lane(rows));
        }
        let progress = self.progress.clone();
        let reading = tokio::task::spawn_blocking(move || read(&task, file, &senders, &progress));
        let mut stopped = reading.await.unwrap_or_else(|panic| Err(Unreadable::from(panic.to_string()))).err();
        while let Some(lane) = lanes.join_next().await {
            if let Err(halt) = lane.expect("a lane does not panic, and nobody aborts it") {
                stopped.get_or_insert(Unreadable::from(halt.to_string()));
            }
        }
        let last = stopped.map_or(Progress::Finished, |reason| Progress::Stopped { reason: reason.to_string() });
        // Nobody listens any more: then nobody needs to know.
        let _ = self.progress.send(last).await;
    }

    /// Takes rows one after the other, until there are no more, nobody listens, or there is no answer.
    async fn lane(self, mut rows: mpsc::Receiver<OnItsWay>) -> Result<(), Halt> {
        while let Some((entry, _room)) = rows.recv().await {
            let outcome = match entry.row {
                Ok(row) => row.take(&self).await?,
                Err(reason) => Outcome::Refused(reason),
            };
            let told = match outcome {
                Outcome::Accepted => Progress::Accepted { notes: entry.notes.into_vec() },
                Outcome::ThereAlready => Progress::ThereAlready { notes: entry.notes.into_vec() },
                Outcome::Refused(reason) => Progress::Refused { line: entry.line, reason, row: entry.text },
            };
            if self.progress.send(told).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Has a command decided, however busy the dispatcher is.
    pub(crate) async fn send(&self, stream: StreamId, command: Command) -> Result<Result<Loaded, Refusal>, Halt> {
        if let Some(trial) = &self.trial {
            let durable = self.durable(vec![stream.clone()]).await?.pop();
            let durable = durable.expect("there is an answer for each stream");
            return trial.decide(stream, durable, command);
        }
        let request = Request::unkeyed(stream, command, &self.seam);
        let answer = patiently(|| self.commands.send(request.clone())).await?;
        Ok(answer.outcome)
    }

    /// The state of streams, in their order: durable, or what a dry run has made of it.
    pub(crate) async fn peek(&self, streams: Vec<StreamId>) -> Result<Vec<Loaded>, Halt> {
        let durable = self.durable(streams.clone()).await?;
        let Some(trial) = &self.trial else { return Ok(durable) };
        Ok(streams.iter().zip(durable).map(|(stream, durable)| trial.state_of(stream, durable)).collect())
    }

    async fn durable(&self, streams: Vec<StreamId>) -> Result<Vec<Loaded>, Unavailable> {
        patiently(|| self.commands.peek(Lane::Customer, streams.clone())).await
    }
}

async fn patiently<T, F: Future<Output = Result<T, Unavailable>>>(offer: impl Fn() -> F) -> Result<T, Unavailable> {
    for _ in 0..OFFERS {
        match offer().await {
            Err(Unavailable::Overloaded) => tokio::time::sleep(OFFER_AGAIN_AFTER).await,
            decided => return decided,
        }
    }
    Err(Unavailable::Overloaded)
}

/// Reads the file on a thread of its own and spreads its rows over the lanes.
fn read(
    task: &Task,
    file: Box<dyn Read + Send>,
    lanes: &[mpsc::Sender<OnItsWay>],
    progress: &mpsc::Sender<Progress>,
) -> Result<(), Unreadable> {
    let room = Arc::new(Semaphore::new(KEPT_KIB as usize));
    let mut source = opening::open(file, task)?;
    let mut entry = source.next_entry();
    if progress.blocking_send(Progress::ReadAs(source.read_as())).is_err() {
        return Ok(());
    }
    while let Some(row) = entry? {
        let taken = row.text.as_ref().map(|text| room_for(text, &room));
        let listened_to = match &row.row {
            Ok(asked) => lanes[lane_of(&asked.book(), lanes.len())].blocking_send((row, taken)).is_ok(),
            Err(reason) => {
                let reason = reason.clone();
                progress.blocking_send(Progress::Refused { line: row.line, reason, row: row.text }).is_ok()
            }
        };
        if !listened_to {
            return Ok(());
        }
        entry = source.next_entry();
    }
    Ok(())
}

/// Waits until there is room to keep a row's text.
fn room_for(text: &str, room: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let kibibytes = u32::try_from(text.len().div_ceil(1_024)).unwrap_or(KEPT_KIB).min(KEPT_KIB);
    let waiting = Arc::clone(room).acquire_many_owned(kibibytes);
    Handle::current().block_on(waiting).expect("nobody closes it")
}

fn lane_of(key: &impl Hash, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    (hasher.finish() % lanes as u64) as usize
}
