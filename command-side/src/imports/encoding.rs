//! Encodings: told from a file's beginning where that is possible, and turned into UTF-8 on the way.

use super::columns;
use super::opening::{SAMPLE_BYTES, Unreadable};
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{BIG5, Decoder, Encoding, GBK, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::io::{self, Read};

/// Encodings that a file may be found to be in, besides UTF-8 and UTF-16. All others have to be named.
const TOLD: [&Encoding; 3] = [GBK, BIG5, WINDOWS_1252];

/// Where the encoding of XML stands, if it does.
const DECLARATION_BYTES: usize = 256;

/// Bytes decoded at once.
const CHUNK_BYTES: usize = 16 * 1_024;

/// How the bytes of a file become text.
pub(crate) struct Chosen {
    encoding: &'static Encoding,
    /// Bytes before the text that say which encoding it is.
    mark_bytes: usize,
}

impl Chosen {
    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        self.encoding.name()
    }

    /// The text of a file's beginning.
    pub(crate) fn decoded(&self, sample: &[u8]) -> String {
        self.encoding.decode_without_bom_handling(&sample[self.mark_bytes..]).0.into_owned()
    }
}

/// UTF-8, with or without a mark.
pub(crate) fn utf8(sample: &[u8]) -> Chosen {
    marked(sample).unwrap_or(Chosen { encoding: UTF_8, mark_bytes: 0 })
}

/// The encoding of a table.
pub(crate) fn of_table(sample: &[u8], asked: Option<&str>) -> Result<Chosen, Unreadable> {
    if let Some(chosen) = named_or_marked(sample, asked)? {
        return Ok(chosen);
    }
    let encoding = if is_mostly_utf8(sample) { UTF_8 } else { legacy(sample)? };
    Ok(Chosen { encoding, mark_bytes: 0 })
}

/// The encoding of XML: a mark, else the first bytes, else the declaration, else UTF-8 (XML 1.0, appendix F).
pub(crate) fn of_xml(sample: &[u8], asked: Option<&str>) -> Result<Chosen, Unreadable> {
    if let Some(chosen) = named_or_marked(sample, asked)? {
        return Ok(chosen);
    }
    let encoding = match sample {
        [b'<', 0, ..] => UTF_16LE,
        [0, b'<', ..] => UTF_16BE,
        _ => match declared(sample) {
            Some(label) => match labelled(&label)? {
                // A declaration that could be read as it is says something that it cannot mean.
                encoding if encoding == UTF_16LE || encoding == UTF_16BE => UTF_8,
                encoding => encoding,
            },
            None => UTF_8,
        },
    };
    Ok(Chosen { encoding, mark_bytes: 0 })
}

fn named_or_marked(sample: &[u8], asked: Option<&str>) -> Result<Option<Chosen>, Unreadable> {
    let mark = marked(sample);
    let Some(label) = asked else { return Ok(mark) };
    let encoding = labelled(label)?;
    // UTF-16 alone leaves the order of bytes to the mark.
    let mark = mark.filter(|mark| mark.encoding == encoding || label.eq_ignore_ascii_case("utf-16"));
    Ok(Some(mark.unwrap_or(Chosen { encoding, mark_bytes: 0 })))
}

fn marked(sample: &[u8]) -> Option<Chosen> {
    Encoding::for_bom(sample).map(|(encoding, mark_bytes)| Chosen { encoding, mark_bytes })
}

fn labelled(label: &str) -> Result<&'static Encoding, Unreadable> {
    Encoding::for_label_no_replacement(label.as_bytes()).ok_or_else(|| {
        Unreadable::from(format!(
            "no encoding is called {label:?}; `--encoding` takes names such as utf-8, gb18030, big5, windows-1252 or utf-16le"
        ))
    })
}

fn declared(sample: &[u8]) -> Option<String> {
    let start = String::from_utf8_lossy(&sample[..sample.len().min(DECLARATION_BYTES)]).into_owned();
    let declaration = start.trim_start().strip_prefix("<?xml")?.split_once("?>")?.0.to_owned();
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    Some(value[1..].split_once(quote)?.0.to_owned())
}

/// Whether there are far more characters that only UTF-8 writes like this than places where it is broken.
fn is_mostly_utf8(sample: &[u8]) -> bool {
    let (mut whole, mut broken) = (0_usize, 0_usize);
    for chunk in sample.utf8_chunks() {
        whole += chunk.valid().chars().filter(|character| !character.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    // The end of a sample may lie within a character.
    let cut_off = usize::from(is_cut_off(sample) && broken > 0);
    broken == cut_off || whole > 2 * broken
}

/// Whether the file may go on behind its sample.
fn is_cut_off(sample: &[u8]) -> bool {
    sample.len() >= SAMPLE_BYTES
}

/// An encoding from before Unicode, if there is no doubt which.
fn legacy(sample: &[u8]) -> Result<&'static Encoding, Unreadable> {
    if let Some(encoding) = of_column_names(sample) {
        return Ok(encoding);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(sample, !is_cut_off(sample));
    let guess = detector.guess(None, Utf8Detection::Deny);
    if TOLD.contains(&guess) && !sample.contains(&0) {
        return Ok(guess);
    }
    let names: Vec<_> = TOLD.iter().map(|encoding| encoding.name()).collect();
    Err(Unreadable::from(format!(
        "the encoding of the file cannot be told: it is neither UTF-8 nor surely one of {}; name it with `--encoding NAME`",
        names.join(", ")
    )))
}

/// The encoding in which most columns have names that are known, if it is one.
fn of_column_names(sample: &[u8]) -> Option<&'static Encoding> {
    let line = sample.split(|byte| matches!(byte, b'\n' | b'\r')).find(|line| !line.trim_ascii().is_empty())?;
    let known = TOLD.map(|encoding| {
        let header = encoding.decode_without_bom_handling(line).0;
        let names = header.split([',', ';', '\t', '|']).filter(|name| !name.is_ascii() && columns::is_known(name));
        (encoding, names.count())
    });
    let most = known.iter().map(|(_, count)| *count).max().filter(|most| *most > 0)?;
    let mut best = known.iter().filter(|(_, count)| *count == most);
    best.next().filter(|_| best.next().is_none()).map(|(encoding, _)| *encoding)
}

/// A file as UTF-8; what cannot be decoded becomes U+FFFD.
pub(crate) struct Decoded {
    file: Box<dyn Read + Send>,
    decoder: Decoder,
    input: Vec<u8>,
    output: Vec<u8>,
    /// How much of the output is handed out.
    taken: usize,
    /// Bytes of the mark still to pass over.
    mark_bytes: usize,
    ended: bool,
}

impl Decoded {
    pub(crate) fn new(file: Box<dyn Read + Send>, chosen: &Chosen) -> Self {
        let decoder = chosen.encoding.new_decoder_without_bom_handling();
        let (input, output) = (vec![0; CHUNK_BYTES], Vec::new());
        Self { file, decoder, input, output, taken: 0, mark_bytes: chosen.mark_bytes, ended: false }
    }

    fn decode_more(&mut self) -> io::Result<()> {
        let read = self.file.read(&mut self.input)?;
        self.ended = read == 0;
        let passed = self.mark_bytes.min(read);
        self.mark_bytes -= passed;
        let bytes = &self.input[passed..read];
        let most = self.decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(4 * CHUNK_BYTES);
        self.output.resize(most, 0);
        let (_, _, written, _) = self.decoder.decode_to_utf8(bytes, &mut self.output, self.ended);
        self.output.truncate(written);
        self.taken = 0;
        Ok(())
    }
}

impl Read for Decoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.output.len() && !self.ended {
            match self.decode_more() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                decoded => decoded?,
            }
        }
        let rest = &self.output[self.taken..];
        let copied = rest.len().min(buffer.len());
        buffer[..copied].copy_from_slice(&rest[..copied]);
        self.taken += copied;
        Ok(copied)
    }
}
