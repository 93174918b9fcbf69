//! What became of a file: counts, what was repaired and left out, how it was read, and why rows were refused.

use super::refused_file::RefusedFile;
use crate::cli::say;
use anyhow::bail;
use command_side::imports::{Effect, Note, Progress, ReadAs};
use std::collections::BTreeMap;
use std::io;

/// Reasons that are printed; of a file with more, the rest is only counted.
const REASONS_MAX: usize = 100_000;

/// Columns that are named one by one.
const COLUMNS_MAX: usize = 50;

/// What became of a file.
pub struct Report {
    effect: Effect,
    accepted: u64,
    there_already: u64,
    refused: u64,
    /// Rows of which something was put right, and of which something was left out.
    repaired: u64,
    left_out: u64,
    notes: BTreeMap<Note, u64>,
    read_as: Option<ReadAs>,
    reasons: Vec<(u64, String)>,
    refused_file: Option<RefusedFile>,
    end: Option<Progress>,
}

impl Report {
    /// Of nothing yet.
    pub fn new(effect: Effect, refused_file: Option<RefusedFile>) -> Self {
        Self {
            effect,
            accepted: 0,
            there_already: 0,
            refused: 0,
            repaired: 0,
            left_out: 0,
            notes: BTreeMap::new(),
            read_as: None,
            reasons: Vec::new(),
            refused_file,
            end: None,
        }
    }

    /// Takes note of what an import tells. Fails where refused rows cannot be written down.
    pub fn take(&mut self, told: Progress) -> anyhow::Result<()> {
        match told {
            Progress::ReadAs(read_as) => {
                if let Some(file) = &mut self.refused_file {
                    file.begin(&read_as)?;
                }
                self.read_as = Some(read_as);
            }
            Progress::Accepted { notes } => {
                self.accepted += 1;
                self.note(&notes);
            }
            Progress::ThereAlready { notes } => {
                self.there_already += 1;
                self.note(&notes);
            }
            Progress::Refused { line, reason, row } => {
                self.refused += 1;
                if let Some(file) = &mut self.refused_file {
                    file.add(line, &reason, row)?;
                }
                if self.reasons.len() < REASONS_MAX {
                    self.reasons.push((line, reason));
                }
            }
            Progress::Finished | Progress::Stopped { .. } => self.end = Some(told),
        }
        Ok(())
    }

    fn note(&mut self, notes: &[Note]) {
        self.repaired += u64::from(notes.iter().any(|note| matches!(note, Note::Repaired(_))));
        self.left_out += u64::from(notes.iter().any(|note| matches!(note, Note::LeftOut(_))));
        for note in notes {
            *self.notes.entry(*note).or_default() += 1;
        }
    }

    /// The counts so far, in a line.
    pub fn counts(&self) -> String {
        let Self { accepted, there_already, refused, .. } = self;
        format!("{accepted} accepted, {there_already} there already, {refused} refused")
    }

    /// Prints the report and puts the refused rows where they were asked for.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        let written = self.refused_file.take().map(RefusedFile::finish).transpose();
        self.print()?;
        if let Some(place) = written?.flatten() {
            say(format_args!("the refused rows are in {}", place.display()))?;
        }
        Ok(())
    }

    fn print(&mut self) -> io::Result<()> {
        say(format_args!("accepted: {}", self.accepted))?;
        say(format_args!("there already: {}", self.there_already))?;
        say(format_args!("refused: {}", self.refused))?;
        if self.effect == Effect::DryRun {
            say("this was a dry run: nothing was changed")?;
        }
        self.print_notes("repaired", self.repaired, |note| match note {
            Note::Repaired(repair) => Some((repair.name(), repair.meaning())),
            Note::LeftOut(_) => None,
        })?;
        self.print_notes("left out", self.left_out, |note| match note {
            Note::LeftOut(left_out) => Some((left_out.name(), left_out.meaning())),
            Note::Repaired(_) => None,
        })?;
        if let Some(read_as) = &self.read_as {
            print_read_as(read_as)?;
        }
        self.reasons.sort();
        for (line, reason) in &self.reasons {
            say(format_args!("line {line}: {reason}"))?;
        }
        let rest = self.refused - self.reasons.len() as u64;
        if rest > 0 {
            say(format_args!("and {rest} more"))?;
        }
        Ok(())
    }

    fn print_notes(
        &self,
        name: &str,
        rows: u64,
        of: impl Fn(Note) -> Option<(&'static str, &'static str)>,
    ) -> io::Result<()> {
        if rows == 0 {
            return Ok(());
        }
        say(format_args!("{name}: {rows}"))?;
        for (note, count) in &self.notes {
            if let Some((kind, meaning)) = of(*note) {
                say(format_args!("  {kind}: {count} ({meaning})"))?;
            }
        }
        Ok(())
    }

    /// Whether the file was read to its end and anything of it was of use.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let nothing_kept = self.accepted == 0 || self.effect == Effect::DryRun;
        match &self.end {
            Some(Progress::Stopped { reason }) if nothing_kept => bail!("{reason}"),
            Some(Progress::Stopped { reason }) => {
                bail!("{reason}; what was taken in stays, and the import can be run again")
            }
            Some(Progress::Finished) if self.accepted + self.there_already > 0 => Ok(()),
            Some(Progress::Finished) if self.lacks_isbns() => {
                bail!("no row was accepted: the file has no column `isbn`, nor one that is known as such")
            }
            Some(Progress::Finished) => bail!("no row was accepted"),
            _ => bail!("the server stopped before the end of the file; what was taken in stays, run the import again"),
        }
    }

    /// Whether the file is a table without ISBNs.
    fn lacks_isbns(&self) -> bool {
        let table = self.read_as.as_ref().filter(|read_as| read_as.separator.is_some());
        table.is_some_and(|read_as| !read_as.columns.iter().any(|(field, _)| field == "isbn"))
    }
}

fn print_read_as(read_as: &ReadAs) -> io::Result<()> {
    let separator = match read_as.separator {
        Some('\t') => ", separated by tabs".to_owned(),
        Some(',') => ", separated by commas".to_owned(),
        Some(';') => ", separated by semicolons".to_owned(),
        Some(other) => format!(", separated by {other}"),
        None => String::new(),
    };
    say(format_args!("read as: {}, {}{separator}", read_as.format, read_as.encoding))?;
    if !read_as.columns.is_empty() {
        let columns = read_as.columns.iter().map(|(field, column)| format!("{field} = {column:?}"));
        say(format_args!("columns: {}", columns.collect::<Vec<_>>().join(", ")))?;
    }
    if !read_as.unused.is_empty() {
        let unused = read_as.unused.iter().take(COLUMNS_MAX).map(|column| format!("{column:?}"));
        say(format_args!("columns not read: {}", unused.collect::<Vec<_>>().join(", ")))?;
    }
    Ok(())
}
