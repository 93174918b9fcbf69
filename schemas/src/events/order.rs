//! Stored events of orders. Each carries the status after it.

use super::money::MoneyV1;
use super::{Encoded, Unreadable, encoded};
use crate::api::order::Status;
use crate::timestamp;
use domain::book::BookId;
use domain::book::description::Title;
use domain::invalid::Invalid;
use domain::order::holds::ReturnedLine;
use domain::order::lines::{Line, Lines, NotForSale, Quantity};
use domain::order::settlement::{Outcome, PaymentId};
use domain::order::{self, CustomerId, Event, Happening, Placement, Shortage};
use serde::de::Error;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlacedV1 {
    customer_id: Uuid,
    lines: Vec<LineV1>,
    total: MoneyV1,
    pay_by: String,
    status: Status,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineV1 {
    book_id: Uuid,
    book_revision: u64,
    title: String,
    unit_price: MoneyV1,
    quantity: u64,
}

/// Of what needs no more words than its type.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainV1 {
    status: Status,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StockRefusedV1 {
    shortages: Vec<ShortageV1>,
    status: Status,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShortageV1 {
    book_id: Uuid,
    available: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PaymentRecordedV1 {
    payment_id: String,
    outcome: OutcomeV1,
    taken: bool,
    status: Status,
}

/// Success comes with what the customer was charged.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutcomeV1 {
    Succeeded(MoneyV1),
    Failed,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PaidV1 {
    payment_id: String,
    copies: Vec<CopiesV1>,
    status: Status,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CopiesV1 {
    book_id: Uuid,
    quantity: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundedV1 {
    payment_id: String,
    amount: MoneyV1,
    cause: RefundCauseV1,
    status: Status,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RefundCauseV1 {
    Cancelled,
    NotTaken,
    Granted,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelledV1 {
    reason: ReasonV1,
    status: Status,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReasonV1 {
    ChangedMind,
    OrderedByMistake,
    TooSlow,
    Other,
    NotPaidInTime,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReturnedV1 {
    number: u32,
    lines: Vec<ReturnedLineV1>,
    status: Status,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReturnedLineV1 {
    book_id: Uuid,
    quantity: u64,
    restock: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RestockedV1 {
    number: u32,
    refused: Vec<Uuid>,
    status: Status,
}

pub(super) fn encode(event: &Event) -> Encoded {
    let status = Status::from(event.status);
    let payment_id = |payment: &PaymentId| payment.as_str().to_owned();
    match &event.what {
        Happening::Placed(placement) => encoded("OrderPlaced", 1, &placed_v1(placement, status)),
        Happening::StockReserved => encoded("OrderStockReserved", 1, &PlainV1 { status }),
        Happening::StockRefused { shortages } => {
            let shortages = shortages.iter().map(shortage_v1).collect();
            encoded("OrderStockRefused", 1, &StockRefusedV1 { shortages, status })
        }
        Happening::StockCommitted => encoded("OrderStockCommitted", 1, &PlainV1 { status }),
        Happening::StockReleased => encoded("OrderStockReleased", 1, &PlainV1 { status }),
        Happening::PaymentRecorded { payment, outcome, taken } => {
            let (payment_id, outcome) = (payment_id(payment), outcome_v1(*outcome));
            let stored = PaymentRecordedV1 { payment_id, outcome, taken: *taken, status };
            encoded("OrderPaymentRecorded", 1, &stored)
        }
        Happening::Paid { payment, copies } => {
            let copies =
                copies.iter().map(|(book, quantity)| CopiesV1 { book_id: (*book).into(), quantity: quantity.get() });
            let stored = PaidV1 { payment_id: payment_id(payment), copies: copies.collect(), status };
            encoded("OrderPaid", 1, &stored)
        }
        Happening::Refunded { payment, amount, cause } => {
            let cause = match cause {
                order::RefundCause::Cancelled => RefundCauseV1::Cancelled,
                order::RefundCause::NotTaken => RefundCauseV1::NotTaken,
                order::RefundCause::Granted => RefundCauseV1::Granted,
            };
            let stored = RefundedV1 { payment_id: payment_id(payment), amount: amount.into(), cause, status };
            encoded("OrderRefunded", 1, &stored)
        }
        Happening::Cancelled { reason } => {
            encoded("OrderCancelled", 1, &CancelledV1 { reason: reason_v1(*reason), status })
        }
        Happening::Shipped => encoded("OrderShipped", 1, &PlainV1 { status }),
        Happening::Returned { number, lines } => {
            let lines = lines.iter().map(returned_line_v1).collect();
            encoded("OrderReturned", 1, &ReturnedV1 { number: *number, lines, status })
        }
        Happening::Restocked { number, refused } => {
            let refused = refused.iter().map(|book| (*book).into()).collect();
            encoded("OrderRestocked", 1, &RestockedV1 { number: *number, refused, status })
        }
    }
}

/// None if this type and version are not known.
pub(super) fn decode(event_type: &str, version: u16, data: &[u8]) -> Option<Result<Event, Unreadable>> {
    let read = match (event_type, version) {
        ("OrderPlaced", 1) => read_placed(data),
        ("OrderStockReserved", 1) => read_plain(data, Happening::StockReserved),
        ("OrderStockRefused", 1) => read_stock_refused(data),
        ("OrderStockCommitted", 1) => read_plain(data, Happening::StockCommitted),
        ("OrderStockReleased", 1) => read_plain(data, Happening::StockReleased),
        ("OrderPaymentRecorded", 1) => read_payment_recorded(data),
        ("OrderPaid", 1) => read_paid(data),
        ("OrderRefunded", 1) => read_refunded(data),
        ("OrderCancelled", 1) => read_cancelled(data),
        ("OrderShipped", 1) => read_plain(data, Happening::Shipped),
        ("OrderReturned", 1) => read_returned(data),
        ("OrderRestocked", 1) => read_restocked(data),
        _ => return None,
    };
    Some(read)
}

fn event(what: Happening, status: Status) -> Event {
    Event { what, status: status.into() }
}

fn read_plain(data: &[u8], what: Happening) -> Result<Event, Unreadable> {
    let PlainV1 { status } = serde_json::from_slice(data)?;
    Ok(event(what, status))
}

fn placed_v1(Placement { customer, lines, pay_by }: &Placement, status: Status) -> PlacedV1 {
    PlacedV1 {
        customer_id: customer.0,
        lines: lines.as_slice().iter().map(line_v1).collect(),
        total: (&lines.total()).into(),
        pay_by: timestamp::text(*pay_by),
        status,
    }
}

fn read_placed(data: &[u8]) -> Result<Event, Unreadable> {
    let stored: PlacedV1 = serde_json::from_slice(data)?;
    let lines = read_lines(stored.lines)?;
    if stored.total.read()? != lines.total() {
        return Err(Invalid::Amount.into());
    }
    let pay_by =
        timestamp::parse(&stored.pay_by).ok_or_else(|| serde_json::Error::custom("`pay_by` is no RFC 3339"))?;
    Ok(event(Happening::Placed(Placement { customer: CustomerId(stored.customer_id), lines, pay_by }), stored.status))
}

fn read_stock_refused(data: &[u8]) -> Result<Event, Unreadable> {
    let stored: StockRefusedV1 = serde_json::from_slice(data)?;
    let shortages = stored.shortages.into_iter().map(shortage).collect();
    Ok(event(Happening::StockRefused { shortages }, stored.status))
}

fn read_payment_recorded(data: &[u8]) -> Result<Event, Unreadable> {
    let stored: PaymentRecordedV1 = serde_json::from_slice(data)?;
    let (payment, outcome) = (PaymentId::parse(&stored.payment_id)?, outcome(stored.outcome)?);
    Ok(event(Happening::PaymentRecorded { payment, outcome, taken: stored.taken }, stored.status))
}

fn read_paid(data: &[u8]) -> Result<Event, Unreadable> {
    let stored: PaidV1 = serde_json::from_slice(data)?;
    let copies = |copies: CopiesV1| Ok((BookId::from(copies.book_id), Quantity::new(copies.quantity)?));
    let copies = stored.copies.into_iter().map(copies).collect::<Result<_, Invalid>>()?;
    Ok(event(Happening::Paid { payment: PaymentId::parse(&stored.payment_id)?, copies }, stored.status))
}

fn read_refunded(data: &[u8]) -> Result<Event, Unreadable> {
    let stored: RefundedV1 = serde_json::from_slice(data)?;
    let cause = match stored.cause {
        RefundCauseV1::Cancelled => order::RefundCause::Cancelled,
        RefundCauseV1::NotTaken => order::RefundCause::NotTaken,
        RefundCauseV1::Granted => order::RefundCause::Granted,
    };
    let (payment, amount) = (PaymentId::parse(&stored.payment_id)?, stored.amount.read()?);
    Ok(event(Happening::Refunded { payment, amount, cause }, stored.status))
}

fn read_cancelled(data: &[u8]) -> Result<Event, Unreadable> {
    let stored: CancelledV1 = serde_json::from_slice(data)?;
    Ok(event(Happening::Cancelled { reason: reason(stored.reason) }, stored.status))
}

fn read_returned(data: &[u8]) -> Result<Event, Unreadable> {
    let stored: ReturnedV1 = serde_json::from_slice(data)?;
    let lines = stored.lines.into_iter().map(returned_line).collect::<Result<_, Invalid>>()?;
    Ok(event(Happening::Returned { number: stored.number, lines }, stored.status))
}

fn read_restocked(data: &[u8]) -> Result<Event, Unreadable> {
    let stored: RestockedV1 = serde_json::from_slice(data)?;
    let refused = stored.refused.into_iter().map(BookId::from).collect();
    Ok(event(Happening::Restocked { number: stored.number, refused }, stored.status))
}

pub(crate) fn line_v1(line: &Line) -> LineV1 {
    LineV1 {
        book_id: line.book.into(),
        book_revision: line.book_revision,
        title: line.title.as_str().to_owned(),
        unit_price: (&line.unit_price).into(),
        quantity: line.quantity.get(),
    }
}

pub(crate) fn read_lines(stored: Vec<LineV1>) -> Result<Lines, Invalid> {
    let line = |line: LineV1| {
        Ok(Line {
            book: line.book_id.into(),
            book_revision: line.book_revision,
            title: Title::parse(&line.title)?,
            unit_price: line.unit_price.read()?,
            quantity: Quantity::new(line.quantity)?,
        })
    };
    let lines = stored.into_iter().map(line).collect::<Result<_, Invalid>>()?;
    Lines::recorded(lines).map_err(|error| match error {
        NotForSale::Invalid(invalid) => invalid,
        _ => Invalid::Currency,
    })
}

pub(crate) fn shortage_v1(shortage: &Shortage) -> ShortageV1 {
    ShortageV1 { book_id: shortage.book.into(), available: shortage.available }
}

pub(crate) fn shortage(stored: ShortageV1) -> Shortage {
    Shortage { book: stored.book_id.into(), available: stored.available }
}

pub(crate) fn outcome_v1(outcome: Outcome) -> OutcomeV1 {
    match outcome {
        Outcome::Succeeded(amount) => OutcomeV1::Succeeded((&amount).into()),
        Outcome::Failed => OutcomeV1::Failed,
    }
}

pub(crate) fn outcome(stored: OutcomeV1) -> Result<Outcome, Invalid> {
    Ok(match stored {
        OutcomeV1::Succeeded(amount) => Outcome::Succeeded(amount.read()?),
        OutcomeV1::Failed => Outcome::Failed,
    })
}

pub(crate) fn reason_v1(reason: order::CancellationReason) -> ReasonV1 {
    match reason {
        order::CancellationReason::ChangedMind => ReasonV1::ChangedMind,
        order::CancellationReason::OrderedByMistake => ReasonV1::OrderedByMistake,
        order::CancellationReason::TooSlow => ReasonV1::TooSlow,
        order::CancellationReason::Other => ReasonV1::Other,
        order::CancellationReason::NotPaidInTime => ReasonV1::NotPaidInTime,
    }
}

pub(crate) fn reason(stored: ReasonV1) -> order::CancellationReason {
    match stored {
        ReasonV1::ChangedMind => order::CancellationReason::ChangedMind,
        ReasonV1::OrderedByMistake => order::CancellationReason::OrderedByMistake,
        ReasonV1::TooSlow => order::CancellationReason::TooSlow,
        ReasonV1::Other => order::CancellationReason::Other,
        ReasonV1::NotPaidInTime => order::CancellationReason::NotPaidInTime,
    }
}

pub(crate) fn returned_line_v1(line: &ReturnedLine) -> ReturnedLineV1 {
    ReturnedLineV1 { book_id: line.book.into(), quantity: line.quantity.get(), restock: line.restock }
}

pub(crate) fn returned_line(stored: ReturnedLineV1) -> Result<ReturnedLine, Invalid> {
    let ReturnedLineV1 { book_id, quantity, restock } = stored;
    Ok(ReturnedLine { book: BookId::from(book_id), quantity: Quantity::new(quantity)?, restock })
}
