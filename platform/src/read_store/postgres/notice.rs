//! What processes tell each other of views, in the transaction in which it comes to be.

use crate::read_store::shared;
use crate::view_store::Change;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// The channel on which processes hear of each other.
pub(super) const CHANNEL: &str = "colophon_views";

/// Postgres takes 7,999 bytes.
const MAX_BYTES: usize = 7_900;

/// Something that came to be.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Notice {
    pub(super) view: String,
    pub(super) news: News,
}

/// What came to be.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum News {
    /// The view has other generations, or theirs are of other stages.
    Generations,
    /// A generation has come further in a partition.
    Moved(Moved),
}

/// How far a generation has come, and by what.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Moved {
    pub(super) generation: u32,
    pub(super) partition: u16,
    pub(super) position: u64,
    /// Where the rows of these objects changed.
    pub(super) changed_at: u64,
    pub(super) changed: Slots,
    /// Whether rows changed although the position did not.
    pub(super) amended: bool,
    /// Whether what is set aside is another now.
    pub(super) sets_aside: bool,
}

/// Slots of objects.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Slots {
    /// There were too many to name them.
    All,
    /// These.
    Of(BTreeSet<u16>),
}

impl Notice {
    /// Of a change of a generation; `column` names the objects of its rows.
    pub(super) fn of(view: &str, generation: u32, change: &Change, column: &str) -> Self {
        let moved = Moved {
            generation,
            partition: change.from.partition,
            position: change.to.0,
            changed_at: shared::changed_at(change).0,
            changed: Slots::Of(shared::changed_objects(change, column).map(shared::slot).collect()),
            amended: !change.taken_up.is_empty(),
            sets_aside: change.sets_aside(),
        };
        Self { view: view.to_owned(), news: News::Moved(moved) }
    }

    /// As it is sent.
    pub(super) fn payload(mut self) -> Result<String, serde_json::Error> {
        let payload = serde_json::to_string(&self)?;
        if payload.len() <= MAX_BYTES {
            return Ok(payload);
        }
        if let News::Moved(moved) = &mut self.news {
            moved.changed = Slots::All;
        }
        serde_json::to_string(&self)
    }
}

/// Tells that a view has other generations, once the transaction is committed.
pub(super) async fn tell_of_generations(transaction: &mut PgConnection, view: &str) -> Result<(), sqlx::Error> {
    let notice = Notice { view: view.to_owned(), news: News::Generations };
    let payload = notice.payload().expect("strings can be written as JSON");
    sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(transaction).await.map(drop)
}
