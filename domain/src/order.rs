//! An order: placed, held for, paid and shipped, or ended before; and what of it went back.
//!
//! Money that cannot be taken goes back in the same decision in which it is recorded, so at every point of the log
//! what was charged less what was refunded is the total of a paid order (less what staff gave back) and nothing otherwise.

pub mod holds;
pub mod lines;
pub mod placed;
pub mod settlement;

use crate::book::BookId;
use crate::decider::Decider;
use crate::money::Money;
use crate::purchase::Answer;
use crate::timestamp::Timestamp;
use holds::ReturnedLine;
use lines::{Lines, Quantity};
use placed::Placed;
use settlement::{Outcome, PaymentId};
use uuid::Uuid;

/// An order's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId(Uuid);

impl From<Uuid> for OrderId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl From<OrderId> for Uuid {
    fn from(id: OrderId) -> Self {
        id.0
    }
}

impl std::fmt::Display for OrderId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// A customer: a random id, which says nothing of who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CustomerId(pub Uuid);

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Placed; the stocks have not answered yet.
    Pending,
    /// There were not enough copies.
    Rejected,
    /// Its copies are held until it is paid, or its deadline passes.
    AwaitingPayment,
    /// Its copies are its own.
    Paid,
    /// On its way to the customer.
    Shipped,
    /// The provider could not charge the customer.
    PaymentFailed,
    /// Ended before it was paid.
    Cancelled,
    /// All of its money went back.
    Refunded,
}

/// What was ordered, by whom, and until when it has to be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Whose order it is.
    pub customer: CustomerId,
    /// The books as they were found.
    pub lines: Lines,
    /// When an order that is not paid ends.
    pub pay_by: Timestamp,
}

/// The aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Order {
    /// No order with this id yet.
    #[default]
    Unplaced,
    /// What became of it.
    Placed(Box<Placed>),
}

impl Order {
    /// What became of the order; none before it was placed.
    pub fn placed(&self) -> Option<&Placed> {
        match self {
            Self::Unplaced => None,
            Self::Placed(placed) => Some(placed),
        }
    }
}

/// Why an order is cancelled. There is no free text: what a customer writes stays off the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancellationReason {
    /// The customer's.
    ChangedMind,
    /// The customer's.
    OrderedByMistake,
    /// The customer's.
    TooSlow,
    /// Anybody's.
    Other,
    /// The deadline passed.
    NotPaidInTime,
}

/// Why money goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundCause {
    /// The order was cancelled.
    Cancelled,
    /// The payment could not pay the order: late, a second one, or of another amount.
    NotTaken,
    /// Staff gave it back.
    Granted,
}

/// A book of which there were too few copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// Which book.
    pub book: BookId,
    /// Copies that there were.
    pub available: u64,
}

/// What can be asked of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Order these.
    Place(Placement),
    /// What the stocks answered to the purchase's next step.
    Answer(Answer),
    /// The payment provider says that a payment went so.
    RecordPayment {
        /// Which payment.
        payment: PaymentId,
        /// How it went.
        outcome: Outcome,
    },
    /// End the order if it is not paid in time; else changes nothing.
    Expire {
        /// The present moment.
        now: Timestamp,
    },
    /// End the order, or undo it if it is paid.
    Cancel {
        /// Why.
        reason: CancellationReason,
    },
    /// Hand it to the carrier.
    Ship,
    /// Give money back.
    Refund {
        /// How much.
        amount: Money,
    },
    /// Take copies back.
    Return {
        /// Which.
        lines: Vec<ReturnedLine>,
    },
}

/// What happens to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it was.
    pub what: Happening,
    /// The status after it, so that a list of orders needs no fold.
    pub status: Status,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A customer ordered.
    Placed(Placement),
    /// The stocks hold all copies.
    StockReserved,
    /// There were too few copies of these; the stocks hold the others.
    StockRefused {
        /// Of which books.
        shortages: Vec<Shortage>,
    },
    /// The held copies left the stocks.
    StockCommitted,
    /// The held copies may be sold again.
    StockReleased,
    /// The provider said how a payment went.
    PaymentRecorded {
        /// Which payment.
        payment: PaymentId,
        /// How it went.
        outcome: Outcome,
        /// Whether it pays the order.
        taken: bool,
    },
    /// The order is paid.
    Paid {
        /// By which payment.
        payment: PaymentId,
        /// For how many copies of which books.
        copies: Vec<(BookId, Quantity)>,
    },
    /// Money went back.
    Refunded {
        /// Of which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// Why.
        cause: RefundCause,
    },
    /// The order was cancelled.
    Cancelled {
        /// Why.
        reason: CancellationReason,
    },
    /// It is on its way to the customer.
    Shipped,
    /// Copies came back.
    Returned {
        /// The how-manieth return of the order it is, from 1 on.
        number: u32,
        /// Which copies.
        lines: Vec<ReturnedLine>,
    },
    /// Copies that came back are in the stocks again.
    Restocked {
        /// Of which return.
        number: u32,
        /// Books whose stock could not take them, because it is full.
        refused: Vec<BookId>,
    },
}

/// Why an order refuses a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such order.
    #[error("no order has this id")]
    NotPlaced,
    /// One order per id.
    #[error("the order was placed already")]
    PlacedAlready,
    /// It has to be paid first.
    #[error("the order is not paid")]
    NotPaid,
    /// It is on its way.
    #[error("the order is shipped already")]
    Shipped,
    /// Nothing can be done with it any more.
    #[error("the order has ended already")]
    Ended,
    /// Nothing cannot be given back.
    #[error("a refund is of at least one minor unit")]
    EmptyRefund,
    /// What was paid goes back in its own currency.
    #[error("the order was paid in {0}")]
    RefundCurrency(&'static str),
    /// Never more back than was paid.
    #[error("{requested} were to be refunded, {left} of the payment are left")]
    RefundTooLarge {
        /// Minor units that have not gone back.
        left: u64,
        /// Minor units asked for.
        requested: u64,
    },
    /// Never more copies back than were bought.
    #[error("{requested} copies of {book} were to be returned, {left} can still come back")]
    ReturnTooLarge {
        /// Of which book.
        book: BookId,
        /// Copies that have not come back.
        left: u64,
        /// Copies that were to come back.
        requested: u64,
    },
}

impl Decider for Order {
    type State = Self;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(order: &Order, command: Command) -> Result<Vec<Event>, Rejection> {
        let order = match order {
            Order::Unplaced => {
                let Command::Place(placement) = command else { return Err(Rejection::NotPlaced) };
                return Ok(vec![Event { what: Happening::Placed(placement), status: Status::Pending }]);
            }
            Order::Placed(placed) => placed,
        };
        match command {
            Command::Place(_) => Err(Rejection::PlacedAlready),
            Command::Answer(answer) => Ok(order.answered(answer)),
            Command::RecordPayment { payment, outcome } => Ok(order.record(payment, outcome)),
            Command::Expire { now } => Ok(order.expire(now)),
            Command::Cancel { reason } => order.cancel(reason),
            Command::Ship => order.ship(),
            Command::Refund { amount } => order.refund(amount),
            Command::Return { lines } => order.take_back(lines),
        }
    }

    fn evolve(order: Order, event: &Event) -> Order {
        match (order, &event.what) {
            (Order::Unplaced, Happening::Placed(placement)) => {
                Order::Placed(Box::new(Placed::new(placement.clone(), event.status)))
            }
            (Order::Placed(mut placed), _) => {
                placed.evolve(event);
                Order::Placed(placed)
            }
            (Order::Unplaced, _) => Order::Unplaced,
        }
    }
}

#[cfg(test)]
mod tests;
