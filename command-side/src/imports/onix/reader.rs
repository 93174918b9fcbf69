//! Messages of any size, one product at a time, in bounded memory.

use super::element::{Element, is_passed_over, reference_name};
use crate::imports::encoding::Decoded;
use crate::imports::opening::Unreadable;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, BytesText, Event};
use std::io::{self, BufRead, BufReader, Read};

/// Bytes that a product may have, its markup among them.
const PRODUCT_BYTES: usize = 1 << 20;

/// Elements that may lie within one another in a product.
const DEPTH_MAX: usize = 64;

/// Elements that may lie within one another where nothing is kept of them: the reader keeps their names.
const DEPTH_END: usize = 4_096;

/// A product, or the header of a message, as it was found.
pub(crate) struct Found {
    /// Where it begins, from 1.
    pub(crate) line: u64,
    /// What it holds, or why it cannot be used.
    pub(crate) element: Result<Element, String>,
    /// As it stands in the message, unless it is too large.
    pub(crate) text: Option<String>,
}

/// What comes next in a message.
pub(crate) enum Part {
    /// The root's tag, the name in it, and its attribute `release`.
    Root {
        tag: String,
        name: String,
        release: Option<String>,
    },
    Header(Found),
    Product(Found),
    End,
}

/// The parts of a message.
pub(crate) struct Parts {
    xml: Reader<Lines>,
    buffer: Vec<u8>,
    /// Elements around what is read next.
    depth: usize,
    roots: u64,
}

impl Parts {
    pub(crate) fn of(file: Decoded) -> Self {
        Self { xml: Reader::from_reader(Lines::of(file)), buffer: Vec::new(), depth: 0, roots: 0 }
    }

    /// The next part.
    pub(crate) fn next_part(&mut self) -> Result<Part, Unreadable> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let part = self.find_part(&mut buffer);
        self.buffer = buffer;
        part
    }

    fn find_part(&mut self, buffer: &mut Vec<u8>) -> Result<Part, Unreadable> {
        loop {
            self.xml.get_mut().forget();
            let line = self.xml.get_ref().line;
            match read_event(&mut self.xml, buffer)? {
                Event::Start(tag) => {
                    let name = reference_name(local(&tag));
                    match (self.depth, name) {
                        (0 | 1, "Product") => {
                            self.roots += u64::from(self.depth == 0);
                            return self.product(&tag.into_owned(), line, buffer).map(Part::Product);
                        }
                        (1, "Header") => return self.product(&tag.into_owned(), line, buffer).map(Part::Header),
                        (0, "ONIXMessage") => {
                            let part = self.root(&tag);
                            (self.depth, self.roots) = (1, self.roots + 1);
                            return Ok(part);
                        }
                        (0, _) => return Err(no_message(local(&tag), line)),
                        _ => self.depth += 1,
                    }
                    if self.depth > DEPTH_END {
                        return Err(too_deep(line));
                    }
                }
                Event::Empty(tag) => match (self.depth, reference_name(local(&tag))) {
                    (0 | 1, name @ "Product") => {
                        self.roots += u64::from(self.depth == 0);
                        let text = self.xml.get_ref().remembered();
                        let element = Ok(Element { name, ..Element::default() });
                        return Ok(Part::Product(Found { line, element, text }));
                    }
                    (0, "ONIXMessage") => self.roots += 1,
                    (0, _) => return Err(no_message(local(&tag), line)),
                    _ => {}
                },
                Event::End(_) => self.depth -= 1,
                Event::DocType(declarations) => no_entities(&declarations, line)?,
                Event::Eof if self.depth > 0 => {
                    return Err(Unreadable::from(format!(
                        "line {line}: the file ends before the message does: its end is missing"
                    )));
                }
                Event::Eof if self.roots == 0 => {
                    return Err(Unreadable::from("the file holds no ONIX message: no element is in it".to_owned()));
                }
                Event::Eof => return Ok(Part::End),
                _ => {}
            }
        }
    }

    fn root(&self, tag: &BytesStart<'_>) -> Part {
        let release = tag.try_get_attribute("release").ok().flatten();
        Part::Root {
            tag: self.xml.get_ref().remembered().unwrap_or_default(),
            name: tag.name().as_ref().to_owned(),
            release: release.map(|release| release.value.into_owned()),
        }
    }

    /// Reads an element to its end. What is wrong with it by itself is its own affair; what is wrong with the XML ends the file.
    fn product(&mut self, tag: &BytesStart<'_>, line: u64, buffer: &mut Vec<u8>) -> Result<Found, Unreadable> {
        let mut tree = Tree::of(tag);
        while tree.depth > 0 {
            let place = self.xml.get_ref().line;
            self.xml.get_mut().begin_event();
            match read_event(&mut self.xml, buffer)? {
                Event::Start(tag) => tree.open(&tag),
                Event::Empty(tag) => {
                    tree.open(&tag);
                    tree.close();
                }
                Event::End(_) => tree.close(),
                Event::Text(text) => tree.text(&text.xml10_content()),
                Event::CData(text) => tree.text(&text.xml10_content()),
                Event::GeneralRef(reference) => tree.reference(&reference),
                Event::DocType(declarations) => no_entities(&declarations, place)?,
                Event::Eof => {
                    return Err(Unreadable::from(format!(
                        "line {place}: the file ends within what begins at line {line}: its end is missing"
                    )));
                }
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            }
            if tree.depth > DEPTH_END {
                return Err(too_deep(place));
            }
            if self.xml.get_ref().is_too_large() {
                tree.refuse("the product has more than a mebibyte");
            }
        }
        let text = self.xml.get_ref().remembered();
        Ok(Found { line, element: tree.refused.map_or(Ok(tree.root), Err), text })
    }

    /// Bytes that are held of the message just now.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        self.buffer.capacity() + self.xml.get_ref().remembered.capacity()
    }
}

fn read_event<'b>(xml: &mut Reader<Lines>, buffer: &'b mut Vec<u8>) -> Result<Event<'b>, Unreadable> {
    buffer.clear();
    let event = xml.read_event_into(buffer);
    let line = xml.get_ref().line;
    event.map_err(|error| match error {
        quick_xml::Error::Io(error) => {
            Unreadable::from(format!("the file cannot be read further than line {line}: {error}"))
        }
        error => Unreadable::from(format!("line {line}: the XML is not well-formed: {error}")),
    })
}

fn local<'a>(tag: &'a BytesStart<'_>) -> &'a str {
    tag.local_name().into_inner()
}

fn no_message(name: &str, line: u64) -> Unreadable {
    let name: String = name.chars().take(80).collect();
    Unreadable::from(format!(
        "line {line}: the file holds no ONIX message: its root is <{name}>, not <ONIXMessage> or <Product>"
    ))
}

fn too_deep(line: u64) -> Unreadable {
    Unreadable::from(format!(
        "line {line}: more than {DEPTH_END} elements lie within one another: that is no ONIX message"
    ))
}

/// Takes a document type that names the schema, which is never fetched, and nothing that declares entities: they could be
/// bombs, or read files.
fn no_entities(declarations: &BytesText<'_>, line: u64) -> Result<(), Unreadable> {
    if declarations.contains("<!ENTITY") {
        return Err(Unreadable::from(format!(
            "line {line}: the document type declares entities: no ONIX message needs any, and they are not taken"
        )));
    }
    Ok(())
}

/// A product while it is read.
struct Tree {
    /// Elements that are open, the innermost last.
    open: Vec<Element>,
    /// How many are open.
    depth: usize,
    /// At which depth lies the element that is passed over.
    passed_over: Option<usize>,
    root: Element,
    refused: Option<String>,
}

impl Tree {
    fn of(tag: &BytesStart<'_>) -> Self {
        let (open, root) = (Vec::new(), Element::default());
        let mut tree = Self { open, depth: 0, passed_over: None, root, refused: None };
        tree.open(tag);
        tree
    }

    /// Keeps nothing more of the product but the reason.
    fn refuse(&mut self, reason: &str) {
        self.refused.get_or_insert_with(|| reason.to_owned());
        self.open = Vec::new();
    }

    fn open(&mut self, tag: &BytesStart<'_>) {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            self.refuse("more than 64 elements lie within one another");
        }
        if self.refused.is_some() || self.passed_over.is_some() {
            return;
        }
        let name = reference_name(local(tag));
        if is_passed_over(name) {
            self.passed_over = Some(self.depth);
            return;
        }
        let date_format = tag.try_get_attribute("dateformat").ok().flatten();
        let date_format = date_format.map(|format| format.value.into_owned());
        self.open.push(Element { name, date_format, ..Element::default() });
    }

    fn close(&mut self) {
        self.depth -= 1;
        if self.refused.is_some() {
            return;
        }
        if let Some(depth) = self.passed_over {
            self.passed_over = (self.depth >= depth).then_some(depth);
            return;
        }
        let element = self.open.pop().unwrap_or_default();
        match self.open.last_mut() {
            // Such as emphasis within a title; what is read within others than its own parent is something else.
            Some(parent) if element.name.is_empty() => parent.text.push_str(&element.text),
            Some(parent) => parent.children.push(element),
            None => self.root = element,
        }
    }

    fn text(&mut self, text: &str) {
        if self.refused.is_none()
            && self.passed_over.is_none()
            && let Some(element) = self.open.last_mut()
        {
            element.text.push_str(text);
        }
    }

    fn reference(&mut self, reference: &BytesRef<'_>) {
        if let Ok(Some(character)) = reference.resolve_char_ref() {
            return self.text(character.encode_utf8(&mut [0; 4]));
        }
        match resolve_predefined_entity(reference) {
            Some(text) if !reference.is_char_ref() => self.text(text),
            _ => {
                let name: String = reference.chars().take(80).collect();
                self.refuse(&format!("the entity &{name}; is not known: ONIX has those of XML and HTML"));
            }
        }
    }
}

/// A file that counts its lines, remembers the element in hand, and fails where a piece of it has no end.
struct Lines {
    file: BufReader<Decoded>,
    /// The line of what is read next, from 1.
    line: u64,
    /// Bytes of the piece in hand: a tag, a text, a comment.
    event_bytes: usize,
    /// Bytes of the element in hand.
    element_bytes: usize,
    /// The element in hand, while it is not too large.
    remembered: Vec<u8>,
}

impl Lines {
    fn of(file: Decoded) -> Self {
        Self { file: BufReader::new(file), line: 1, event_bytes: 0, element_bytes: 0, remembered: Vec::new() }
    }

    fn begin_event(&mut self) {
        self.event_bytes = 0;
    }

    /// Begins an element, so far as anybody can know.
    fn forget(&mut self) {
        (self.event_bytes, self.element_bytes) = (0, 0);
        self.remembered.clear();
    }

    fn is_too_large(&self) -> bool {
        self.element_bytes > PRODUCT_BYTES
    }

    fn remembered(&self) -> Option<String> {
        (!self.is_too_large()).then(|| String::from_utf8_lossy(&self.remembered).into_owned())
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Lines {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.event_bytes > PRODUCT_BYTES {
            return Err(io::Error::other("a tag, a text or a comment has more than a mebibyte; it may not be closed"));
        }
        self.file.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        let consumed = &self.file.buffer()[..bytes];
        self.line += consumed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.event_bytes += bytes;
        self.element_bytes += bytes;
        if self.element_bytes <= PRODUCT_BYTES {
            self.remembered.extend_from_slice(consumed);
        } else {
            self.remembered.clear();
        }
        self.file.consume(bytes);
    }
}
