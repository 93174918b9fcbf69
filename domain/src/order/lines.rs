//! What an order is about: books as they were found when it was placed, how many of each, and what they cost together.

use crate::book::description::Title;
use crate::book::{Book, BookId};
use crate::invalid::Invalid;
use crate::money::Money;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// Lines that an order, or a return of it, may have.
pub const LINES_MAX: usize = 1_000;

/// Copies of one book in an order, 1 … 10^6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(u64);

impl Quantity {
    /// The most copies of one book in an order.
    pub const MAX: Self = Self(1_000_000);

    /// Fails on 0 and above [`Quantity::MAX`].
    pub fn new(copies: u64) -> Result<Self, Invalid> {
        if (1..=Self::MAX.0).contains(&copies) { Ok(Self(copies)) } else { Err(Invalid::Quantity) }
    }

    /// How many.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// One book of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which book.
    pub book: BookId,
    /// The book's revision when it was looked at.
    pub book_revision: u64,
    /// Its title then.
    pub title: Title,
    /// Its price then.
    pub unit_price: Money,
    /// How many copies.
    pub quantity: Quantity,
}

/// A book as it was found, and how many copies of it are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Which book.
    pub id: BookId,
    /// As it is now.
    pub book: &'a Book,
    /// As of how many events.
    pub revision: u64,
    /// How many copies.
    pub quantity: Quantity,
}

/// Why books cannot be ordered, or not together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotForSale {
    /// Nobody registered it.
    #[error("no book has the id {0}")]
    Unknown(BookId),
    /// It left the catalogue.
    #[error("the book {0} is retired")]
    Retired(BookId),
    /// It has no price.
    #[error("the book {0} has no price")]
    Unpriced(BookId),
    /// An order is paid by one payment.
    #[error("the books of an order are priced in one currency, these are in {0} and {1}")]
    MixedCurrencies(&'static str, &'static str),
    /// A single value is out of its bounds.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// The lines of an order, each book once, and their total. Cheap to clone: they never change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    lines: Arc<[Line]>,
    total: Money,
}

impl Lines {
    /// The books at the prices that they have now; the same book on several lines becomes one line.
    pub fn of(wanted: &[Wanted<'_>]) -> Result<Self, NotForSale> {
        if !(1..=LINES_MAX).contains(&wanted.len()) {
            return Err(Invalid::LineCount.into());
        }
        let mut lines: Vec<Line> = Vec::new();
        let mut places = BTreeMap::new();
        for wanted in wanted {
            match places.entry(wanted.id) {
                Entry::Vacant(place) => {
                    place.insert(lines.len());
                    lines.push(priced(wanted)?);
                }
                Entry::Occupied(place) => {
                    let quantity = &mut lines[*place.get()].quantity;
                    *quantity = Quantity::new(quantity.0 + wanted.quantity.0)?;
                }
            }
        }
        Self::recorded(lines)
    }

    /// Lines as an event has them: each book once.
    pub fn recorded(lines: Vec<Line>) -> Result<Self, NotForSale> {
        let mut own = lines.iter();
        let mut total = own.next().ok_or(Invalid::LineCount).and_then(cost)?;
        for line in own {
            let cost = cost(line)?;
            if cost.currency() != total.currency() {
                return Err(NotForSale::MixedCurrencies(total.currency().code(), cost.currency().code()));
            }
            total = Money::new(total.amount() + cost.amount(), total.currency())?;
        }
        Ok(Self { lines: lines.into(), total })
    }

    /// In the order in which they were first named.
    pub fn as_slice(&self) -> &[Line] {
        &self.lines
    }

    /// What they cost together.
    pub fn total(&self) -> Money {
        self.total
    }

    /// Copies of a book; none of a book that is not among them.
    pub fn copies_of(&self, book: BookId) -> u64 {
        self.lines.iter().find(|line| line.book == book).map_or(0, |line| line.quantity.0)
    }
}

fn priced(Wanted { id, book, revision, quantity }: &Wanted<'_>) -> Result<Line, NotForSale> {
    let listing = match book {
        Book::Unregistered => return Err(NotForSale::Unknown(*id)),
        Book::Retired(_) => return Err(NotForSale::Retired(*id)),
        Book::Listed(listing) => listing,
    };
    Ok(Line {
        book: *id,
        book_revision: *revision,
        title: listing.description.title.clone(),
        unit_price: listing.price.ok_or(NotForSale::Unpriced(*id))?,
        quantity: *quantity,
    })
}

fn cost(line: &Line) -> Result<Money, Invalid> {
    let amount = line.unit_price.amount().checked_mul(line.quantity.0).ok_or(Invalid::Amount)?;
    Money::new(amount, line.unit_price.currency())
}
