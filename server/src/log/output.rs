//! What the tools print: lines of text with aligned columns, or of JSON.

use super::options::Form;
use crate::stdout::{Out, Unread};
use indicatif::{ProgressBar, ProgressStyle};
use schemas::timestamp;
use serde::Serialize;
use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

/// Standard output. What is printed is seen after [`Output::flush`] at the latest.
pub struct Output {
    form: Form,
    out: BufWriter<Out>,
}

impl Output {
    /// Output in this form, of a command that goes on also when nobody reads any more.
    pub fn new(form: Form) -> Self {
        Self::of(form, Unread::GoesOn)
    }

    /// Output in this form.
    pub fn of(form: Form, unread: Unread) -> Self {
        Self { form, out: BufWriter::new(Out::new(unread)) }
    }

    /// Prints `value` as JSON, or what `human` prints, whichever was asked for.
    pub fn print(
        &mut self,
        value: &impl Serialize,
        human: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.form.json {
            return human(&mut self.out);
        }
        serde_json::to_writer(&mut self.out, value)?;
        self.out.write_all(b"\n")
    }

    /// Whether JSON was asked for.
    pub fn is_json(&self) -> bool {
        self.form.json
    }

    /// Prints a line.
    pub fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.out.write_all(line)?;
        self.out.write_all(b"\n")
    }

    /// Prints rows of a table.
    pub fn rows<const N: usize>(&mut self, table: &mut Table<N>, rows: &[[String; N]]) -> io::Result<()> {
        table.print(&mut self.out, rows)
    }

    /// Shows what was printed.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// To which side a column's texts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// Columns that are as wide as what was printed in them so far; the last one is as long as it likes.
pub struct Table<const N: usize> {
    sides: [Side; N],
    widths: [usize; N],
}

impl<const N: usize> Table<N> {
    /// Columns.
    pub fn new(sides: [Side; N]) -> Self {
        Self { sides, widths: [0; N] }
    }

    /// Prints rows, all of them with the same widths.
    pub fn print(&mut self, out: &mut dyn Write, rows: &[[String; N]]) -> io::Result<()> {
        let rows: Vec<_> = rows.iter().map(|row| row.each_ref().map(|cell| plain(cell))).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        rows.iter().try_for_each(|row| self.row(out, row))
    }

    fn row(&self, out: &mut dyn Write, row: &[Cow<'_, str>; N]) -> io::Result<()> {
        for (column, cell) in row.iter().enumerate() {
            let width = self.widths[column];
            match (self.sides[column], column + 1 == N) {
                (Side::Right, last) => write!(out, "{cell:>width$}{}", if last { "" } else { "  " })?,
                (Side::Left, false) => write!(out, "{cell:<width$}  ")?,
                (Side::Left, true) => write!(out, "{cell}")?,
            }
        }
        writeln!(out)
    }
}

/// A text as it does no harm to a terminal or a table: control characters are written as they would be in Rust.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect::<String>().into()
}

/// Names beside values, one pair per line.
pub fn pairs(out: &mut dyn Write, pairs: &[(&str, String)]) -> io::Result<()> {
    let rows: Vec<_> = pairs.iter().map(|(name, value)| [format!("{name}:"), value.clone()]).collect();
    Table::new([Side::Left, Side::Left]).print(out, &rows)
}

/// A moment as RFC 3339.
pub fn time(at: platform::seam::Timestamp) -> String {
    timestamp::text(domain::timestamp::Timestamp(at.0))
}

/// A bar on a terminal's standard error that shows how many of so many events were read, how fast, and the time left.
pub fn event_bar(events: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} events, {per_sec:.0}, {eta} left  {msg}");
    ProgressBar::new(events).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stay_aligned_whatever_is_in_them() {
        let mut table = Table::new([Side::Right, Side::Left, Side::Left]);
        let mut out = Vec::new();
        let row = |a: &str, b: &str, c: &str| [a.to_owned(), b.to_owned(), c.to_owned()];
        table.print(&mut out, &[row("1", "书", "x"), row("100", "a-very-long-stream-name", "y")]).unwrap();
        table.print(&mut out, &[row("7", "short", "")]).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "  1  书                        x");
        assert_eq!(lines[1], "100  a-very-long-stream-name  y");
        assert_eq!(lines[2], "  7  short                    ");

        let mut out = Vec::new();
        table.print(&mut out, &[row("8", "书\u{1b}[2J\n", "")]).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "  8  书\\u{1b}[2J\\n             \n",
            "nor is a terminal told what to do"
        );
    }
}
