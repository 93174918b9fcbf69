//! The purchase: what has to happen next for an order, as a pure function of the order.
//!
//! It is a saga without a state of its own (Garcia-Molina and Salem, 1987): each step's answer is recorded on the order,
//! and a step that is not answered is taken again, under the same name, before anything is compensated.

use crate::book::BookId;
use crate::order::holds::{Holds, Stage};
use crate::order::placed::Placed;
use crate::order::{Order, OrderId, Shortage, Status};
use crate::stock::{self, Copies};
use crate::timestamp::Timestamp;

/// A step that is due: commands to stocks, all of which have to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Hold the copies.
    Reserve(Vec<(BookId, Copies)>),
    /// The held copies are the order's.
    Commit(Vec<BookId>),
    /// The held copies may be sold again.
    Release(Vec<BookId>),
    /// Copies that came back may be sold again.
    Restock {
        /// Of which return.
        number: u32,
        /// How many of which books.
        copies: Vec<(BookId, Copies)>,
    },
}

/// What the stocks answered to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The copies are held, except for these.
    Reserved {
        /// Of which there were too few.
        shortages: Vec<Shortage>,
    },
    /// The held copies left the stocks.
    Committed,
    /// The held copies may be sold again.
    Released,
    /// Copies that came back are in the stocks, except for these.
    Restocked {
        /// Of which return.
        number: u32,
        /// Books whose stock is full.
        refused: Vec<BookId>,
    },
}

/// A step by its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// See [`Step::Reserve`].
    Reserve,
    /// See [`Step::Commit`].
    Commit,
    /// See [`Step::Release`].
    Release,
}

/// The step that the held copies of an order are due for: the one formula for the saga and for views of what is due.
pub fn due(stage: Stage, status: Status) -> Option<Kind> {
    match (stage, status) {
        (Stage::Asked, _) => Some(Kind::Reserve),
        (Stage::Held, Status::Paid | Status::Shipped | Status::Refunded) => Some(Kind::Commit),
        (Stage::Held, Status::Rejected | Status::Cancelled | Status::PaymentFailed) => Some(Kind::Release),
        (Stage::Held, Status::Pending | Status::AwaitingPayment) | (Stage::Ended, _) => None,
    }
}

/// The next step of an order's purchase: none while it waits for the customer, or when all is done.
pub fn next(order: &Order) -> Option<Step> {
    let placed = order.placed()?;
    match due(placed.holds.stage(), placed.status) {
        Some(Kind::Reserve) => {
            let lines = placed.placement.lines.as_slice().iter();
            Some(Step::Reserve(lines.map(|line| (line.book, copies(line.quantity.get()))).collect()))
        }
        Some(Kind::Commit) => Some(Step::Commit(held(placed))),
        Some(Kind::Release) => Some(Step::Release(held(placed))),
        None => placed.returns.unanswered().map(|(number, back)| Step::Restock {
            number,
            copies: back.iter().map(|(book, quantity)| (*book, copies(*quantity))).collect(),
        }),
    }
}

/// When an order ends that is not paid until then; none if it does not wait for its payment.
pub fn deadline(order: &Order) -> Option<Timestamp> {
    order.placed().filter(|placed| placed.status == Status::AwaitingPayment).map(|placed| placed.placement.pay_by)
}

/// Books whose copies were held for an order that does not know of it: somebody else took the same step, found too few of
/// them, and his answer was first. What the order does not hold is to be released by whoever had it held.
pub fn orphaned(order: &Order, reserved: &[BookId]) -> Vec<BookId> {
    let Some(placed) = order.placed() else { return Vec::new() };
    let unknown = |book: &BookId| match &placed.holds {
        // The step is taken again, and its answer will tell of them.
        Holds::Asked => false,
        Holds::Held { except } => except.contains(book),
        // Of what the order held nothing is held any more, so this can only be what it did not.
        Holds::Ended => true,
    };
    reserved.iter().copied().filter(unknown).collect()
}

fn held(placed: &Placed) -> Vec<BookId> {
    let Holds::Held { except } = &placed.holds else { return Vec::new() };
    let books = placed.placement.lines.as_slice().iter().map(|line| line.book);
    books.filter(|book| !except.contains(book)).collect()
}

fn copies(quantity: u64) -> Copies {
    Copies::new(quantity).expect("an order has fewer copies of a book than a stock may have")
}

impl Step {
    /// A name that no other step of the order has: with the book, it names the command.
    pub fn name(&self) -> String {
        match self {
            Self::Reserve(_) => "reserve".to_owned(),
            Self::Commit(_) => "commit".to_owned(),
            Self::Release(_) => "release".to_owned(),
            Self::Restock { number, .. } => format!("restock-{number}"),
        }
    }

    /// What it asks of which book's stock.
    pub fn commands(&self, order: OrderId) -> Vec<(BookId, stock::Command)> {
        let of_books = |books: &[BookId], command: stock::Command| {
            books.iter().map(|book| (*book, command.clone())).collect::<Vec<_>>()
        };
        match self {
            Self::Reserve(copies) => {
                let reserve = |copies| stock::Command::Reserve { order, copies };
                copies.iter().map(|(book, copies)| (*book, reserve(*copies))).collect()
            }
            Self::Commit(books) => of_books(books, stock::Command::Commit { order }),
            Self::Release(books) => of_books(books, stock::Command::Release { order }),
            Self::Restock { copies, .. } => {
                let take_back = |copies| stock::Command::TakeBack { order, copies };
                copies.iter().map(|(book, copies)| (*book, take_back(*copies))).collect()
            }
        }
    }

    /// What the stocks' answers come to; none if a stock refused what it cannot refuse.
    pub fn answer(&self, answers: Vec<(BookId, Result<(), stock::Rejection>)>) -> Option<Answer> {
        let refusal = |(book, answer): (BookId, Result<(), stock::Rejection>)| Some((book, answer.err()?));
        let refusals: Vec<_> = answers.into_iter().filter_map(refusal).collect();
        match self {
            Self::Reserve(_) => {
                let shortage = |(book, rejection)| match rejection {
                    stock::Rejection::NotEnoughStock { available, .. } => Some(Shortage { book, available }),
                    _ => None,
                };
                Some(Answer::Reserved { shortages: refusals.into_iter().map(shortage).collect::<Option<_>>()? })
            }
            Self::Restock { number, .. } => {
                let full = |(book, rejection)| (rejection == stock::Rejection::TooManyCopies).then_some(book);
                let refused = refusals.into_iter().map(full).collect::<Option<_>>()?;
                Some(Answer::Restocked { number: *number, refused })
            }
            Self::Commit(_) => refusals.is_empty().then_some(Answer::Committed),
            Self::Release(_) => refusals.is_empty().then_some(Answer::Released),
        }
    }
}
