//! Imports: each row of a file becomes a command, many at once, and a row that cannot is refused with its reason.
//!
//! An import that stops half-way, for whatever reason, is completed by running it again: rows that are in are skipped.

pub mod book;
mod format;
pub mod stock;
mod table;
#[cfg(test)]
mod tests;

use crate::commands::{Commands, Lane, Loaded, Refusal, Request, Unavailable};
use domain::Command;
use domain::money::Currency;
use format::{Format, Outcome};
use platform::event_log::StreamId;
use platform::seam::Seam;
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use table::{Table, Unreadable};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Rows under way at once. Rows about the same book stay in their order.
const LANES: usize = 64;

/// How often a command is offered to a dispatcher that is overloaded, and how long the import waits in between.
const OFFERS: u32 = 600;
const OFFER_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What a file holds.
#[derive(Debug, Clone, Copy)]
pub enum Content {
    /// Books, as the goodbooks-10k data set lists them.
    Goodbooks,
    /// Copies and prices by ISBN.
    Stock {
        /// Of the prices.
        currency: Currency,
    },
}

/// What an import tells while it runs, and at last [`Progress::Finished`] or [`Progress::Stopped`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// A row came to events.
    Accepted,
    /// What a row says was so already.
    ThereAlready,
    /// A row was refused.
    Refused {
        /// Where it begins in the file, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// The file is read to its end.
    Finished,
    /// The file could not be read further, or the log did not answer.
    Stopped {
        /// Why, and what to do.
        reason: String,
    },
}

/// Imports `file`, gzip or plain, and tells how it goes. It stops when nobody listens any more.
pub fn start(
    file: Box<dyn Read + Send>,
    content: Content,
    commands: Arc<dyn Commands>,
    seam: Seam,
) -> mpsc::Receiver<Progress> {
    let (progress, receiver) = mpsc::channel(1_024);
    let import = Import { commands, seam, progress };
    match content {
        Content::Goodbooks => tokio::spawn(import.run(book::Goodbooks, file)),
        Content::Stock { currency } => tokio::spawn(import.run(stock::Counts { currency }, file)),
    };
    receiver
}

/// What every row needs.
#[derive(Clone)]
pub(crate) struct Import {
    commands: Arc<dyn Commands>,
    seam: Seam,
    progress: mpsc::Sender<Progress>,
}

impl Import {
    async fn run<F: Format>(self, format: F, file: Box<dyn Read + Send>) {
        let format = Arc::new(format);
        let mut lanes = JoinSet::new();
        let mut senders = Vec::new();
        for _ in 0..LANES {
            let (sender, rows) = mpsc::channel(4);
            senders.push(sender);
            lanes.spawn(self.clone().lane(Arc::clone(&format), rows));
        }
        let progress = self.progress.clone();
        let reading = tokio::task::spawn_blocking(move || read(format.as_ref(), file, &senders, &progress));
        let mut stopped = reading.await.unwrap_or_else(|panic| Err(Unreadable::from(panic.to_string()))).err();
        while let Some(lane) = lanes.join_next().await {
            if let Err(unavailable) = lane.expect("a lane does not panic, and nobody aborts it") {
                stopped.get_or_insert(Unreadable::from(unavailable.to_string()));
            }
        }
        let last = stopped.map_or(Progress::Finished, |reason| Progress::Stopped { reason: reason.to_string() });
        // Nobody listens any more: then nobody needs to know.
        let _ = self.progress.send(last).await;
    }

    /// Takes rows one after the other, until there are no more, nobody listens, or there is no answer.
    async fn lane<F: Format>(self, format: Arc<F>, mut rows: mpsc::Receiver<(u64, F::Row)>) -> Result<(), Unavailable> {
        while let Some((line, row)) = rows.recv().await {
            let told = match format.take(row, &self).await? {
                Outcome::Accepted => Progress::Accepted,
                Outcome::ThereAlready => Progress::ThereAlready,
                Outcome::Refused(reason) => Progress::Refused { line, reason },
            };
            if self.progress.send(told).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Has a command decided, however busy the dispatcher is.
    pub(crate) async fn send(
        &self,
        stream: StreamId,
        command: Command,
    ) -> Result<Result<Loaded, Refusal>, Unavailable> {
        let request = Request::unkeyed(stream, command, &self.seam);
        let answer = patiently(|| self.commands.send(request.clone())).await?;
        Ok(answer.outcome)
    }

    /// The durable state of streams, in their order.
    pub(crate) async fn peek(&self, streams: Vec<StreamId>) -> Result<Vec<Loaded>, Unavailable> {
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
fn read<F: Format>(
    format: &F,
    file: Box<dyn Read + Send>,
    lanes: &[mpsc::Sender<(u64, F::Row)>],
    progress: &mpsc::Sender<Progress>,
) -> Result<(), Unreadable> {
    let mut table = Table::open(file, F::COLUMNS)?;
    while let Some((line, fields)) = table.next_row()? {
        let row = fields.and_then(|fields| format.parse(&fields));
        let listened_to = match row {
            Ok(row) => lanes[lane_of(&F::key(&row), lanes.len())].blocking_send((line, row)).is_ok(),
            Err(reason) => progress.blocking_send(Progress::Refused { line, reason }).is_ok(),
        };
        if !listened_to {
            return Ok(());
        }
    }
    Ok(())
}

fn lane_of(key: &impl Hash, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    (hasher.finish() % lanes as u64) as usize
}
