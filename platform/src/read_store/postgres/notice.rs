//! What processes tell each other of views, in the transaction in which it comes to be.

use crate::read_store::shared;
use crate::view_store::Change;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// The channel on which processes hear of each other.
pub(super) const CHANNEL: &str = "colophon_views";

/// Postgres takes 7,999 bytes; what stands around what is told takes some of them.
const MAX_BYTES: usize = 7_800;

/// What Postgres puts between two things that are told in one notice.
const SEPARATOR_BYTES: usize = 3;

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
    /// A generation has come further in these partitions.
    Moved(Vec<Moved>),
}

/// How far a generation has come in a partition, and by what.
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

/// What is told of changes of a generation that are made together, each with the number of the notice that tells it: as
/// many as fit go into one. `column` names the objects of its rows.
pub(super) fn of_changes(
    generation: u32,
    changes: &[&Change],
    column: &str,
) -> Result<Vec<(String, i64)>, serde_json::Error> {
    let (mut notice, mut bytes) = (0, 0);
    let place = |change: &&Change| {
        let told = Moved::of(generation, change, column).told()?;
        bytes += told.len() + SEPARATOR_BYTES;
        if bytes > MAX_BYTES {
            (notice, bytes) = (notice + 1, told.len() + SEPARATOR_BYTES);
        }
        Ok((told, notice))
    };
    changes.iter().map(place).collect()
}

impl Moved {
    fn of(generation: u32, change: &Change, column: &str) -> Self {
        Self {
            generation,
            partition: change.from.partition,
            position: change.to.0,
            changed_at: shared::changed_at(change).0,
            changed: Slots::Of(shared::changed_objects(change, column).map(shared::slot).collect()),
            amended: !change.taken_up.is_empty(),
            sets_aside: change.sets_aside(),
        }
    }

    fn told(mut self) -> Result<String, serde_json::Error> {
        let told = serde_json::to_string(&self)?;
        if told.len() + SEPARATOR_BYTES <= MAX_BYTES {
            return Ok(told);
        }
        self.changed = Slots::All;
        serde_json::to_string(&self)
    }
}

/// Tells that a view has other generations, once the transaction is committed.
pub(super) async fn tell_of_generations(transaction: &mut PgConnection, view: &str) -> Result<(), sqlx::Error> {
    let notice = Notice { view: view.to_owned(), news: News::Generations };
    let payload = serde_json::to_string(&notice).expect("strings can be written as JSON");
    sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(transaction).await.map(drop)
}
