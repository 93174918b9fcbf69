//! What writers were told of their commands, to be held against the log.

use super::*;
use std::fmt::Write;

/// What a writer knows of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    /// It is in the log.
    Acknowledged,
    /// It may be in the log.
    Unknown,
    /// It is not in the log.
    RolledBack,
}

/// A command that was sent.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) stream: String,
    pub(super) events: u32,
    pub(super) fate: Fate,
    /// Of its last event, as its verdict said.
    pub(super) last_revision: Option<u64>,
}

/// All that were sent by some writers.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) entries: HashMap<CommandId, Entry>,
    /// What else is worth telling.
    pub(super) notes: Vec<String>,
}

impl Book {
    pub(super) fn extend(&mut self, other: Self) {
        let before = self.entries.len() + other.entries.len();
        self.entries.extend(other.entries);
        assert_eq!(self.entries.len(), before, "each command is sent by one writer");
        self.notes.extend(other.notes);
    }

    pub(super) fn write(&self, path: &Path) {
        let mut lines = String::new();
        for (command, Entry { stream, events, fate, last_revision }) in &self.entries {
            let revision = last_revision.map_or("none".to_owned(), |revision| revision.to_string());
            writeln!(lines, "{} {stream} {events} {fate:?} {revision}", command.0).unwrap();
        }
        for note in &self.notes {
            writeln!(lines, "note {note}").unwrap();
        }
        std::fs::write(path, lines).unwrap();
    }

    pub(super) fn read(path: &Path) -> Self {
        let mut book = Self::default();
        for line in std::fs::read_to_string(path).unwrap().lines() {
            if let Some(note) = line.strip_prefix("note ") {
                book.notes.push(note.to_owned());
                continue;
            }
            let fields: Vec<_> = line.split(' ').collect();
            let fate = match fields[3] {
                "Acknowledged" => Fate::Acknowledged,
                "Unknown" => Fate::Unknown,
                other => panic!("{other}"),
            };
            let entry = Entry {
                stream: fields[1].to_owned(),
                events: fields[2].parse().unwrap(),
                fate,
                last_revision: fields[4].parse().ok(),
            };
            book.entries.insert(CommandId(fields[0].parse().unwrap()), entry);
        }
        book
    }
}
