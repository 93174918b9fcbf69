//! `colophon replay`: builds views anew from the log beside the live ones, and shows what they were and how they fare.

mod at;
pub mod options;
mod report;

use crate::cli::{Global, say};
use crate::log::options::Form;
use crate::log::output::{Output, Side, Table};
use crate::settings::Settings;
use crate::tools::{GenerationReport, Task, Told, ViewReport};
use crate::work;
use anyhow::bail;
use options::{RebuildOptions, ReplayCommand};
use platform::telemetry;
use projections::any_view;
use projections::rebuild::Then;
use report::Report;

/// Runs the command.
pub async fn run(global: &Global, command: ReplayCommand) -> anyhow::Result<()> {
    let settings = Settings::load(global)?;
    telemetry::init(settings.logging.format.into(), "warn")?;
    match command {
        ReplayCommand::Rebuild(options) => rebuild(&settings, options).await,
        ReplayCommand::Switch(options) => {
            let then = if options.accept_differences { Then::Switch } else { Then::SwitchIfEqual };
            let task = Task::Switch { view: options.view, generation: options.generation, then };
            reported(&settings, task, Report::new(options.form, then)).await
        }
        ReplayCommand::Rollback { view, form } => {
            reported(&settings, Task::RollBack { view }, Report::new(form, Then::Switch)).await
        }
        ReplayCommand::Drop { view, generation } => {
            work::perform(&settings, Task::Drop { view: view.clone(), generation }, |_| Ok(())).await?;
            say(format_args!("{view}: generation {generation} is dropped"))?;
            Ok(())
        }
        ReplayCommand::List { form } => list(&settings, form).await,
        ReplayCommand::Verify { form } => verify(&settings, form).await,
        ReplayCommand::At(options) => at::run(&settings, options).await,
    }
}

async fn rebuild(settings: &Settings, options: RebuildOptions) -> anyhow::Result<()> {
    let then = match (options.no_switch, options.accept_differences) {
        (true, _) => Then::Keep,
        (false, true) => Then::Switch,
        (false, false) => Then::SwitchIfEqual,
    };
    let all = || any_view::ALL.iter().map(|view| view.name().to_owned()).collect();
    let views = if options.all { all() } else { options.views };
    reported(settings, Task::Rebuild { views, then }, Report::new(options.form, then)).await
}

async fn reported(settings: &Settings, task: Task, mut report: Report) -> anyhow::Result<()> {
    let done = work::perform(settings, task, |told| report.take(told)).await;
    // What was done is reported, also if the rest was not.
    report.end()?;
    done.and_then(|()| report.verdict())
}

async fn list(settings: &Settings, form: Form) -> anyhow::Result<()> {
    let mut out = Output::new(form);
    let mut reports: Vec<GenerationReport> = Vec::new();
    work::perform(settings, Task::List, |told| {
        out.print(&told, |_| Ok(()))?;
        if let Told::Generation(report) = told {
            reports.push(report);
        }
        Ok(())
    })
    .await?;
    if out.is_json() {
        return Ok(out.flush()?);
    }
    let row = |report: &GenerationReport| {
        let GenerationReport { view, generation, stage, position, events, parked, skipped } = report;
        let numbers = [u64::from(*generation), *position, *events, *parked as u64, *skipped as u64];
        let [generation, position, events, parked, skipped] = numbers.map(|number| number.to_string());
        [view.clone(), generation, stage.name().to_owned(), position, events, parked, skipped]
    };
    let header = ["view", "generation", "stage", "position", "events", "parked", "skipped"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header).chain(reports.iter().map(row)).collect();
    let right = Side::Right;
    out.rows(&mut Table::new([Side::Left, right, Side::Left, right, right, right, right]), &rows)?;
    Ok(out.flush()?)
}

async fn verify(settings: &Settings, form: Form) -> anyhow::Result<()> {
    let mut out = Output::new(form);
    let (mut reports, mut alarms): (Vec<ViewReport>, Vec<String>) = (Vec::new(), Vec::new());
    work::perform(settings, Task::Verify, |told| {
        out.print(&told, |_| Ok(()))?;
        match told {
            Told::View(report) => reports.push(report),
            Told::Alarm(alarm) => alarms.push(alarm.to_string()),
            _ => {}
        }
        Ok(())
    })
    .await?;
    if !out.is_json() {
        let header = ["view", "position", "taken", "in the log", "lag", "lag s", "oldest s", "parked", ""];
        let rows: Vec<_> = std::iter::once(header.map(str::to_owned)).chain(reports.iter().map(verified)).collect();
        let right = Side::Right;
        let sides = [Side::Left, right, right, right, right, right, right, right, Side::Left];
        out.rows(&mut Table::new(sides), &rows)?;
        alarms.iter().try_for_each(|alarm| out.line(alarm.as_bytes()))?;
    }
    out.flush()?;
    let wrong: Vec<_> = reports.iter().filter(|report| !report.finding.consistent).map(|it| it.view.as_str()).collect();
    if !wrong.is_empty() {
        bail!("{} did not take what the log has: `colophon replay rebuild {}`", wrong.join(", "), wrong.join(" "));
    }
    if !alarms.is_empty() {
        bail!("{}", alarms.join("; "));
    }
    Ok(())
}

fn verified(report: &ViewReport) -> [String; 9] {
    let ViewReport { view, finding, lag, parked } = report;
    let verdict = if finding.consistent { "as the log has it" } else { "not what the log has" };
    [
        view.clone(),
        finding.position.to_string(),
        finding.taken_events.to_string(),
        finding.expected_events.to_string(),
        lag.events.to_string(),
        format!("{:.1}", lag.seconds),
        format!("{:.1}", lag.oldest_seconds),
        parked.to_string(),
        verdict.to_owned(),
    ]
}
