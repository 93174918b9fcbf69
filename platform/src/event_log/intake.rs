//! What an import brings, page by page: followed from its first event, whole or refused.

use super::seal::Chain;
use super::{LogError, Position, RecordedEvent};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long the next page may take: the log takes no appends meanwhile.
const PAGE_WITHIN: Duration = Duration::from_secs(30);

/// The pages of an import, on their way into a log.
pub(super) struct Intake {
    last: Position,
    pages: mpsc::Receiver<Vec<RecordedEvent>>,
    chain: Chain,
}

impl Intake {
    /// Pages that have to end with position `last`.
    pub(super) fn new(last: Position, pages: mpsc::Receiver<Vec<RecordedEvent>>) -> Self {
        Self { last, pages, chain: Chain::default() }
    }

    /// The next page, verified; none after the last one. A sender that ends before, for whatever reason, is no end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<RecordedEvent>>, LogError> {
        let late = |_| LogError::Refused(format!("no more events came within {} s", PAGE_WITHIN.as_secs()));
        let Some(page) = timeout(PAGE_WITHIN, self.pages.recv()).await.map_err(late)? else {
            return self.end();
        };
        for event in &page {
            self.chain.follow(event)?;
        }
        Ok(Some(page))
    }

    fn end(&self) -> Result<Option<Vec<RecordedEvent>>, LogError> {
        let (expected, found) = (self.last.0, self.chain.position().0);
        if expected == found {
            return Ok(None);
        }
        Err(LogError::Refused(format!("expected events up to position {expected}, found them up to {found}")))
    }
}

/// Why a log that ends at `head` takes no import.
pub(super) fn not_empty(head: Position) -> LogError {
    let head = head.0;
    LogError::Refused(format!("the log has events up to position {head}, and only an empty one takes those of another"))
}

/// Why events are not taken of which two have the same id.
pub(super) fn repeated_id() -> LogError {
    LogError::Refused("expected each event to have an id of its own, found one twice".to_owned())
}
