//! The copies of an order: asked for, held, gone with it; and those that come back.

use super::lines::{Lines, Quantity};
use crate::book::BookId;
use std::collections::BTreeMap;

/// How far the copies of an order are. Each stage begins with an answer of the stocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// The stocks were asked, as far as anybody knows.
    Asked,
    /// All copies are held, except for those of books of which there were too few.
    Held {
        /// Of these nothing is held.
        except: Vec<BookId>,
    },
    /// Nothing is held any more, or nothing ever was.
    Ended,
}

/// The same without the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// See [`Holds::Asked`].
    Asked,
    /// See [`Holds::Held`].
    Held,
    /// See [`Holds::Ended`].
    Ended,
}

impl Holds {
    /// How far they are.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Asked => Stage::Asked,
            Self::Held { .. } => Stage::Held,
            Self::Ended => Stage::Ended,
        }
    }
}

/// Copies of one book that come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReturnedLine {
    /// Which book.
    pub book: BookId,
    /// How many copies.
    pub quantity: Quantity,
    /// Whether they can be sold again.
    pub restock: bool,
}

/// What came back so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Returns {
    copies: BTreeMap<BookId, u64>,
    count: u32,
    /// By number: copies that the stocks have not taken back yet, as far as anybody knows.
    unanswered: BTreeMap<u32, Vec<(BookId, u64)>>,
}

impl Returns {
    /// The number of the next return.
    pub fn next_number(&self) -> u32 {
        self.count + 1
    }

    /// Copies of a book that can still come back.
    pub fn left(&self, lines: &Lines, book: BookId) -> u64 {
        lines.copies_of(book) - self.copies.get(&book).copied().unwrap_or_default()
    }

    /// The oldest return whose copies are not in the stocks yet.
    pub fn unanswered(&self) -> Option<(u32, &[(BookId, u64)])> {
        self.unanswered.first_key_value().map(|(number, copies)| (*number, copies.as_slice()))
    }

    pub(super) fn accept(&mut self, number: u32, lines: &[ReturnedLine]) {
        self.count = number;
        let mut restocked: BTreeMap<BookId, u64> = BTreeMap::new();
        for line in lines {
            *self.copies.entry(line.book).or_default() += line.quantity.get();
            if line.restock {
                *restocked.entry(line.book).or_default() += line.quantity.get();
            }
        }
        if !restocked.is_empty() {
            self.unanswered.insert(number, restocked.into_iter().collect());
        }
    }

    pub(super) fn answer(&mut self, number: u32) {
        self.unanswered.remove(&number);
    }
}
