//! An order since it was placed: what it decides, and what its events make of it.

use super::holds::{Holds, ReturnedLine, Returns};
use super::lines::{Line, Quantity};
use super::settlement::{Outcome, PaymentId, Settlement};
use super::{CancellationReason, Event, Happening, Placement, RefundCause, Rejection, Shortage, Status};
use crate::book::BookId;
use crate::money::Money;
use crate::purchase::Answer;
use crate::timestamp::Timestamp;
use std::collections::BTreeMap;

/// An order since it was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// What was ordered.
    pub placement: Placement,
    /// Where it stands.
    pub status: Status,
    /// Its copies.
    pub holds: Holds,
    /// Its money.
    pub settlement: Settlement,
    /// What came back of it.
    pub returns: Returns,
    /// The status that ended `pending`, and the revision at which it did.
    pub decided: Option<(Status, u64)>,
    revision: u64,
}

impl Placed {
    pub(super) fn new(placement: Placement, status: Status) -> Self {
        Self {
            placement,
            status,
            holds: Holds::Asked,
            settlement: Settlement::default(),
            returns: Returns::default(),
            decided: None,
            revision: 1,
        }
    }

    pub(super) fn evolve(&mut self, event: &Event) {
        match &event.what {
            Happening::StockReserved => self.holds = Holds::Held { except: Vec::new() },
            Happening::StockRefused { shortages } => {
                let nothing = shortages.len() == self.placement.lines.as_slice().len();
                let except = shortages.iter().map(|shortage| shortage.book).collect();
                self.holds = if nothing { Holds::Ended } else { Holds::Held { except } };
            }
            Happening::StockCommitted | Happening::StockReleased => self.holds = Holds::Ended,
            Happening::PaymentRecorded { payment, outcome, taken } => self.settlement.record(payment, *outcome, *taken),
            Happening::Refunded { payment, amount, .. } => self.settlement.refund(payment, *amount),
            Happening::Returned { number, lines } => self.returns.accept(*number, lines),
            Happening::Restocked { number, .. } => self.returns.answer(*number),
            Happening::Placed(_) | Happening::Paid { .. } | Happening::Cancelled { .. } | Happening::Shipped => {}
        }
        self.revision += 1;
        self.status = event.status;
        if event.status != Status::Pending {
            self.decided.get_or_insert((event.status, self.revision));
        }
    }

    pub(super) fn answered(&self, answer: Answer) -> Vec<Event> {
        let event = |what, status| Event { what, status };
        match (&self.holds, answer) {
            (Holds::Asked, Answer::Reserved { shortages }) => self.reserved(shortages),
            (Holds::Held { .. }, Answer::Committed) => vec![event(Happening::StockCommitted, self.status)],
            (Holds::Held { .. }, Answer::Released) => vec![event(Happening::StockReleased, self.status)],
            (_, Answer::Restocked { number, refused })
                if self.returns.unanswered().is_some_and(|(unanswered, _)| unanswered == number) =>
            {
                vec![event(Happening::Restocked { number, refused }, self.status)]
            }
            // It is known already.
            _ => Vec::new(),
        }
    }

    fn reserved(&self, shortages: Vec<Shortage>) -> Vec<Event> {
        let pending = self.status == Status::Pending;
        let kept = self.settlement.taken().map(|(payment, amount)| (payment.clone(), amount)).filter(|_| pending);
        let (what, status) = match shortages.is_empty() {
            true => (Happening::StockReserved, if pending { Status::AwaitingPayment } else { self.status }),
            false => (Happening::StockRefused { shortages }, if pending { Status::Rejected } else { self.status }),
        };
        let follow_up = kept.map(|(payment, amount)| match status {
            Status::AwaitingPayment => self.paid(payment),
            status => Event { what: Happening::Refunded { payment, amount, cause: RefundCause::NotTaken }, status },
        });
        [Event { what, status }].into_iter().chain(follow_up).collect()
    }

    fn paid(&self, payment: PaymentId) -> Event {
        let copies = self.placement.lines.as_slice().iter().map(|line| (line.book, line.quantity)).collect();
        Event { what: Happening::Paid { payment, copies }, status: Status::Paid }
    }

    pub(super) fn record(&self, payment: PaymentId, outcome: Outcome) -> Vec<Event> {
        if self.settlement.knows(&payment, outcome) {
            return Vec::new();
        }
        let unpaid = matches!(self.status, Status::Pending | Status::AwaitingPayment);
        let open = unpaid && self.settlement.taken().is_none();
        let recorded = |taken, status| Event {
            what: Happening::PaymentRecorded { payment: payment.clone(), outcome, taken },
            status,
        };
        match outcome {
            Outcome::Failed => vec![recorded(false, if open { Status::PaymentFailed } else { self.status })],
            Outcome::Succeeded(amount) if open && amount == self.placement.lines.total() => {
                let mut events = vec![recorded(true, self.status)];
                // While the stocks have not answered, the payment is kept.
                if self.status == Status::AwaitingPayment {
                    events.push(self.paid(payment.clone()));
                }
                events
            }
            Outcome::Succeeded(amount) => {
                let what = Happening::Refunded { payment: payment.clone(), amount, cause: RefundCause::NotTaken };
                vec![recorded(false, self.status), Event { what, status: self.status }]
            }
        }
    }

    pub(super) fn expire(&self, now: Timestamp) -> Vec<Event> {
        if self.status != Status::AwaitingPayment || now < self.placement.pay_by {
            return Vec::new();
        }
        let what = Happening::Cancelled { reason: CancellationReason::NotPaidInTime };
        vec![Event { what, status: Status::Cancelled }]
    }

    pub(super) fn cancel(&self, reason: CancellationReason) -> Result<Vec<Event>, Rejection> {
        let status = match self.status {
            Status::Pending | Status::AwaitingPayment => Status::Cancelled,
            Status::Paid => Status::Refunded,
            Status::Shipped => return Err(Rejection::Shipped),
            Status::Rejected | Status::PaymentFailed | Status::Cancelled | Status::Refunded => {
                return Err(Rejection::Ended);
            }
        };
        let mut happenings = vec![Happening::Cancelled { reason }];
        if let Some((payment, amount)) = self.settlement.taken() {
            let cause = RefundCause::Cancelled;
            happenings.push(Happening::Refunded { payment: payment.clone(), amount, cause });
        }
        let back = self.rest();
        if self.status == Status::Paid && !back.is_empty() {
            happenings.push(Happening::Returned { number: self.returns.next_number(), lines: back });
        }
        Ok(happenings.into_iter().map(|what| Event { what, status }).collect())
    }

    /// The copies that have not come back.
    fn rest(&self) -> Vec<ReturnedLine> {
        let lines = &self.placement.lines;
        let back = |line: &Line| {
            let quantity = Quantity::new(self.returns.left(lines, line.book)).ok()?;
            Some(ReturnedLine { book: line.book, quantity, restock: true })
        };
        lines.as_slice().iter().filter_map(back).collect()
    }

    pub(super) fn ship(&self) -> Result<Vec<Event>, Rejection> {
        match self.status {
            Status::Paid => Ok(vec![Event { what: Happening::Shipped, status: Status::Shipped }]),
            Status::Pending | Status::AwaitingPayment => Err(Rejection::NotPaid),
            Status::Shipped => Err(Rejection::Shipped),
            Status::Rejected | Status::PaymentFailed | Status::Cancelled | Status::Refunded => Err(Rejection::Ended),
        }
    }

    /// The payment that was taken and not given back before the order was paid.
    fn payment(&self) -> Result<(&PaymentId, Money), Rejection> {
        let paid = matches!(self.status, Status::Paid | Status::Shipped | Status::Refunded);
        self.settlement.taken().filter(|_| paid).ok_or(Rejection::NotPaid)
    }

    pub(super) fn refund(&self, amount: Money) -> Result<Vec<Event>, Rejection> {
        let (payment, left) = self.payment()?;
        if amount.currency() != left.currency() {
            return Err(Rejection::RefundCurrency(left.currency().code()));
        }
        if amount.amount() == 0 {
            return Err(Rejection::EmptyRefund);
        }
        if amount.amount() > left.amount() {
            return Err(Rejection::RefundTooLarge { left: left.amount(), requested: amount.amount() });
        }
        let what = Happening::Refunded { payment: payment.clone(), amount, cause: RefundCause::Granted };
        let status = if amount == left { Status::Refunded } else { self.status };
        Ok(vec![Event { what, status }])
    }

    pub(super) fn take_back(&self, lines: Vec<ReturnedLine>) -> Result<Vec<Event>, Rejection> {
        self.payment()?;
        let mut by_book: BTreeMap<BookId, u64> = BTreeMap::new();
        for line in &lines {
            *by_book.entry(line.book).or_default() += line.quantity.get();
        }
        for (book, requested) in by_book {
            let left = self.returns.left(&self.placement.lines, book);
            if requested > left {
                return Err(Rejection::ReturnTooLarge { book, left, requested });
            }
        }
        let what = Happening::Returned { number: self.returns.next_number(), lines };
        Ok(vec![Event { what, status: self.status }])
    }
}
