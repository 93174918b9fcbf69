//! The refused rows of a file in a file of their own, so that they can be mended and imported again.

use crate::new_file::{Existing, NewFile};
use anyhow::{Context, bail};
use command_side::imports::ReadAs;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Rows under way end in any order; so many, or so many bytes of them, wait to be put into the file's order.
const WAITING_MAX: usize = 4_096;
const WAITING_BYTES_MAX: usize = 16 << 20;

/// A file that is not there until it is whole.
pub struct RefusedFile {
    place: PathBuf,
    file: NewFile,
    read_as: ReadAs,
    waiting: BinaryHeap<Reverse<(u64, String)>>,
    waiting_bytes: usize,
    rows: u64,
}

impl RefusedFile {
    /// A file that is to lie at `place`, of the refused rows of `imported`.
    pub fn create(place: &Path, imported: &Path) -> anyhow::Result<Self> {
        let same = |place: &Path| Some(place.canonicalize().ok()? == imported.canonicalize().ok()?);
        if same(place) == Some(true) {
            bail!("--refused names the imported file itself: the rows that were taken in would be lost");
        }
        Ok(Self {
            place: place.to_owned(),
            // An import is run again, and what it refuses then is what counts.
            file: NewFile::create(place, Existing::IsReplaced).context("--refused")?,
            read_as: ReadAs::default(),
            waiting: BinaryHeap::new(),
            waiting_bytes: 0,
            rows: 0,
        })
    }

    /// Learns how the file is read, and so how its rows are written.
    pub fn begin(&mut self, read_as: &ReadAs) -> anyhow::Result<()> {
        self.read_as = read_as.clone();
        self.write(&format!("{}\n", read_as.frame.opening))
    }

    /// Adds a row; one that was too large to be kept leaves its reason only.
    pub fn add(&mut self, line: u64, reason: &str, row: Option<String>) -> anyhow::Result<()> {
        let text = match self.read_as.separator {
            Some(separator) => {
                let row = row.unwrap_or_default();
                format!("{row}{separator}\"{}\"\n", format!("line {line}: {reason}").replace('"', "\"\""))
            }
            None => {
                // Two hyphens would end a comment.
                let reason = format!("line {line}: {reason}").replace("--", "- -").replace("--", "- -");
                let row = row.unwrap_or_else(|| "<!-- it is too large to be repeated here -->".to_owned());
                format!("<!-- {reason} -->\n{row}\n")
            }
        };
        self.rows += 1;
        self.waiting_bytes += text.len();
        self.waiting.push(Reverse((line, text)));
        while self.waiting.len() > WAITING_MAX || self.waiting_bytes > WAITING_BYTES_MAX {
            self.write_next()?;
        }
        Ok(())
    }

    /// Puts the file in its place; says where, unless there is nothing in it.
    pub fn finish(mut self) -> anyhow::Result<Option<PathBuf>> {
        if self.rows == 0 {
            return Ok(None);
        }
        while !self.waiting.is_empty() {
            self.write_next()?;
        }
        if !self.read_as.frame.closing.is_empty() {
            self.write(&format!("{}\n", self.read_as.frame.closing.clone()))?;
        }
        self.file.finish().context("--refused")?;
        Ok(Some(self.place))
    }

    fn write_next(&mut self) -> anyhow::Result<()> {
        let Some(Reverse((_, text))) = self.waiting.pop() else { return Ok(()) };
        self.waiting_bytes -= text.len();
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> anyhow::Result<()> {
        let place = &self.place;
        self.file
            .write_all(text.as_bytes())
            .with_context(|| format!("--refused: {} cannot be written", place.display()))
    }
}
