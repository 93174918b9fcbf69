//! A book of the catalogue: registered once for its ISBN, revised, repriced, retired.

pub mod description;
pub mod isbn;

use crate::decider::Decider;
use crate::money::Money;
use description::{Changes, Description};
use isbn::Isbn;
use uuid::Uuid;

/// A book's id: UUIDv5 of its ISBN-13 as a URN (RFC 9562 section 5.5, RFC 8254), so one ISBN can only ever be one book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BookId(Uuid);

impl BookId {
    /// The id of the book with this ISBN.
    pub fn of(isbn: &Isbn) -> Self {
        Self(Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("urn:isbn:{isbn}").as_bytes()))
    }
}

impl From<Uuid> for BookId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl From<BookId> for Uuid {
    fn from(id: BookId) -> Self {
        id.0
    }
}

impl std::fmt::Display for BookId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// What is known of a registered book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Never changes.
    pub isbn: Isbn,
    /// What a reader would find on the cover and in the imprint.
    pub description: Description,
    /// An unpriced book cannot be ordered.
    pub price: Option<Money>,
}

/// The aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Book {
    /// No book with this id yet.
    #[default]
    Unregistered,
    /// In the catalogue.
    Listed(Listing),
    /// Out of the catalogue, for good.
    Retired(Listing),
}

/// What can be asked of a book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Take it into the catalogue.
    Register(Listing),
    /// Change what is known of it, its price among it.
    Revise(Changes),
    /// Take it out of the catalogue; of a retired book: changes nothing.
    Retire,
}

/// What happens to a book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It came into the catalogue.
    Registered(Listing),
    /// Its description is now this.
    Revised(Description),
    /// Its price is now this, or none.
    Repriced(Option<Money>),
    /// It left the catalogue.
    Retired,
}

/// Why a book refuses a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// One book per ISBN.
    #[error("a book with this ISBN is registered already")]
    IsbnTaken,
    /// There is no such book.
    #[error("no book has this id")]
    NotRegistered,
    /// A retired book stays as it is.
    #[error("the book is retired and can no longer be changed")]
    Retired,
}

impl Book {
    /// What is known of the book, retired or not; none before its registration.
    pub fn listing(&self) -> Option<&Listing> {
        match self {
            Self::Unregistered => None,
            Self::Listed(listing) | Self::Retired(listing) => Some(listing),
        }
    }
}

impl Decider for Book {
    type State = Self;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(book: &Book, command: Command) -> Result<Vec<Event>, Rejection> {
        match (book, command) {
            (Book::Unregistered, Command::Register(listing)) => Ok(vec![Event::Registered(listing)]),
            (Book::Unregistered, Command::Revise(_) | Command::Retire) => Err(Rejection::NotRegistered),
            (Book::Listed(_) | Book::Retired(_), Command::Register(_)) => Err(Rejection::IsbnTaken),
            (Book::Listed(listing), Command::Revise(changes)) => Ok(revise(listing, changes)),
            (Book::Listed(_), Command::Retire) => Ok(vec![Event::Retired]),
            (Book::Retired(_), Command::Revise(_)) => Err(Rejection::Retired),
            (Book::Retired(_), Command::Retire) => Ok(vec![]),
        }
    }

    fn evolve(book: Book, event: &Event) -> Book {
        match (book, event) {
            (_, Event::Registered(listing)) => Book::Listed(listing.clone()),
            (Book::Listed(listing), Event::Revised(description)) => {
                Book::Listed(Listing { description: description.clone(), ..listing })
            }
            (Book::Listed(listing), Event::Repriced(price)) => Book::Listed(Listing { price: *price, ..listing }),
            (Book::Listed(listing), Event::Retired) => Book::Retired(listing),
            (book @ (Book::Unregistered | Book::Retired(_)), _) => book,
        }
    }
}

fn revise(listing: &Listing, changes: Changes) -> Vec<Event> {
    let price = changes.price.unwrap_or(listing.price);
    let description = changes.apply(&listing.description);
    let mut events = Vec::new();
    if description != listing.description {
        events.push(Event::Revised(description));
    }
    if price != listing.price {
        events.push(Event::Repriced(price));
    }
    events
}

#[cfg(test)]
mod tests;
