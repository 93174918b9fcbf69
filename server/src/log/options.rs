//! The command line of `colophon log`.

use clap::{Args, Subcommand};
use platform::event_log::{Position, RecordedEvent};
use platform::seam::Timestamp;
use schemas::timestamp;
use std::path::PathBuf;

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Print the last events, and with --follow those to come
    Tail(TailOptions),
    /// Print the events of one stream, oldest first
    Stream(StreamOptions),
    /// Check every record of the whole log, every stream's chain, and the file
    ///
    /// It ends with 0 if all is as it was written, else with 1 and the position and stream of the first bad record, what
    /// was expected there and what was found. It reads the whole file: beside a server it costs disk and one core.
    Verify(VerifyOptions),
    /// Count events by type and streams by category
    Stats(StatsOptions),
    /// Print what an aggregate is, or was: its state after its events up to a moment
    State(StateOptions),
    /// Write all events into a file, one JSON object per line
    ///
    /// Two exports of one log up to the same position are the same bytes. The log is verified on the way. The file is
    /// there when it is whole; one that is there already is left as it is, unless --force is given.
    Export(ExportOptions),
    /// Take the events of an export into an empty log, as they are: positions, ids, times, checksums
    ///
    /// The file is checked wholly before anything is touched: a refused import leaves the directory as it was. Then it
    /// goes in whole or not at all. It works beside a running server, as long as its log is empty.
    Import(ImportOptions),
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, Args)]
pub struct Form {
    /// Print JSON, one object per line, for machines
    #[arg(long)]
    pub json: bool,
}

/// Which events to print.
#[derive(Debug, Args)]
pub struct TailOptions {
    /// How many, the last ones [default: 10, or all with --since]
    #[arg(short = 'n', long = "lines", value_name = "N")]
    pub lines: Option<usize>,
    /// Go on with the events to come, until Ctrl-C
    #[arg(short, long, conflicts_with = "until")]
    pub follow: bool,
    /// Only events of this stream, or of all whose names begin so if it ends with a hyphen, such as `order-`
    #[arg(long, value_name = "NAME")]
    pub stream: Option<String>,
    /// Only events of this type, such as OrderPlaced; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
    /// Only events from a position on, or decided at a time or later, such as 2026-11-25T06:30:00Z
    #[arg(long, value_name = "POSITION|TIME", value_parser = bound)]
    pub since: Option<Bound>,
    /// Only events up to a position, or decided at a time or earlier
    #[arg(long, value_name = "POSITION|TIME", value_parser = bound)]
    pub until: Option<Bound>,
    /// How to print them.
    #[command(flatten)]
    pub form: Form,
}

/// Which stream to print.
#[derive(Debug, Args)]
pub struct StreamOptions {
    /// Its name, such as order-3a86290a-a908-55b8-a3b5-0123456789ab
    pub stream: String,
    /// Only events after this revision
    #[arg(long, value_name = "REVISION", default_value_t = 0)]
    pub after: u64,
    /// How to print them.
    #[command(flatten)]
    pub form: Form,
}

/// How to check the log.
#[derive(Debug, Args)]
pub struct VerifyOptions {
    /// How to print the verdict.
    #[command(flatten)]
    pub form: Form,
}

/// How to count.
#[derive(Debug, Args)]
pub struct StatsOptions {
    /// How to print the counts.
    #[command(flatten)]
    pub form: Form,
}

/// Whose state to print.
#[derive(Debug, Args)]
pub struct StateOptions {
    /// The name of its stream, such as order-3a86290a-a908-55b8-a3b5-0123456789ab
    pub stream: String,
    /// As it was at a position of the log, or at a time such as 2026-11-25T06:30:00Z [default: now]
    #[arg(long, value_name = "POSITION|TIME", value_parser = bound)]
    pub at: Option<Bound>,
    /// How to print it.
    #[command(flatten)]
    pub form: Form,
}

/// Where to export to.
#[derive(Debug, Args)]
pub struct ExportOptions {
    /// The file to write; - is standard output
    pub file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    pub force: bool,
}

/// What to import.
#[derive(Debug, Args)]
pub struct ImportOptions {
    /// The file that `log export` wrote, plain or gzip; - is standard input
    pub file: PathBuf,
    /// The vault that belongs to the events, such as `vault.sqlite` in a backup: its customers are taken too. Without it
    /// nobody knows whose the orders are
    #[arg(long, value_name = "FILE")]
    pub vault: Option<PathBuf>,
}

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// By position.
    Position(Position),
    /// By the time of decision.
    Time(Timestamp),
}

impl Bound {
    /// Whether an event is not behind it.
    pub fn includes(self, event: &RecordedEvent) -> bool {
        match self {
            Self::Position(position) => event.position <= position,
            Self::Time(time) => event.envelope.recorded_at <= time,
        }
    }
}

/// Reads a place in the log.
pub fn bound(text: &str) -> Result<Bound, String> {
    if let Ok(position) = text.parse::<u64>() {
        return Ok(Bound::Position(Position(position)));
    }
    let time = timestamp::parse(text).map(|at| Bound::Time(Timestamp(at.0)));
    time.ok_or_else(|| "expected a position such as 4711, or a time such as 2026-11-25T06:30:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_position_or_a_time() {
        assert_eq!(bound("4711"), Ok(Bound::Position(Position(4_711))));
        let time = Ok(Bound::Time(Timestamp(1_795_588_200_000_000)));
        assert_eq!((bound("2026-11-25T06:30:00Z"), bound("2026-11-25T07:30:00+01:00")), (time.clone(), time));
        for text in ["", "-1", "yesterday", "2026-11-25"] {
            assert!(bound(text).is_err(), "{text}");
        }
    }
}
