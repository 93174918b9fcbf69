//! CSV files as they come: plain or gzip, with a header, with bad rows among good ones.

use super::format::Need;
use csv::{ByteRecord, Reader, ReaderBuilder};
use flate2::read::MultiGzDecoder;
use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Bytes that one row may have: a quote that is never closed must not read the whole file into memory.
const ROW_BYTES: usize = 1 << 20;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Why a file cannot be read (further).
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(String);

impl From<String> for Unreadable {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

/// The rows of a file.
pub(crate) struct Table {
    rows: Reader<Budget>,
    /// How many bytes may still be read for the row in hand.
    budget: Rc<Cell<usize>>,
    columns: Vec<(&'static str, Option<usize>)>,
    width: usize,
    record: ByteRecord,
}

impl Table {
    /// Reads the header.
    pub(crate) fn open(file: Box<dyn Read + Send>, wanted: &[(&'static str, Need)]) -> Result<Self, Unreadable> {
        let file = unpacked(file).map_err(|error| Unreadable(format!("the file cannot be read: {error}")))?;
        let budget = Rc::new(Cell::new(ROW_BYTES));
        let file = Budget { file, left: Rc::clone(&budget) };
        let mut rows = ReaderBuilder::new().flexible(true).from_reader(file);
        let header = rows.byte_headers().map_err(|error| unreadable(&error))?.clone();
        if header.is_empty() {
            return Err(Unreadable("the file is empty: its first line should name the columns".to_owned()));
        }
        let place =
            |name: &str| header.iter().position(|field| field.trim_ascii().eq_ignore_ascii_case(name.as_bytes()));
        let columns: Vec<_> = wanted.iter().map(|(name, _)| (*name, place(name))).collect();
        for ((name, need), (_, found)) in wanted.iter().zip(&columns) {
            if *need == Need::Required && found.is_none() {
                let names: Vec<_> = wanted.iter().map(|(name, _)| format!("`{name}`")).collect();
                let names = names.join(", ");
                return Err(Unreadable(format!(
                    "the file has no column `{name}`: its first line should name the columns {names}, separated by commas"
                )));
            }
        }
        Ok(Self { rows, budget, columns, width: header.len(), record: ByteRecord::new() })
    }

    /// The next row.
    pub(crate) fn next_row(&mut self) -> Result<Option<Line<'_>>, Unreadable> {
        self.budget.set(ROW_BYTES);
        if !self.rows.read_byte_record(&mut self.record).map_err(|error| unreadable(&error))? {
            return Ok(None);
        }
        let line = self.record.position().map_or(0, csv::Position::line);
        let fields = if self.record.len() == self.width {
            Ok(Fields { columns: &self.columns, record: &self.record })
        } else {
            Err(format!("the row has {} fields, the header {}", self.record.len(), self.width))
        };
        Ok(Some((line, fields)))
    }
}

/// The line where a row begins, and its fields, or what is wrong with the row.
pub(crate) type Line<'a> = (u64, Result<Fields<'a>, String>);

/// The fields of a row, by column.
pub(crate) struct Fields<'a> {
    columns: &'a [(&'static str, Option<usize>)],
    record: &'a ByteRecord,
}

impl<'a> Fields<'a> {
    /// The text in a column without the white space around it; empty if the file lacks the column.
    pub(crate) fn get(&self, name: &str) -> Result<&'a str, String> {
        let place = self.columns.iter().find(|(column, _)| *column == name).and_then(|(_, place)| *place);
        let bytes = place.and_then(|place| self.record.get(place)).unwrap_or_default();
        std::str::from_utf8(bytes).map(str::trim).map_err(|_| format!("the text in column `{name}` is not UTF-8"))
    }
}

fn unreadable(error: &csv::Error) -> Unreadable {
    let line = error.position().map(|position| format!(" after line {}", position.line())).unwrap_or_default();
    let cause = match error.kind() {
        csv::ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    };
    Unreadable(format!("the file cannot be read{line}: {cause}"))
}

/// The text of the file: unpacked, if its first two bytes say gzip (RFC 1952 section 2.3.1), and without the byte order
/// mark that spreadsheets put before it.
fn unpacked(file: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let (start, rest) = first(file, GZIP.len())?;
    let whole = io::Cursor::new(start.clone()).chain(rest);
    let text: Box<dyn Read + Send> = if start == GZIP { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
    let (start, rest) = first(text, BYTE_ORDER_MARK.len())?;
    Ok(if start == BYTE_ORDER_MARK { rest } else { Box::new(io::Cursor::new(start).chain(rest)) })
}

/// The first bytes of a file, and the rest of it.
fn first(mut file: Box<dyn Read + Send>, bytes: usize) -> io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut start = Vec::with_capacity(bytes);
    file.by_ref().take(bytes as u64).read_to_end(&mut start)?;
    Ok((start, file))
}

/// A reader that fails where one row has more bytes than it may.
struct Budget {
    file: Box<dyn Read + Send>,
    left: Rc<Cell<usize>>,
}

impl Read for Budget {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            return Err(io::Error::other("a row has more than a mebibyte; a quote may not be closed"));
        }
        let read = self.file.read(buffer)?;
        self.left.set(self.left.get().saturating_sub(read));
        Ok(read)
    }
}
