//! What rebuilds come to, told as they go and summed up at the end.

use crate::log::options::Form;
use crate::log::output::{Output, Side, Table, event_bar};
use crate::tools::Told;
use anyhow::bail;
use indicatif::ProgressBar;
use projections::rebuild::{Difference, Progress, Rebuilt, Then};
use serde_json::Value;
use std::collections::BTreeSet;

/// What is told.
pub(super) struct Report {
    out: Output,
    bar: ProgressBar,
    then: Then,
    rebuilt: Vec<(String, Rebuilt)>,
    failed: Vec<String>,
}

impl Report {
    /// Nothing is told yet.
    pub(super) fn new(form: Form, then: Then) -> Self {
        Self { out: Output::new(form), bar: event_bar(0), then, rebuilt: Vec::new(), failed: Vec::new() }
    }

    /// Shows how it goes on.
    pub(super) fn take(&mut self, told: Told) -> anyhow::Result<()> {
        self.out.print(&told, |_| Ok(()))?;
        match told {
            Told::Progress { view, progress } => self.progress(&view, progress)?,
            Told::Rebuilt { view, rebuilt } => self.rebuilt.push((view, rebuilt)),
            Told::NotRebuilt { view, reason } => self.failed.push(format!("{view}: {reason}")),
            _ => {}
        }
        Ok(self.out.flush()?)
    }

    fn progress(&mut self, view: &str, progress: Progress) -> anyhow::Result<()> {
        match progress {
            Progress::Began { head, .. } => {
                self.bar = event_bar(head);
                self.bar.set_message(view.to_owned());
            }
            Progress::Filled { position, head } => {
                self.bar.set_length(head);
                self.bar.set_position(position);
            }
            Progress::Comparing { rows } => self.bar.set_message(format!("{view}: {rows} rows compared")),
            Progress::Differs(difference) => {
                let text = describe(view, &difference);
                self.say(&text)?;
            }
            Progress::Compared(_) => self.bar.finish_and_clear(),
            Progress::Switched { from, to, position } => {
                self.say(&format!(
                    "{view}: readers see generation {to} instead of {from}, from position {position} on"
                ))?;
            }
        }
        Ok(())
    }

    fn say(&mut self, text: &str) -> anyhow::Result<()> {
        if !self.out.is_json() {
            self.bar.suspend(|| self.out.line(text.as_bytes()).and_then(|()| self.out.flush()))?;
        }
        Ok(())
    }

    /// Sums up what was rebuilt.
    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        if !self.out.is_json() && !self.rebuilt.is_empty() {
            let header = ["view", "generation", "events", "rows", "differing", ""].map(str::to_owned);
            let row = |(view, rebuilt): &(String, Rebuilt)| {
                let comparison = rebuilt.comparison;
                let numbers =
                    [rebuilt.generation.into(), comparison.rebuilt_events, comparison.rows, comparison.differing];
                let [generation, events, rows, differing] = numbers.map(|number: u64| number.to_string());
                let seen = if rebuilt.switched { "is live" } else { "waits beside the live one" };
                [view.clone(), generation, events, rows, differing, seen.to_owned()]
            };
            let rows: Vec<_> = std::iter::once(header).chain(self.rebuilt.iter().map(row)).collect();
            let right = Side::Right;
            self.out.rows(&mut Table::new([Side::Left, right, right, right, right, Side::Left]), &rows)?;
        }
        Ok(self.out.flush()?)
    }

    /// Whether all is as it should be.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        if !self.failed.is_empty() {
            bail!("{}", self.failed.join("; "));
        }
        let unequal = self.rebuilt.iter().filter(|(_, rebuilt)| !rebuilt.comparison.is_equal());
        let unequal: Vec<_> = unequal.map(|(view, rebuilt)| format!("{view} {}", rebuilt.generation)).collect();
        if unequal.is_empty() || self.then == Then::Switch {
            return Ok(());
        }
        bail!(
            "the live rows are not what the log says, and readers see them as before: look at what differs, then take the \
             log's with `colophon replay switch {} --accept-differences`, or leave it with `colophon replay drop {}`",
            unequal.join(" --accept-differences`, `colophon replay switch "),
            unequal.join("`, `colophon replay drop ")
        )
    }
}

/// The fields in which a row differs.
fn describe(view: &str, Difference { key, live, rebuilt }: &Difference) -> String {
    let key = Value::from(key.clone());
    let (live, rebuilt) = match (live, rebuilt) {
        (Some(live), Some(rebuilt)) => (live, rebuilt),
        (Some(_), None) => return format!("{view} {key}: is in the live generation, and the log has no such row"),
        (None, _) => return format!("{view} {key}: is missing in the live generation"),
    };
    let names: BTreeSet<&str> = [live, rebuilt]
        .into_iter()
        .filter_map(Value::as_object)
        .flat_map(|row| row.keys().map(String::as_str))
        .collect();
    let differing = names.into_iter().filter(|name| live[*name] != rebuilt[*name]);
    let differing: Vec<_> =
        differing.map(|name| format!("{name} is {}, and {} in the log", live[name], rebuilt[name])).collect();
    format!("{view} {key}: {}", differing.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_difference_names_the_row_and_its_fields() {
        let of = |live: Option<Value>, rebuilt: Option<Value>| {
            describe("books", &Difference { key: vec![json!("b"), json!(1)], live, rebuilt })
        };
        let row = |title: &str| Some(json!({"id": "b", "title": title, "price": null}));
        assert_eq!(of(row("x"), row("y")), r#"books ["b",1]: title is "x", and "y" in the log"#);
        assert_eq!(of(None, row("y")), r#"books ["b",1]: is missing in the live generation"#);
        assert_eq!(of(row("x"), None), r#"books ["b",1]: is in the live generation, and the log has no such row"#);
    }
}
