//! What a row asks for, and what becomes of it.

use super::notes::Notes;
use super::{Halt, Import, reason, stock};
use crate::book::stream_of;
use crate::commands::{Loaded, Refusal};
use domain::book::description::Changes;
use domain::book::isbn::Isbn;
use domain::book::{self, Book, BookId, Listing};
use domain::{Command, Rejection, State};

/// How often a record is judged anew because its book was registered meanwhile.
const JUDGEMENTS: u32 = 10;

/// A row as it stands in the file.
pub(crate) struct Entry {
    /// Where it begins, from 1.
    pub(crate) line: u64,
    /// What it asks for, or why it cannot be read.
    pub(crate) row: Result<Row, String>,
    pub(crate) notes: Notes,
    /// Its text, where that was asked for and is not too large.
    pub(crate) text: Option<String>,
}

/// What a row asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// Take the book into the catalogue, or leave it as it is.
    Register(Box<Listing>),
    /// The book is like this: take it into the catalogue, or change what differs.
    Replace { listing: Box<Listing>, changes: Box<Changes> },
    /// Change this of a book.
    Amend { isbn: Isbn, changes: Box<Changes> },
    /// Take the book out of the catalogue.
    Retire(Isbn),
    /// Set copies and price.
    Count(stock::Count),
}

/// What became of a row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    ThereAlready,
    Refused(String),
}

impl Row {
    /// Which book it is about.
    pub(crate) fn book(&self) -> BookId {
        BookId::of(match self {
            Self::Register(listing) | Self::Replace { listing, .. } => &listing.isbn,
            Self::Amend { isbn, .. } | Self::Retire(isbn) => isbn,
            Self::Count(count) => &count.isbn,
        })
    }

    /// Sends its commands.
    pub(crate) async fn take(self, import: &Import) -> Result<Outcome, Halt> {
        match self {
            Self::Register(listing) => register(import, *listing).await,
            Self::Replace { listing, changes } => replace(import, *listing, *changes).await,
            Self::Amend { isbn, changes } => amend(import, &isbn, *changes).await,
            Self::Retire(isbn) => change(import, &isbn, book::Command::Retire).await,
            Self::Count(count) => count.take(import).await,
        }
    }
}

async fn register(import: &Import, listing: Listing) -> Result<Outcome, Halt> {
    let isbn = listing.isbn.clone();
    Ok(match send(import, &isbn, book::Command::Register(listing)).await? {
        Ok(_) => Outcome::Accepted,
        Err(Refusal::Rejected(Rejection::Book(book::Rejection::IsbnTaken))) => Outcome::ThereAlready,
        Err(refusal) => Outcome::Refused(reason::refusal(isbn.as_str(), &refusal)),
    })
}

async fn replace(import: &Import, listing: Listing, changes: Changes) -> Result<Outcome, Halt> {
    for _ in 0..JUDGEMENTS {
        let Some(loaded) = loaded(import, &listing.isbn).await? else { break };
        if !matches!(loaded.state.as_ref(), State::Book(Book::Unregistered)) {
            return amend(import, &listing.isbn, changes).await;
        }
        match send(import, &listing.isbn, book::Command::Register(listing.clone())).await? {
            Ok(_) => return Ok(Outcome::Accepted),
            Err(Refusal::Rejected(Rejection::Book(book::Rejection::IsbnTaken))) => {}
            Err(refusal) => return Ok(Outcome::Refused(reason::refusal(listing.isbn.as_str(), &refusal))),
        }
    }
    Ok(Outcome::Refused("the book changes all the time; import this record again".to_owned()))
}

async fn amend(import: &Import, isbn: &Isbn, changes: Changes) -> Result<Outcome, Halt> {
    change(import, isbn, book::Command::Revise(changes)).await
}

/// Sends a command to a book that should be registered; what brings no event was so already.
async fn change(import: &Import, isbn: &Isbn, command: book::Command) -> Result<Outcome, Halt> {
    let before = loaded(import, isbn).await?.map(|loaded| loaded.revision);
    Ok(match send(import, isbn, command).await? {
        Ok(after) if Some(after.revision) == before => Outcome::ThereAlready,
        Ok(_) => Outcome::Accepted,
        Err(Refusal::Rejected(Rejection::Book(book::Rejection::NotRegistered))) => {
            Outcome::Refused(reason::doubtful("isbn", isbn.as_str(), "no book with this ISBN is registered"))
        }
        Err(refusal) => Outcome::Refused(reason::refusal(isbn.as_str(), &refusal)),
    })
}

async fn loaded(import: &Import, isbn: &Isbn) -> Result<Option<Loaded>, Halt> {
    Ok(import.peek(vec![stream_of(BookId::of(isbn))]).await?.pop())
}

async fn send(import: &Import, isbn: &Isbn, command: book::Command) -> Result<Result<Loaded, Refusal>, Halt> {
    import.send(stream_of(BookId::of(isbn)), Command::Book(command)).await
}
