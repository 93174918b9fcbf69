//! Commands to orders, and how orders refuse them.

use crate::events::money::MoneyV1;
use crate::events::order::{LineV1, OutcomeV1, ReasonV1, ReturnedLineV1, ShortageV1};
use crate::events::order::{line_v1, outcome, outcome_v1, read_lines, reason, reason_v1};
use crate::events::order::{returned_line, returned_line_v1, shortage, shortage_v1};
use domain::invalid::Invalid;
use domain::money::Currency;
use domain::order::settlement::PaymentId;
use domain::order::{self, CustomerId, Placement};
use domain::purchase;
use domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Moments are microseconds since 1970, as the domain has them: not every one has a text.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Command {
    Place { customer_id: Uuid, lines: Vec<LineV1>, pay_by_us: i64 },
    Answer(Answer),
    RecordPayment { payment_id: String, outcome: OutcomeV1 },
    Expire { now_us: i64 },
    Cancel { reason: ReasonV1 },
    Ship,
    Refund { amount: MoneyV1 },
    Return { lines: Vec<ReturnedLineV1> },
}

/// What the stocks answered to a step of the purchase.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Answer {
    Reserved { shortages: Vec<ShortageV1> },
    Committed,
    Released,
    Restocked { number: u32, refused: Vec<Uuid> },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Rejection {
    NotPlaced,
    PlacedAlready,
    NotPaid,
    Shipped,
    Ended,
    EmptyRefund,
    RefundCurrency { paid_in: String },
    RefundTooLarge { left: u64, requested: u64 },
    ReturnTooLarge { book_id: Uuid, left: u64, requested: u64 },
}

impl From<&order::Command> for Command {
    fn from(command: &order::Command) -> Self {
        match command {
            order::Command::Place(Placement { customer, lines, pay_by }) => Self::Place {
                customer_id: customer.0,
                lines: lines.as_slice().iter().map(line_v1).collect(),
                pay_by_us: pay_by.0,
            },
            order::Command::Answer(answer) => Self::Answer(answer.into()),
            order::Command::RecordPayment { payment, outcome } => {
                Self::RecordPayment { payment_id: payment.as_str().to_owned(), outcome: outcome_v1(*outcome) }
            }
            order::Command::Expire { now } => Self::Expire { now_us: now.0 },
            order::Command::Cancel { reason } => Self::Cancel { reason: reason_v1(*reason) },
            order::Command::Ship => Self::Ship,
            order::Command::Refund { amount } => Self::Refund { amount: amount.into() },
            order::Command::Return { lines } => Self::Return { lines: lines.iter().map(returned_line_v1).collect() },
        }
    }
}

impl Command {
    pub(super) fn read(self) -> Result<order::Command, Invalid> {
        Ok(match self {
            Self::Place { customer_id, lines, pay_by_us } => order::Command::Place(Placement {
                customer: CustomerId(customer_id),
                lines: read_lines(lines)?,
                pay_by: Timestamp(pay_by_us),
            }),
            Self::Answer(answer) => order::Command::Answer(answer.into()),
            Self::RecordPayment { payment_id, outcome: how } => {
                order::Command::RecordPayment { payment: PaymentId::parse(&payment_id)?, outcome: outcome(how)? }
            }
            Self::Expire { now_us } => order::Command::Expire { now: Timestamp(now_us) },
            Self::Cancel { reason: why } => order::Command::Cancel { reason: reason(why) },
            Self::Ship => order::Command::Ship,
            Self::Refund { amount } => order::Command::Refund { amount: amount.read()? },
            Self::Return { lines } => {
                order::Command::Return { lines: lines.into_iter().map(returned_line).collect::<Result<_, _>>()? }
            }
        })
    }
}

impl From<&purchase::Answer> for Answer {
    fn from(answer: &purchase::Answer) -> Self {
        match answer {
            purchase::Answer::Reserved { shortages } => {
                Self::Reserved { shortages: shortages.iter().map(shortage_v1).collect() }
            }
            purchase::Answer::Committed => Self::Committed,
            purchase::Answer::Released => Self::Released,
            purchase::Answer::Restocked { number, refused } => {
                Self::Restocked { number: *number, refused: refused.iter().map(|book| (*book).into()).collect() }
            }
        }
    }
}

impl From<Answer> for purchase::Answer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Reserved { shortages } => {
                Self::Reserved { shortages: shortages.into_iter().map(shortage).collect() }
            }
            Answer::Committed => Self::Committed,
            Answer::Released => Self::Released,
            Answer::Restocked { number, refused } => {
                Self::Restocked { number, refused: refused.into_iter().map(Into::into).collect() }
            }
        }
    }
}

impl From<&order::Rejection> for Rejection {
    fn from(rejection: &order::Rejection) -> Self {
        match *rejection {
            order::Rejection::NotPlaced => Self::NotPlaced,
            order::Rejection::PlacedAlready => Self::PlacedAlready,
            order::Rejection::NotPaid => Self::NotPaid,
            order::Rejection::Shipped => Self::Shipped,
            order::Rejection::Ended => Self::Ended,
            order::Rejection::EmptyRefund => Self::EmptyRefund,
            order::Rejection::RefundCurrency(paid_in) => Self::RefundCurrency { paid_in: paid_in.to_owned() },
            order::Rejection::RefundTooLarge { left, requested } => Self::RefundTooLarge { left, requested },
            order::Rejection::ReturnTooLarge { book, left, requested } => {
                Self::ReturnTooLarge { book_id: book.into(), left, requested }
            }
        }
    }
}

impl Rejection {
    pub(super) fn read(self) -> Result<order::Rejection, Invalid> {
        Ok(match self {
            Self::NotPlaced => order::Rejection::NotPlaced,
            Self::PlacedAlready => order::Rejection::PlacedAlready,
            Self::NotPaid => order::Rejection::NotPaid,
            Self::Shipped => order::Rejection::Shipped,
            Self::Ended => order::Rejection::Ended,
            Self::EmptyRefund => order::Rejection::EmptyRefund,
            // The currency's own text, which lives as long as the program.
            Self::RefundCurrency { paid_in } => order::Rejection::RefundCurrency(Currency::parse(&paid_in)?.code()),
            Self::RefundTooLarge { left, requested } => order::Rejection::RefundTooLarge { left, requested },
            Self::ReturnTooLarge { book_id, left, requested } => {
                order::Rejection::ReturnTooLarge { book: book_id.into(), left, requested }
            }
        })
    }
}
