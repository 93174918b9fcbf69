//! `colophon log stats`: what the log holds, in numbers.

use super::options::StatsOptions;
use super::output::{Output, Side, Table, pairs, time};
use platform::event_log::reader::LogReader;
use platform::event_log::stats::Stats;
use serde::Serialize;
use std::io::{self, Write};
use uuid::Uuid;

/// The numbers, as JSON has them.
#[derive(Serialize)]
struct Counts {
    log: Uuid,
    events: u64,
    streams: u64,
    last_position: u64,
    first_recorded_at: Option<String>,
    last_recorded_at: Option<String>,
    data_bytes: u64,
    file_bytes: u64,
    types: Vec<OfType>,
    categories: Vec<OfCategory>,
}

#[derive(Serialize)]
struct OfType {
    #[serde(rename = "type")]
    event_type: String,
    version: u16,
    events: u64,
    data_bytes: u64,
}

#[derive(Serialize)]
struct OfCategory {
    category: String,
    streams: u64,
    events: u64,
    longest_events: u64,
    longest: String,
}

impl Counts {
    fn new(log: Uuid, stats: Stats) -> Self {
        let of_type = |of: platform::event_log::stats::TypeStats| OfType {
            event_type: of.event_type,
            version: of.version,
            events: of.events,
            data_bytes: of.data_bytes,
        };
        let of_category = |of: platform::event_log::stats::CategoryStats| OfCategory {
            category: of.category,
            streams: of.streams,
            events: of.events,
            longest_events: of.longest_events,
            longest: of.longest,
        };
        Self {
            log,
            events: stats.events,
            streams: stats.categories.iter().map(|of| of.streams).sum(),
            last_position: stats.position.0,
            first_recorded_at: stats.first.map(time),
            last_recorded_at: stats.last.map(time),
            data_bytes: stats.data_bytes,
            file_bytes: stats.file_bytes,
            types: stats.types.into_iter().map(of_type).collect(),
            categories: stats.categories.into_iter().map(of_category).collect(),
        }
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let moment = |at: &Option<String>| at.clone().unwrap_or_else(|| "none".to_owned());
        let whole = [
            ("log", self.log.to_string()),
            ("events", self.events.to_string()),
            ("streams", self.streams.to_string()),
            ("last position", self.last_position.to_string()),
            ("first event", moment(&self.first_recorded_at)),
            ("last event", moment(&self.last_recorded_at)),
            ("bytes of data", self.data_bytes.to_string()),
            ("bytes of file", self.file_bytes.to_string()),
        ];
        pairs(out, &whole)?;
        writeln!(out)?;
        let mut types = vec![["type", "version", "events", "bytes"].map(str::to_owned)];
        types.extend(self.types.iter().map(|of| {
            [of.event_type.clone(), of.version.to_string(), of.events.to_string(), of.data_bytes.to_string()]
        }));
        Table::new([Side::Left, Side::Right, Side::Right, Side::Right]).print(out, &types)?;
        writeln!(out)?;
        let mut categories = vec![["category", "streams", "events", "longest", "which"].map(str::to_owned)];
        categories.extend(self.categories.iter().map(|of| {
            let [streams, events, longest] = [of.streams, of.events, of.longest_events].map(|count| count.to_string());
            [of.category.clone(), streams, events, longest, of.longest.clone()]
        }));
        Table::new([Side::Left, Side::Right, Side::Right, Side::Right, Side::Left]).print(out, &categories)
    }
}

/// Runs the command.
pub async fn run(log: &LogReader, options: StatsOptions) -> anyhow::Result<()> {
    let counts = Counts::new(log.id().0, log.stats().await?);
    let mut out = Output::new(options.form);
    out.print(&counts, |out| counts.print(out))?;
    Ok(out.flush()?)
}
