//! The lines of an export as the events of a log: each of them checked, and none missing.

use super::record;
use anyhow::{Context, anyhow, bail};
use flate2::bufread::MultiGzDecoder;
use platform::event_log::seal::Chain;
use platform::event_log::{LogError, Position, RecordedEvent};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, BufRead, BufReader, Read};
use uuid::Uuid;

/// Bytes that a line may have: many times those of the largest event.
const LINE_BYTES: u64 = 64 << 20;

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 18;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The events of an export, in the order of its lines. After an error there is nothing more.
pub struct Events {
    lines: Box<dyn BufRead + Send>,
    number: u64,
    chain: Chain,
    /// On which line each id is: 40 bytes an event, give or take.
    ids: HashMap<Uuid, u64>,
    line: Vec<u8>,
}

/// The text of a file: unpacked, if its first two bytes say gzip (RFC 1952 section 2.3.1).
pub fn text(file: impl Read + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
    let packed = file.fill_buf()?.starts_with(&GZIP);
    Ok(if packed {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

impl Events {
    /// The events that a text holds.
    pub fn of(lines: Box<dyn BufRead + Send>) -> Self {
        Self { lines, number: 0, chain: Chain::default(), ids: HashMap::new(), line: Vec::new() }
    }

    /// The position of the last event that was read.
    pub fn position(&self) -> Position {
        self.chain.position()
    }

    /// Reads a line; none is there at the end.
    fn next_line(&mut self) -> anyhow::Result<bool> {
        self.line.clear();
        self.number += 1;
        let number = self.number;
        let mut limited = (&mut self.lines).take(LINE_BYTES);
        limited.read_until(b'\n', &mut self.line).with_context(|| format!("line {number} cannot be read"))?;
        if self.line.len() as u64 == LINE_BYTES {
            bail!("line {number}: expected at most {} MiB, found more", LINE_BYTES >> 20);
        }
        Ok(!self.line.is_empty())
    }

    fn read(&mut self) -> anyhow::Result<Option<RecordedEvent>> {
        let mut blank = None;
        loop {
            if !self.next_line()? {
                return Ok(None);
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
            // At the end, where editors leave them, blank lines are nothing.
            blank.get_or_insert(self.number);
        }
        if let Some(number) = blank {
            bail!("line {number}: expected an event, found a blank line");
        }
        let number = self.number;
        let event = record::read(&self.line, &self.chain).map_err(|reason| anyhow!("line {number}: {reason}"))?;
        self.chain.follow(&event).map_err(|error| on_line(number, error))?;
        match self.ids.entry(event.envelope.id.0) {
            Entry::Vacant(place) => drop(place.insert(number)),
            Entry::Occupied(first) => {
                bail!("line {number}: expected an id of its own, found that of line {}: {}", first.get(), first.key())
            }
        }
        Ok(Some(event))
    }
}

impl Iterator for Events {
    type Item = anyhow::Result<RecordedEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn on_line(number: u64, error: LogError) -> anyhow::Error {
    match error {
        LogError::Damaged { position, stream, what } if stream == "unknown" => {
            anyhow!("line {number}: position {position}: {what}")
        }
        LogError::Damaged { position, stream, what } => {
            anyhow!("line {number}: position {position}, stream {stream}: {what}")
        }
        other => anyhow::Error::new(other).context(format!("line {number}")),
    }
}
