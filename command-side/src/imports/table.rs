//! Tables as they come: with a header, in whatever separator, with bad rows among good ones.

use super::columns::{self, REASON_COLUMN};
use super::encoding::Decoded;
use super::opening::Unreadable;
use csv::{Reader, ReaderBuilder, StringRecord, WriterBuilder};
use std::collections::VecDeque;
use std::io::{self, Read};

/// Bytes that one row may have: a quote that is never closed must not read the whole file into memory.
const ROW_BYTES: usize = 1 << 20;

/// What may stand between fields; in doubt, the first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// What stands between the fields of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Separator {
    byte: u8,
    /// Whether the first line says so and is no header, as `sep=;` does.
    declared: bool,
}

impl Separator {
    /// The one that a spreadsheet wrote into the first line, else the one that splits the header best: into most columns
    /// that are known, then into most columns.
    pub(crate) fn told_from(beginning: &str) -> Self {
        let first = beginning.lines().next().unwrap_or_default().trim().trim_matches('"');
        if let Some([byte]) = first.strip_prefix("sep=").map(str::as_bytes) {
            return Self { byte: *byte, declared: true };
        }
        let split = SEPARATORS.map(|byte| {
            let separator = Self { byte, declared: false };
            let header = separator.header(beginning);
            (header.iter().filter(|name| columns::is_known(name)).count(), header.len(), separator)
        });
        // The last of equals wins: begin with the one least preferred.
        let best = split.into_iter().rev().max_by_key(|(known, fields, _)| (*known, *fields));
        best.map_or(Self { byte: b',', declared: false }, |(_, _, separator)| separator)
    }

    /// The names of the columns of a table that begins like this.
    pub(crate) fn header(self, beginning: &str) -> Vec<String> {
        let mut rows = ReaderBuilder::new()
            .delimiter(self.byte)
            .has_headers(false)
            .flexible(true)
            .from_reader(beginning.as_bytes());
        let mut record = StringRecord::new();
        for _ in 0..=usize::from(self.declared) {
            if !rows.read_record(&mut record).unwrap_or(false) {
                return Vec::new();
            }
        }
        record.iter().map(str::to_owned).collect()
    }
}

/// The rows of a file.
pub(crate) struct Table {
    rows: Reader<Lines>,
    encoding: &'static str,
    separator: Separator,
    header: Vec<String>,
    /// Where the row in hand begins, from 1.
    line: u64,
    record: StringRecord,
}

impl Table {
    /// Reads the header.
    pub(crate) fn open(file: Decoded, encoding: &'static str, separator: Separator) -> Result<Self, Unreadable> {
        let file = Lines { file, left: ROW_BYTES, recent: VecDeque::new(), passed: 0, line: 1, after_return: false };
        let rows = ReaderBuilder::new().delimiter(separator.byte).has_headers(false).flexible(true).from_reader(file);
        let mut table = Self { rows, encoding, separator, header: Vec::new(), line: 1, record: StringRecord::new() };
        for _ in 0..=usize::from(separator.declared) {
            if !table.read_record()? {
                let reason = "the file is empty: its first line should name the columns".to_owned();
                return Err(Unreadable::from(reason));
            }
        }
        table.header = table.record.iter().map(str::to_owned).collect();
        Ok(table)
    }

    /// The names of the columns.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// The encoding that it was in.
    pub(crate) fn encoding(&self) -> &'static str {
        self.encoding
    }

    /// What stands between its fields.
    pub(crate) fn separator(&self) -> char {
        char::from(self.separator.byte)
    }

    /// The next row.
    pub(crate) fn next_row(&mut self) -> Result<Option<Line<'_>>, Unreadable> {
        if !self.read_record()? {
            return Ok(None);
        }
        let (fields, columns) = (self.record.len(), self.header.len());
        let record = if fields == columns {
            Ok(&self.record)
        } else {
            Err(format!("the row has {fields} fields, the header {columns}"))
        };
        Ok(Some((self.line, record)))
    }

    /// The header as a line of a table with one more column, for reasons.
    pub(crate) fn header_text(&self) -> String {
        let names = self.header.iter().map(|name| name.trim()).filter(|name| *name != REASON_COLUMN);
        self.line_of(names.chain([REASON_COLUMN]))
    }

    /// The row in hand as a line of a table, without a reason from an earlier import.
    pub(crate) fn row_text(&self) -> String {
        let has_reason = self.record.len() == self.header.len();
        let old = self.header.iter().position(|name| has_reason && name.trim() == REASON_COLUMN);
        let fields = self.record.iter().enumerate().filter(|(place, _)| Some(*place) != old);
        self.line_of(fields.map(|(_, field)| field))
    }

    fn line_of<'a>(&self, fields: impl Iterator<Item = &'a str>) -> String {
        let mut writer = WriterBuilder::new().delimiter(self.separator.byte).from_writer(Vec::new());
        writer.write_record(fields).expect("a vector takes all that is written");
        let mut line = writer.into_inner().expect("a vector takes all that is written");
        line.pop();
        String::from_utf8(line).expect("the fields and the separator are UTF-8")
    }

    fn read_record(&mut self) -> Result<bool, Unreadable> {
        let end = self.rows.position().byte();
        self.rows.get_mut().left = ROW_BYTES;
        let read = self.rows.read_record(&mut self.record);
        // What the reader calls a row's line is that of the last one's end.
        self.line = self.rows.get_mut().line_after(end);
        read.map_err(|error| unreadable(&error, self.line))
    }
}

/// The line where a row begins, and its fields, or what is wrong with the row.
pub(crate) type Line<'a> = (u64, Result<&'a StringRecord, String>);

fn unreadable(error: &csv::Error, line: u64) -> Unreadable {
    let cause = match error.kind() {
        csv::ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    };
    Unreadable::from(format!("the file cannot be read further than line {line}: {cause}"))
}

/// A file that counts its lines, and fails where one row has more bytes than it may.
struct Lines {
    file: Decoded,
    /// How many bytes may still be read for the row in hand.
    left: usize,
    /// What was read and is not yet passed, at most a row and what is read ahead.
    recent: VecDeque<u8>,
    /// How many bytes are passed.
    passed: u64,
    /// The line of the first one that is not, from 1.
    line: u64,
    /// Whether the last one passed was a carriage return: a line feed behind it ends no other line.
    after_return: bool,
}

impl Lines {
    /// The line of what stands at an offset, or behind the blank lines there.
    fn line_after(&mut self, offset: u64) -> u64 {
        while let Some(byte) = self.recent.front().copied()
            && (self.passed < offset || matches!(byte, b'\r' | b'\n'))
        {
            self.recent.pop_front();
            self.passed += 1;
            self.line += u64::from(byte == b'\r' || (byte == b'\n' && !self.after_return));
            self.after_return = byte == b'\r';
        }
        self.line
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("a row has more than a mebibyte; a quote may not be closed"));
        }
        let read = self.file.read(buffer)?;
        self.left = self.left.saturating_sub(read);
        self.recent.extend(&buffer[..read]);
        Ok(read)
    }
}
