//! The view says that something is due exactly when the purchase has a next step or a deadline.

use super::*;
use crate::view::Fact;
use domain::book::BookId;
use domain::book::description::Title;
use domain::decider::Decider;
use domain::money::{Currency, Money};
use domain::order::holds::ReturnedLine;
use domain::order::lines::{Line, Lines, Quantity};
use domain::order::settlement::{Outcome, PaymentId};
use domain::order::{CancellationReason, Command, CustomerId, Order, OrderId, Placement, Shortage};
use domain::purchase::{self, Answer, Step};
use domain::timestamp::Timestamp;
use platform::event_log::{BodyHash, CommandId, Envelope, EventId, Position, RecordedEvent, Revision, StreamId};
use proptest::prelude::*;
use uuid::Uuid;

const PAY_BY: i64 = 1_000_000;

fn book(n: u128) -> BookId {
    BookId::from(Uuid::from_u128(n))
}

fn cny(amount: u64) -> Money {
    Money::new(amount, Currency::parse("CNY").unwrap()).unwrap()
}

fn placement() -> Placement {
    let line = |n| Line {
        book: book(n),
        book_revision: 1,
        title: Title::parse("A title").unwrap(),
        unit_price: cny(10),
        quantity: Quantity::new(2).unwrap(),
    };
    let lines = Lines::recorded(vec![line(1), line(2)]).unwrap();
    Placement { customer: CustomerId(Uuid::from_u128(3)), lines, pay_by: Timestamp(PAY_BY) }
}

/// What the stocks may say to the next step: too few copies of so many books.
fn answer(step: &Step, short: u128) -> Answer {
    match step {
        Step::Reserve(_) => {
            Answer::Reserved { shortages: (1..=short).map(|n| Shortage { book: book(n), available: 0 }).collect() }
        }
        Step::Commit(_) => Answer::Committed,
        Step::Release(_) => Answer::Released,
        Step::Restock { number, .. } => Answer::Restocked { number: *number, refused: Vec::new() },
    }
}

fn command(order: &Order, what: u32, n: u128) -> Command {
    match what {
        0..=4 => purchase::next(order).map_or(Command::Ship, |step| Command::Answer(answer(&step, n % 3))),
        5 | 6 => {
            let payment = PaymentId::parse(&format!("p{}", n % 2)).unwrap();
            Command::RecordPayment { payment, outcome: Outcome::Succeeded(cny(40)) }
        }
        7 => Command::RecordPayment { payment: PaymentId::parse("f").unwrap(), outcome: Outcome::Failed },
        8 => Command::Cancel { reason: CancellationReason::Other },
        9 => Command::Expire { now: Timestamp(PAY_BY) },
        10 => Command::Refund { amount: cny(20) },
        _ => Command::Return {
            lines: vec![ReturnedLine {
                book: book(1),
                quantity: Quantity::new(1).unwrap(),
                restock: n.is_multiple_of(2),
            }],
        },
    }
}

fn recorded(id: OrderId, revision: u64) -> RecordedEvent {
    let command_id = CommandId(Uuid::from_u128(revision.into()));
    RecordedEvent {
        stream: StreamId::new(&schemas::stream::order(id)),
        revision: Revision(revision),
        position: Position(revision),
        envelope: Envelope {
            id: EventId::of(command_id, 0),
            command_id,
            body_hash: BodyHash([0; 32]),
            event_type: String::new(),
            version: 1,
            recorded_at: platform::seam::Timestamp(revision.cast_signed()),
            traceparent: String::new(),
        },
        data: Vec::new().into(),
        previous_checksum: 0,
        checksum: 0,
    }
}

proptest! {
    #[test]
    fn what_is_due_has_a_row_and_what_is_not_has_none(moves in proptest::collection::vec((0..12_u32, 0..6_u128), 1..30)) {
        let id = OrderId::from(Uuid::from_u128(9));
        let (mut order, mut row, mut revision) = (Order::default(), None, 0);
        let place = std::iter::once(Command::Place(placement()));
        let mut moves = moves.into_iter();
        let mut next = place.collect::<Vec<_>>();
        while let Some(command) = next.pop().or_else(|| moves.next().map(|(what, n)| command(&order, what, n))) {
            for event in Order::decide(&order, command).unwrap_or_default() {
                order = Order::evolve(order, &event);
                revision += 1;
                let (owner, event) = (Owner::Order(id), domain::Event::Order(event));
                let recorded = recorded(id, revision);
                let fact = Fact { owner: &owner, event: &event, recorded: &recorded, partition: 0, skipped: &[] };
                row = Purchases::evolve(row, &Purchases::keys(&fact)[0], &fact).unwrap();
                let due_at = match (purchase::next(&order), purchase::deadline(&order)) {
                    (Some(_), _) => Some(Timestamp(revision.cast_signed())),
                    (None, deadline) => deadline,
                };
                prop_assert_eq!(row.as_ref().map(PurchaseRow::due_at), due_at, "after {:?}", event);
            }
        }
    }
}
