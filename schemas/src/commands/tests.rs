//! Every command and every rejection arrives as it was sent.

use super::*;
use domain::book::description::{
    Authors, Changes, Description, Edition, Format, Language, PublicationDate, Subject, Subjects, Title,
};
use domain::book::isbn::Isbn;
use domain::book::{self, BookId, Listing};
use domain::money::{Currency, Money};
use domain::order::holds::ReturnedLine;
use domain::order::lines::{Line, Lines, Quantity};
use domain::order::settlement::{Outcome, PaymentId};
use domain::order::{self, CancellationReason, CustomerId, OrderId, Placement, Shortage};
use domain::purchase::Answer;
use domain::stock::{self, Copies, Delta, Reason};
use domain::timestamp::Timestamp;
use domain::{Rejection, purchase};
use uuid::Uuid;

fn book_id(n: u128) -> BookId {
    BookId::from(Uuid::from_u128(n))
}

fn money(amount: u64) -> Money {
    Money::new(amount, Currency::parse("CNY").unwrap()).unwrap()
}

fn changes() -> [Changes; 3] {
    let subject = Subject::parse("thema", Some("1.5"), "FBA").unwrap();
    let all = Changes {
        title: Some(Title::parse("书").unwrap()),
        authors: Some(Authors::parse(&["Ann", "Bo"]).unwrap()),
        language: Some(Language::parse("zh-Hant").unwrap()),
        subjects: Some(Subjects::parse(vec![subject]).unwrap()),
        price: Some(Some(money(4_200))),
        published_on: Some(Some(PublicationDate::parse("2015-10").unwrap())),
        edition: Some(Some(Edition::parse("2nd").unwrap())),
        format: Some(Some(Format::Paperback)),
    };
    let none = Changes {
        price: Some(None),
        published_on: Some(None),
        edition: Some(None),
        format: Some(None),
        ..Changes::default()
    };
    [all, none, Changes::default()]
}

fn commands() -> Vec<Command> {
    let description = Description {
        title: Title::parse("A title").unwrap(),
        authors: Authors::parse(&["Ann"]).unwrap(),
        language: Language::parse("en").unwrap(),
        subjects: Subjects::default(),
        published_on: None,
        edition: None,
        format: None,
    };
    let listing = Listing { isbn: Isbn::parse("9780306406157").unwrap(), description, price: Some(money(1)) };
    let mut all = vec![Command::Book(book::Command::Register(listing)), Command::Book(book::Command::Retire)];
    all.extend(changes().map(|changes| Command::Book(book::Command::Revise(changes))));
    let (order, copies) = (OrderId::from(Uuid::from_u128(7)), Copies::new(3).unwrap());
    all.extend(
        [
            stock::Command::Adjust { delta: Delta::new(-5).unwrap(), reason: Reason::parse("damaged").unwrap() },
            stock::Command::Count { on_hand: Copies::MAX, taken_at: 9 },
            stock::Command::Count { on_hand: Copies::new(0).unwrap(), taken_at: 0 },
            stock::Command::Reserve { order, copies },
            stock::Command::Commit { order },
            stock::Command::Release { order },
            stock::Command::TakeBack { order, copies },
        ]
        .map(Command::Stock),
    );
    let line = Line {
        book: book_id(1),
        book_revision: 4,
        title: Title::parse("A title").unwrap(),
        unit_price: money(1_000),
        quantity: Quantity::new(2).unwrap(),
    };
    let placement = Placement {
        customer: CustomerId(Uuid::from_u128(8)),
        lines: Lines::recorded(vec![line]).unwrap(),
        pay_by: Timestamp(1_700_000_000_123_456),
    };
    let payment = PaymentId::parse("pay 1").unwrap();
    let shortages = vec![Shortage { book: book_id(2), available: 1 }];
    let back = ReturnedLine { book: book_id(1), quantity: Quantity::new(1).unwrap(), restock: true };
    all.extend(
        [
            order::Command::Place(placement),
            order::Command::Answer(Answer::Reserved { shortages: vec![] }),
            order::Command::Answer(Answer::Reserved { shortages }),
            order::Command::Answer(Answer::Committed),
            order::Command::Answer(Answer::Released),
            order::Command::Answer(Answer::Restocked { number: 2, refused: vec![book_id(3)] }),
            order::Command::RecordPayment { payment: payment.clone(), outcome: Outcome::Succeeded(money(2_000)) },
            order::Command::RecordPayment { payment, outcome: Outcome::Failed },
            order::Command::Expire { now: Timestamp(-1) },
            order::Command::Cancel { reason: CancellationReason::TooSlow },
            order::Command::Ship,
            order::Command::Refund { amount: money(5) },
            order::Command::Return { lines: vec![back] },
        ]
        .map(Command::Order),
    );
    all
}

/// A number per variant: whoever adds one has to give it a place here, and a command above.
fn variant(command: &Command) -> usize {
    match command {
        Command::Book(book::Command::Register(_)) => 0,
        Command::Book(book::Command::Revise(_)) => 1,
        Command::Book(book::Command::Retire) => 2,
        Command::Stock(stock::Command::Adjust { .. }) => 3,
        Command::Stock(stock::Command::Count { .. }) => 4,
        Command::Stock(stock::Command::Reserve { .. }) => 5,
        Command::Stock(stock::Command::Commit { .. }) => 6,
        Command::Stock(stock::Command::Release { .. }) => 7,
        Command::Stock(stock::Command::TakeBack { .. }) => 8,
        Command::Order(order::Command::Place(_)) => 9,
        Command::Order(order::Command::Answer(answer)) => match answer {
            purchase::Answer::Reserved { .. } => 10,
            purchase::Answer::Committed => 11,
            purchase::Answer::Released => 12,
            purchase::Answer::Restocked { .. } => 13,
        },
        Command::Order(order::Command::RecordPayment { .. }) => 14,
        Command::Order(order::Command::Expire { .. }) => 15,
        Command::Order(order::Command::Cancel { .. }) => 16,
        Command::Order(order::Command::Ship) => 17,
        Command::Order(order::Command::Refund { .. }) => 18,
        Command::Order(order::Command::Return { .. }) => 19,
    }
}

#[test]
fn every_command_arrives_as_it_was_sent() {
    let mut seen = std::collections::BTreeSet::new();
    for command in commands() {
        let Encoded { event_type, version, data } = encode(&command);
        let arrived = decode(event_type, version, &data);
        assert_eq!(arrived.unwrap(), command, "{event_type}: {}", String::from_utf8_lossy(&data));
        seen.insert(variant(&command));
    }
    assert_eq!(seen.len(), 20, "every variant is tried: {seen:?}");
}

#[test]
fn what_nobody_can_ask_for_is_no_command() {
    let paid = br#"{"payment_id":"p","copies":[],"status":"paid"}"#;
    assert!(matches!(decode("OrderPaid", 1, paid), Err(DecodeError::Unknown { .. })));
    assert!(matches!(decode("ReviseBook", 2, b"[]"), Err(DecodeError::Unknown { .. })));
    assert!(matches!(decode("ReviseBook", 1, br#"[{"title":""}]"#), Err(DecodeError::Invalid { .. })));
    assert!(matches!(decode("RefundOrder", 1, b"{}"), Err(DecodeError::Malformed { .. })));
}

#[test]
fn every_rejection_arrives_as_it_was_sent() {
    use order::Rejection as O;
    use stock::Rejection as S;
    let of_books = [book::Rejection::IsbnTaken, book::Rejection::NotRegistered, book::Rejection::Retired];
    let of_stocks = [
        S::NotEnoughStock { available: 1, requested: 2 },
        S::BelowReserved { reserved: 3, on_hand: 4 },
        S::TooManyCopies,
        S::CountOutdated { taken_at: 5, revision: 6 },
        S::EmptyHold,
        S::HeldAlready,
        S::NoHold,
    ];
    let of_orders = [
        O::NotPlaced,
        O::PlacedAlready,
        O::NotPaid,
        O::Shipped,
        O::Ended,
        O::EmptyRefund,
        O::RefundCurrency("EUR"),
        O::RefundTooLarge { left: 7, requested: 8 },
        O::ReturnTooLarge { book: book_id(9), left: 10, requested: 11 },
    ];
    let all = of_books
        .map(Rejection::from)
        .into_iter()
        .chain(of_stocks.map(Rejection::from))
        .chain(of_orders.map(Rejection::from))
        .chain([Rejection::Misdirected]);
    for sent in all {
        assert_eq!(rejection::decode(&rejection::encode(&sent)), Some(sent));
    }
    assert_eq!(rejection::decode(br#"{"rule":"of_tomorrow"}"#), None);
}
