//! `colophon replay at`: what a view's rows were, folded from the log beside whoever writes it.

use super::options::AtOptions;
use crate::log;
use crate::log::options::Bound;
use crate::log::output::{Output, event_bar, plain};
use crate::settings::Settings;
use crate::tools::named;
use anyhow::bail;
use platform::event_log::Position;
use platform::event_log::reader::LogReader;
use platform::seam::Timestamp;
use platform::view_store::Parked;
use projections::as_of;
use serde::Serialize;
use serde_json::Value;

/// The answer, as JSON has it.
#[derive(Serialize)]
struct Found<'a> {
    view: &'a str,
    position: u64,
    row: &'a Value,
}

/// Runs the command.
pub async fn run(settings: &Settings, options: AtOptions) -> anyhow::Result<()> {
    let view = named(&options.view)?;
    let log = log::open(settings).await?;
    let position = position_of(&log, options.at).await?;
    let bar = event_bar(position.0);
    let read = async |after: Position, limit: usize| {
        bar.set_position(after.0);
        log.read_all(after, limit).await
    };
    let found = as_of::rows(view, log.id(), read, &options.id, position).await?;
    bar.finish_and_clear();
    if found.rows.is_empty() && found.set_aside.parked.is_empty() {
        bail!("the view `{}` has nothing about {} at position {}", view.name(), options.id, position.0);
    }
    let mut out = Output::new(options.form);
    for parked in found.set_aside.parked.values() {
        let Parked { stream, position, reason, .. } = parked;
        out.print(parked, |out| writeln!(out, "{stream} is set aside from position {position} on: {}", plain(reason)))?;
    }
    for (_, row) in &found.rows {
        let text = serde_json::to_string_pretty(row)?;
        out.print(&Found { view: view.name(), position: position.0, row }, |out| writeln!(out, "{text}"))?;
    }
    Ok(out.flush()?)
}

/// The last position that is not later.
async fn position_of(log: &LogReader, bound: Bound) -> anyhow::Result<Position> {
    let head = log.head().await?;
    Ok(match bound {
        Bound::Position(position) if position > head => bail!("the log ends at position {}", head.0),
        Bound::Position(position) => position,
        Bound::Time(time) => {
            let after = log.first_since(Timestamp(time.0.saturating_add(1))).await?;
            after.map_or(head, |first| Position(first.0 - 1))
        }
    })
}
