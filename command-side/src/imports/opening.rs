//! A file's beginning: whether it is packed, which encoding it is in, and what it holds.

use super::Source;
use super::columns::{self, Columns};
use super::encoding::{self, Decoded};
use super::onix::Messages;
use super::rows::{Kind, Rows};
use super::table::{Separator, Table};
use super::task::{BookFormat, Content, Task};
use flate2::read::MultiGzDecoder;
use std::io::{self, Read};

/// Bytes that encoding, separator and format are told from.
pub(crate) const SAMPLE_BYTES: usize = 256 * 1_024;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZIP: [u8; 4] = *b"PK\x03\x04";

/// Why a file cannot be read (further).
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(String);

impl From<String> for Unreadable {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

/// Finds out how a file is to be read.
pub(crate) fn open(file: Box<dyn Read + Send>, task: &Task) -> Result<Box<dyn Source>, Unreadable> {
    let (sample, text) = unpacked(file).map_err(|error| Unreadable(format!("the file cannot be read: {error}")))?;
    if sample.starts_with(&ZIP) {
        let reason = "the file is a ZIP archive or a spreadsheet: unpack it, or save the table as CSV".to_owned();
        return Err(Unreadable(reason));
    }
    let asked = task.encoding.as_deref();
    if is_xml(&sample, task) {
        let encoding = encoding::of_xml(&sample, asked)?;
        return Ok(Box::new(Messages::open(Decoded::new(text, &encoding), encoding.name(), task)));
    }
    if sample.trim_ascii().is_empty() {
        return Err(Unreadable("the file is empty: its first line should name the columns".to_owned()));
    }
    let encoding = match asked {
        // The data set is UTF-8 throughout, broken bytes and all.
        None if is_of_goodbooks(&sample, task) => encoding::utf8(&sample),
        _ => encoding::of_table(&sample, asked)?,
    };
    let beginning = encoding.decoded(&sample);
    let separator = Separator::told_from(&beginning);
    let (kind, format) = kind_of(task, &separator.header(&beginning));
    let table = Table::open(Decoded::new(text, &encoding), encoding.name(), separator)?;
    let columns = match (&kind, &task.content) {
        (Kind::Goodbooks, _) => Columns::named(table.header(), &columns::GOODBOOKS)?,
        (Kind::Stock { .. }, _) => Columns::named(table.header(), &columns::STOCK)?,
        (Kind::Catalogue { .. }, Content::Books { columns, .. }) => Columns::known(table.header(), columns)?,
        (Kind::Catalogue { .. }, Content::Stock) => unreachable!("a catalogue holds books"),
    };
    Ok(Box::new(Rows::new(kind, format, table, columns, task.refused_rows)))
}

/// Whether it was said to be ONIX, or nothing was said and it begins with a tag.
fn is_xml(sample: &[u8], task: &Task) -> bool {
    match &task.content {
        Content::Books { format: None, .. } => {
            let text = sample.iter().filter(|byte| !matches!(byte, 0 | 0xef | 0xbb | 0xbf | 0xfe | 0xff));
            text.copied().find(|byte| !byte.is_ascii_whitespace()) == Some(b'<')
        }
        Content::Books { format, .. } => *format == Some(BookFormat::Onix),
        Content::Stock => false,
    }
}

/// Whether a table was said to be of goodbooks-10k, or nothing was said and it has its columns.
fn is_of_goodbooks(sample: &[u8], task: &Task) -> bool {
    let text = String::from_utf8_lossy(sample);
    let header = || Separator::told_from(&text).header(text.trim_start_matches('\u{feff}'));
    match &task.content {
        Content::Books { format: Some(format), .. } => *format == BookFormat::Goodbooks,
        Content::Books { format: None, columns } => columns.is_empty() && columns::are_of_goodbooks(&header()),
        Content::Stock => false,
    }
}

/// How a table is read, and its name; `header` tells it where nobody said it.
fn kind_of(task: &Task, header: &[String]) -> (Kind, &'static str) {
    let goodbooks = match &task.content {
        Content::Stock => return (Kind::Stock { currency: task.currency }, "stock"),
        Content::Books { format: Some(format), .. } => *format == BookFormat::Goodbooks,
        Content::Books { format: None, columns } => columns.is_empty() && columns::are_of_goodbooks(header),
    };
    if goodbooks { (Kind::Goodbooks, "goodbooks") } else { (Kind::Catalogue { currency: task.currency }, "csv") }
}

/// The beginning of a file's text, and the whole of it: unpacked, if its first two bytes say gzip (RFC 1952 section 2.3.1).
fn unpacked(file: Box<dyn Read + Send>) -> io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let (start, whole) = first(file, GZIP.len())?;
    let text: Box<dyn Read + Send> = if start == GZIP { Box::new(MultiGzDecoder::new(whole)) } else { whole };
    first(text, SAMPLE_BYTES)
}

/// The first bytes of a file, and the whole of it. What goes wrong after some bytes comes again after these bytes: what
/// stands before it can be read.
fn first(mut file: Box<dyn Read + Send>, bytes: usize) -> io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut start = Vec::new();
    let failed = file.by_ref().take(bytes as u64).read_to_end(&mut start).err();
    if let Some(error) = failed {
        if start.is_empty() {
            return Err(error);
        }
        return Ok((start.clone(), Box::new(io::Cursor::new(start).chain(Broken(Some(error))))));
    }
    Ok((start.clone(), Box::new(io::Cursor::new(start).chain(file))))
}

/// Fails once.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
