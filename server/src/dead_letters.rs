//! `colophon dead-letters`: streams that views have set aside, and what to do about them.

use crate::cli::Global;
use crate::log::options::Form;
use crate::log::output::{Output, Side, Table, pairs, plain};
use crate::settings::Settings;
use crate::tools::{Task, Told};
use crate::work;
use anyhow::bail;
use clap::{Args, Subcommand};
use platform::telemetry;
use platform::view_store::Parked;
use projections::dead_letters::{Outcome, Remedy};

const NOTHING: &[u8] = b"no stream is set aside";

/// What to do with them.
#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// Print the streams that views have set aside, with the event that stopped each and why
    List {
        /// Only of this view
        #[arg(long)]
        view: Option<String>,
        /// How to print them.
        #[command(flatten)]
        form: Form,
    },
    /// Print the event that stopped a stream, and how many wait behind it
    Show {
        /// Which view
        view: String,
        /// Which stream
        stream: String,
        /// How to print it.
        #[command(flatten)]
        form: Form,
    },
    /// Take up streams again, in the order of their events: for when the view was mended
    ///
    /// A server does so by itself when it starts. It ends with 1 if a stream cannot go on.
    Retry(RetryOptions),
    /// Leave out the event that stopped a stream for good, and go on behind it
    ///
    /// The log keeps the event; this view's rows do without it, and so do later rebuilds of the view, until its file is
    /// removed.
    Skip {
        /// Which view
        view: String,
        /// Which stream
        stream: String,
        /// How to print what is done.
        #[command(flatten)]
        form: Form,
    },
}

/// Which streams to take up again.
#[derive(Debug, Args)]
pub struct RetryOptions {
    /// Which view
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub view: Option<String>,
    /// Which stream [default: all of the view]
    pub stream: Option<String>,
    /// All of all views
    #[arg(long)]
    pub all: bool,
    /// How to print what is done.
    #[command(flatten)]
    pub form: Form,
}

/// Runs the command.
pub async fn run(global: &Global, command: DeadLettersCommand) -> anyhow::Result<()> {
    let settings = Settings::load(global)?;
    telemetry::init(settings.logging.format.into(), "warn")?;
    match command {
        DeadLettersCommand::List { view, form } => list(&settings, Task::DeadLetters { view }, form).await,
        DeadLettersCommand::Show { view, stream, form } => {
            show(&settings, Task::DeadLetter { view, stream }, form).await
        }
        DeadLettersCommand::Retry(RetryOptions { view, stream, form, .. }) => {
            take_up(&settings, Task::TakeUp { view, stream, remedy: Remedy::Retry }, form).await
        }
        DeadLettersCommand::Skip { view, stream, form } => {
            let task = Task::TakeUp { view: Some(view), stream: Some(stream), remedy: Remedy::Skip };
            take_up(&settings, task, form).await
        }
    }
}

async fn list(settings: &Settings, task: Task, form: Form) -> anyhow::Result<()> {
    let mut out = Output::new(form);
    let mut rows = vec![["view", "stream", "revision", "position", "reason"].map(str::to_owned)];
    work::perform(settings, task, |told| {
        out.print(&told, |_| Ok(()))?;
        if let Told::Parked { view, parked: Parked { stream, revision, position, reason, .. } } = told {
            rows.push([view, stream, revision.to_string(), position.to_string(), reason]);
        }
        Ok(())
    })
    .await?;
    if out.is_json() {
        return Ok(out.flush()?);
    }
    if rows.len() == 1 {
        out.line(NOTHING)?;
    } else {
        out.rows(&mut Table::new([Side::Left, Side::Left, Side::Right, Side::Right, Side::Left]), &rows)?;
    }
    Ok(out.flush()?)
}

async fn show(settings: &Settings, task: Task, form: Form) -> anyhow::Result<()> {
    let mut out = Output::new(form);
    work::perform(settings, task, |told| {
        out.print(&told, |out| match &told {
            Told::Parked { view, parked } => {
                let Parked { stream, revision, position, reason, .. } = parked;
                let (revision, position) = (revision.to_string(), position.to_string());
                let (view, stream, reason) = (view.clone(), stream.clone(), reason.clone());
                let said = [
                    ("view", view),
                    ("stream", stream),
                    ("revision", revision),
                    ("position", position),
                    ("reason", reason),
                ];
                pairs(out, &said)
            }
            Told::Event { event_type, version, recorded_at, data, waiting } => {
                let said = [
                    ("type", format!("{event_type} version {version}")),
                    ("recorded at", recorded_at.clone()),
                    ("events behind it", waiting.to_string()),
                ];
                pairs(out, &said)?;
                writeln!(out, "{data:#}")
            }
            _ => Ok(()),
        })?;
        Ok(())
    })
    .await?;
    Ok(out.flush()?)
}

async fn take_up(settings: &Settings, task: Task, form: Form) -> anyhow::Result<()> {
    let mut out = Output::new(form);
    let (mut all, mut stopped) = (0, 0);
    work::perform(settings, task, |told| {
        if let Told::TakenUp { view, stream, outcome } = &told {
            all += 1;
            stopped += u32::from(matches!(outcome, Outcome::Parked(_)));
            out.print(&told, |out| match outcome {
                Outcome::TakenUp { events } => writeln!(out, "{view} {stream}: goes on, {events} events taken"),
                Outcome::NotParked => writeln!(out, "{view} {stream}: goes on"),
                Outcome::Parked(Parked { position, reason, .. }) => {
                    writeln!(out, "{view} {stream}: stands at position {position}: {}", plain(reason))
                }
            })?;
        }
        Ok(())
    })
    .await?;
    if all == 0 && !out.is_json() {
        out.line(NOTHING)?;
    }
    out.flush()?;
    match stopped {
        0 => Ok(()),
        1 => {
            bail!("a stream cannot go on: mend the view and try again, or leave the event out with `dead-letters skip`")
        }
        _ => bail!("{stopped} streams cannot go on: mend the view and try again, or leave the events out one by one"),
    }
}
