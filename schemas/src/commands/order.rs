//! Commands to orders: most are what they ask to have happened.

use super::read;
use crate::events::money::MoneyV1;
use crate::events::{self, Encoded, Unreadable, encoded};
use domain::order::{Command, Event, Happening, Status};
use domain::purchase::Answer;
use domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

const REFUND: &str = "RefundOrder";
const EXPIRE: &str = "ExpireOrder";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundV1 {
    amount: MoneyV1,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpireV1 {
    /// Microseconds since 1970.
    now: i64,
}

pub(super) fn encode(command: &Command) -> Encoded {
    let what = match command.clone() {
        Command::Place(placement) => Happening::Placed(placement),
        Command::Answer(Answer::Reserved { shortages }) if shortages.is_empty() => Happening::StockReserved,
        Command::Answer(Answer::Reserved { shortages }) => Happening::StockRefused { shortages },
        Command::Answer(Answer::Committed) => Happening::StockCommitted,
        Command::Answer(Answer::Released) => Happening::StockReleased,
        Command::Answer(Answer::Restocked { number, refused }) => Happening::Restocked { number, refused },
        Command::RecordPayment { payment, outcome } => Happening::PaymentRecorded { payment, outcome, taken: false },
        Command::Cancel { reason } => Happening::Cancelled { reason },
        Command::Ship => Happening::Shipped,
        Command::Return { lines } => Happening::Returned { number: 0, lines },
        Command::Refund { amount } => return encoded(REFUND, 1, &RefundV1 { amount: (&amount).into() }),
        Command::Expire { now } => return encoded(EXPIRE, 1, &ExpireV1 { now: now.0 }),
    };
    // The status after it is the order's to say.
    events::encode(&domain::Event::Order(Event { what, status: Status::Pending }))
}

/// None if it is no command of its own.
pub(super) fn decode(name: &str, version: u16, data: &[u8]) -> Option<Result<Command, Unreadable>> {
    match (name, version) {
        (REFUND, 1) => Some(read(data, |RefundV1 { amount }| Ok(Command::Refund { amount: amount.read()? }))),
        (EXPIRE, 1) => Some(read(data, |ExpireV1 { now }| Ok(Command::Expire { now: Timestamp(now) }))),
        _ => None,
    }
}

/// The command that asks for an event; none asks for the others.
pub(super) fn asking(event: Event) -> Option<Command> {
    Some(match event.what {
        Happening::Placed(placement) => Command::Place(placement),
        Happening::StockReserved => Command::Answer(Answer::Reserved { shortages: Vec::new() }),
        Happening::StockRefused { shortages } => Command::Answer(Answer::Reserved { shortages }),
        Happening::StockCommitted => Command::Answer(Answer::Committed),
        Happening::StockReleased => Command::Answer(Answer::Released),
        Happening::Restocked { number, refused } => Command::Answer(Answer::Restocked { number, refused }),
        Happening::PaymentRecorded { payment, outcome, .. } => Command::RecordPayment { payment, outcome },
        Happening::Cancelled { reason } => Command::Cancel { reason },
        Happening::Shipped => Command::Ship,
        Happening::Returned { lines, .. } => Command::Return { lines },
        Happening::Paid { .. } | Happening::Refunded { .. } => return None,
    })
}
