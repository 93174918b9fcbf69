//! `colophon log tail` and `log stream`: the events themselves.

use super::PAGE;
use super::options::{Bound, Form, StreamOptions, TailOptions};
use super::output::{Output, Side, Table, time};
use super::record;
use crate::stdout::Unread;
use anyhow::bail;
use platform::event_log::reader::LogReader;
use platform::event_log::{Position, RecordedEvent, Revision, StreamId};
use std::collections::VecDeque;

/// Events that are printed where nobody says how many.
const LINES: usize = 10;

/// Runs `log tail`; Ctrl-C ends following.
pub async fn run(log: &LogReader, options: &TailOptions) -> anyhow::Result<()> {
    let mut printer = Printer::new(options.form);
    let mut seen = log.head().await?;
    let first = match options.since {
        None => Some(Position(1)),
        Some(Bound::Position(position)) => Some(position.max(Position(1))),
        Some(Bound::Time(time)) => log.first_since(time).await?,
    };
    let last = match options.until {
        Some(Bound::Position(position)) => position.min(seen),
        _ => seen,
    };
    if let Some(first) = first {
        match options.lines.or(options.since.is_none().then_some(LINES)) {
            Some(lines) => printer.print(&last_of(log, options, first, last, lines).await?)?,
            None => print_all(log, options, &mut printer, first, last).await?,
        }
    }
    if !options.follow {
        return Ok(());
    }
    loop {
        log.wait_past(seen).await?;
        let events = log.read_sound(seen, PAGE).await?;
        seen = events.last().map_or(seen, |event| event.position);
        printer.print(&matching(options, events))?;
    }
}

/// The last so many events that match, from position `first` to `last`.
async fn last_of(
    log: &LogReader,
    options: &TailOptions,
    first: Position,
    last: Position,
    lines: usize,
) -> anyhow::Result<Vec<RecordedEvent>> {
    let (mut found, mut end) = (VecDeque::new(), last.0);
    while found.len() < lines && end >= first.0 {
        let after = end.saturating_sub(PAGE as u64).max(first.0 - 1);
        let events = log.read_all(Position(after), usize::try_from(end - after)?).await?;
        for event in matching(options, events).into_iter().rev().take(lines - found.len()) {
            found.push_front(event);
        }
        end = after;
    }
    Ok(found.into())
}

async fn print_all(
    log: &LogReader,
    options: &TailOptions,
    printer: &mut Printer,
    first: Position,
    last: Position,
) -> anyhow::Result<()> {
    let mut after = first.0 - 1;
    while after < last.0 {
        let left = usize::try_from(last.0 - after).unwrap_or(PAGE);
        let events = log.read_sound(Position(after), left.min(PAGE)).await?;
        after += events.len() as u64;
        if events.is_empty() {
            return Ok(());
        }
        printer.print(&matching(options, events))?;
    }
    Ok(())
}

fn matching(options: &TailOptions, mut events: Vec<RecordedEvent>) -> Vec<RecordedEvent> {
    events.retain(|event| {
        let name = event.stream.as_str();
        let of_stream = options.stream.as_deref().is_none_or(|asked| match asked.ends_with('-') {
            true => name.starts_with(asked),
            false => name == asked,
        });
        let of_type = options.types.is_empty() || options.types.contains(&event.envelope.event_type);
        of_stream
            && of_type
            && is_since(event, options.since)
            && options.until.is_none_or(|until| until.includes(event))
    });
    events
}

fn is_since(event: &RecordedEvent, since: Option<Bound>) -> bool {
    match since {
        None => true,
        Some(Bound::Position(position)) => event.position >= position,
        Some(Bound::Time(time)) => event.envelope.recorded_at >= time,
    }
}

/// Runs `log stream`.
pub async fn run_stream(log: &LogReader, options: StreamOptions) -> anyhow::Result<()> {
    let stream = StreamId::new(&options.stream);
    if log.read_stream(&stream, Revision(0), 1).await?.is_empty() {
        bail!("no event of the log is of a stream {stream}");
    }
    let mut printer = Printer::new(options.form);
    let mut after = Revision(options.after);
    loop {
        let events = log.read_stream(&stream, after, PAGE).await?;
        let Some(last) = events.last() else { return Ok(()) };
        after = last.revision;
        printer.print(&events)?;
    }
}

/// Prints events, a line each, and shows them at once.
struct Printer {
    out: Output,
    table: Table<6>,
}

impl Printer {
    fn new(form: Form) -> Self {
        let sides = [Side::Right, Side::Left, Side::Left, Side::Right, Side::Left, Side::Left];
        Self { out: Output::of(form, Unread::Ends), table: Table::new(sides) }
    }

    fn print(&mut self, events: &[RecordedEvent]) -> anyhow::Result<()> {
        if self.out.is_json() {
            for event in events {
                self.out.line(&record::write(event)?)?;
            }
        } else {
            let rows: Vec<_> = events.iter().map(row).collect();
            self.out.rows(&mut self.table, &rows)?;
        }
        Ok(self.out.flush()?)
    }
}

fn row(event: &RecordedEvent) -> [String; 6] {
    let data = match record::on_one_line(&event.data) {
        Some(json) => json.get().to_owned(),
        None => format!("({} bytes that are no line of JSON)", event.data.len()),
    };
    [
        event.position.0.to_string(),
        time(event.envelope.recorded_at),
        event.stream.to_string(),
        event.revision.0.to_string(),
        format!("{} v{}", event.envelope.event_type, event.envelope.version),
        data,
    ]
}
