//! What one node writes the other reads back as it was: every variant, and hostile bytes.

use super::*;
use domain::book::description::{
    Authors, Changes, Description, Edition, Format, Language, PublicationDate, Subject, Subjects, Title,
};
use domain::book::isbn::Isbn;
use domain::book::{self, BookId, Listing};
use domain::money::{Currency, MAX_AMOUNT, Money};
use domain::order::holds::ReturnedLine;
use domain::order::lines::{Line, Lines, Quantity};
use domain::order::settlement::{Outcome, PaymentId};
use domain::order::{self, CancellationReason, CustomerId, OrderId, Placement, Shortage};
use domain::purchase::Answer;
use domain::stock::{self, Copies, Delta, Reason};
use domain::timestamp::Timestamp;
use domain::{Command, Rejection};
use std::collections::BTreeSet;
use uuid::Uuid;

fn money(amount: u64, currency: &str) -> Money {
    Money::new(amount, Currency::parse(currency).unwrap()).unwrap()
}

fn book_id(n: u128) -> BookId {
    BookId::from(Uuid::from_u128(n))
}

fn order_id() -> OrderId {
    OrderId::from(Uuid::from_u128(u128::MAX))
}

/// The how-manieth kind of command it is. A new kind does not compile until it is counted here, and is missed below then.
fn kind(command: &Command) -> usize {
    match command {
        Command::Book(book::Command::Register(Listing { isbn: _, description: _, price: _ })) => 0,
        Command::Book(book::Command::Revise(_)) => 1,
        Command::Book(book::Command::Retire) => 2,
        Command::Stock(stock::Command::Adjust { delta: _, reason: _ }) => 3,
        Command::Stock(stock::Command::Count { on_hand: _, taken_at: _ }) => 4,
        Command::Stock(stock::Command::Reserve { order: _, copies: _ }) => 5,
        Command::Stock(stock::Command::Commit { order: _ }) => 6,
        Command::Stock(stock::Command::Release { order: _ }) => 7,
        Command::Stock(stock::Command::TakeBack { order: _, copies: _ }) => 8,
        Command::Order(order::Command::Place(Placement { customer: _, lines: _, pay_by: _ })) => 9,
        Command::Order(order::Command::Answer(Answer::Reserved { shortages: _ })) => 10,
        Command::Order(order::Command::Answer(Answer::Committed)) => 11,
        Command::Order(order::Command::Answer(Answer::Released)) => 12,
        Command::Order(order::Command::Answer(Answer::Restocked { number: _, refused: _ })) => 13,
        Command::Order(order::Command::RecordPayment { payment: _, outcome: Outcome::Succeeded(_) }) => 14,
        Command::Order(order::Command::RecordPayment { payment: _, outcome: Outcome::Failed }) => 15,
        Command::Order(order::Command::Expire { now: _ }) => 16,
        Command::Order(order::Command::Cancel { reason: CancellationReason::ChangedMind }) => 17,
        Command::Order(order::Command::Cancel { reason: CancellationReason::OrderedByMistake }) => 18,
        Command::Order(order::Command::Cancel { reason: CancellationReason::TooSlow }) => 19,
        Command::Order(order::Command::Cancel { reason: CancellationReason::Other }) => 20,
        Command::Order(order::Command::Cancel { reason: CancellationReason::NotPaidInTime }) => 21,
        Command::Order(order::Command::Ship) => 22,
        Command::Order(order::Command::Refund { amount: _ }) => 23,
        Command::Order(order::Command::Return { lines: _ }) => 24,
    }
}

const KINDS: usize = 25;

/// At least one of each kind, with the extremes of their values.
fn commands() -> Vec<Command> {
    [book_commands(), stock_commands(), order_commands()].concat()
}

fn book_commands() -> Vec<Command> {
    let description = |format| Description {
        title: Title::parse("«The \"Typesetter's\" \\ Daughter» 活字").unwrap(),
        authors: Authors::parse(&["Ada Example", "李小明"]).unwrap(),
        language: Language::parse("zh-Hant").unwrap(),
        subjects: Subjects::parse(vec![
            Subject::parse("thema", Some("1.5"), "FBA").unwrap(),
            Subject::parse("keyword", None, "printing").unwrap(),
        ])
        .unwrap(),
        published_on: Some(PublicationDate::parse("2024-05").unwrap()),
        edition: Some(Edition::parse("2nd, revised").unwrap()),
        format,
    };
    let isbn = Isbn::parse("0-306-40615-2").unwrap();
    let formats = [Format::Hardback, Format::Paperback, Format::Ebook, Format::Audiobook, Format::Other];
    let register = formats.map(Some).into_iter().chain([None]).map(|format| {
        let price = format.map(|_| money(MAX_AMOUNT, "JPY"));
        book::Command::Register(Listing { isbn: isbn.clone(), description: description(format), price })
    });
    let Description { title, authors, language, subjects, published_on, edition, format } =
        description(Some(Format::Ebook));
    let all = Changes {
        title: Some(title),
        authors: Some(authors),
        language: Some(language),
        subjects: Some(subjects),
        price: Some(Some(money(0, "KWD"))),
        published_on: Some(published_on),
        edition: Some(edition),
        format: Some(format),
    };
    let cleared = Changes {
        subjects: Some(Subjects::default()),
        price: Some(None),
        published_on: Some(None),
        edition: Some(None),
        format: Some(None),
        ..Changes::default()
    };
    let revise = [all, cleared, Changes::default()].map(book::Command::Revise);
    register.chain(revise).chain([book::Command::Retire]).map(Command::Book).collect()
}

fn stock_commands() -> Vec<Command> {
    let (order, copies) = (order_id(), Copies::MAX);
    let most = i64::try_from(Copies::MAX.get()).unwrap();
    let reason = Reason::parse("verlegt, „irgendwo“").unwrap();
    let adjust = [-most, 1, most]
        .map(|delta| stock::Command::Adjust { delta: Delta::new(delta).unwrap(), reason: reason.clone() });
    let others = [
        stock::Command::Count { on_hand: Copies::new(0).unwrap(), taken_at: u64::MAX },
        stock::Command::Reserve { order, copies },
        stock::Command::Commit { order },
        stock::Command::Release { order },
        stock::Command::TakeBack { order, copies },
    ];
    adjust.into_iter().chain(others).map(Command::Stock).collect()
}

fn order_commands() -> Vec<Command> {
    let line = |n, amount| Line {
        book: book_id(n),
        book_revision: u64::MAX,
        title: Title::parse("Plain").unwrap(),
        unit_price: money(amount, "CNY"),
        quantity: Quantity::new(2).unwrap(),
    };
    let lines = Lines::recorded(vec![line(2, 1), line(1, 4_200)]).unwrap();
    let place = [i64::MIN, 0, i64::MAX].map(|at| {
        let placement = Placement { customer: CustomerId(Uuid::nil()), lines: lines.clone(), pay_by: Timestamp(at) };
        order::Command::Place(placement)
    });
    let shortages = vec![Shortage { book: book_id(1), available: u64::MAX }];
    let answers = [
        Answer::Reserved { shortages },
        Answer::Reserved { shortages: vec![] },
        Answer::Committed,
        Answer::Released,
        Answer::Restocked { number: u32::MAX, refused: vec![book_id(1), book_id(2)] },
    ];
    let payment = PaymentId::parse("pay \"2f8c\"").unwrap();
    let pay = [Outcome::Succeeded(money(MAX_AMOUNT, "CNY")), Outcome::Failed]
        .map(|outcome| order::Command::RecordPayment { payment: payment.clone(), outcome });
    let cancel = [
        CancellationReason::ChangedMind,
        CancellationReason::OrderedByMistake,
        CancellationReason::TooSlow,
        CancellationReason::Other,
        CancellationReason::NotPaidInTime,
    ]
    .map(|reason| order::Command::Cancel { reason });
    let back = |n, restock| ReturnedLine { book: book_id(n), quantity: Quantity::MAX, restock };
    let others = [
        order::Command::Expire { now: Timestamp(i64::MIN) },
        order::Command::Ship,
        order::Command::Refund { amount: money(1, "EUR") },
        order::Command::Return { lines: vec![back(1, true), back(1, false)] },
        order::Command::Return { lines: vec![] },
    ];
    let answers = answers.map(order::Command::Answer);
    place.into_iter().chain(answers).chain(pay).chain(cancel).chain(others).map(Command::Order).collect()
}

/// As [`kind`], of rejections.
fn rejection_kind(rejection: &Rejection) -> usize {
    match rejection {
        Rejection::Misdirected => 0,
        Rejection::Book(book::Rejection::IsbnTaken) => 1,
        Rejection::Book(book::Rejection::NotRegistered) => 2,
        Rejection::Book(book::Rejection::Retired) => 3,
        Rejection::Stock(stock::Rejection::NotEnoughStock { available: _, requested: _ }) => 4,
        Rejection::Stock(stock::Rejection::BelowReserved { reserved: _, on_hand: _ }) => 5,
        Rejection::Stock(stock::Rejection::TooManyCopies) => 6,
        Rejection::Stock(stock::Rejection::CountOutdated { taken_at: _, revision: _ }) => 7,
        Rejection::Stock(stock::Rejection::EmptyHold) => 8,
        Rejection::Stock(stock::Rejection::HeldAlready) => 9,
        Rejection::Stock(stock::Rejection::NoHold) => 10,
        Rejection::Order(order::Rejection::NotPlaced) => 11,
        Rejection::Order(order::Rejection::PlacedAlready) => 12,
        Rejection::Order(order::Rejection::NotPaid) => 13,
        Rejection::Order(order::Rejection::Shipped) => 14,
        Rejection::Order(order::Rejection::Ended) => 15,
        Rejection::Order(order::Rejection::EmptyRefund) => 16,
        Rejection::Order(order::Rejection::RefundCurrency(_)) => 17,
        Rejection::Order(order::Rejection::RefundTooLarge { left: _, requested: _ }) => 18,
        Rejection::Order(order::Rejection::ReturnTooLarge { book: _, left: _, requested: _ }) => 19,
    }
}

const REJECTION_KINDS: usize = 20;

fn rejections() -> Vec<Rejection> {
    let book = [book::Rejection::IsbnTaken, book::Rejection::NotRegistered, book::Rejection::Retired];
    let stock = [
        stock::Rejection::NotEnoughStock { available: 1, requested: u64::MAX },
        stock::Rejection::BelowReserved { reserved: 2, on_hand: 1 },
        stock::Rejection::TooManyCopies,
        stock::Rejection::CountOutdated { taken_at: 1, revision: u64::MAX },
        stock::Rejection::EmptyHold,
        stock::Rejection::HeldAlready,
        stock::Rejection::NoHold,
    ];
    let order = [
        order::Rejection::NotPlaced,
        order::Rejection::PlacedAlready,
        order::Rejection::NotPaid,
        order::Rejection::Shipped,
        order::Rejection::Ended,
        order::Rejection::EmptyRefund,
        order::Rejection::RefundCurrency("CNY"),
        order::Rejection::RefundTooLarge { left: 1, requested: u64::MAX },
        order::Rejection::ReturnTooLarge { book: book_id(1), left: 1, requested: 2 },
    ];
    let book = book.map(Rejection::Book).into_iter();
    let stock = stock.map(Rejection::Stock).into_iter();
    book.chain(stock).chain(order.map(Rejection::Order)).chain([Rejection::Misdirected]).collect()
}

#[test]
fn every_command_is_read_back_as_it_was() {
    for command in commands() {
        let bytes = encode(&command);
        assert_eq!(decode(&bytes).unwrap(), command, "{}", String::from_utf8_lossy(&bytes));
    }
    let kinds: BTreeSet<_> = commands().iter().map(kind).collect();
    assert_eq!(kinds, (0..KINDS).collect());
}

#[test]
fn every_rejection_is_read_back_as_it_was() {
    for rejection in rejections() {
        let bytes = encode_rejection(&rejection);
        assert_eq!(decode_rejection(&bytes).unwrap(), rejection, "{}", String::from_utf8_lossy(&bytes));
    }
    let kinds: BTreeSet<_> = rejections().iter().map(rejection_kind).collect();
    assert_eq!(kinds, (0..REJECTION_KINDS).collect());
}

#[test]
fn what_breaks_a_rule_is_refused() {
    for bytes in [
        r#"{"stock":{"adjust":{"delta":0,"reason":"none"}}}"#,
        r#"{"stock":{"count":{"on_hand":1000000001,"taken_at":0}}}"#,
        r#"{"order":{"refund":{"amount":{"amount":1,"currency":"cny"}}}}"#,
        r#"{"order":{"record_payment":{"payment_id":"","outcome":"failed"}}}"#,
        r#"{"order":{"place":{"customer_id":"00000000-0000-0000-0000-000000000000","lines":[],"pay_by_us":0}}}"#,
        r#"{"book":{"revise":[{"title":" "}]}}"#,
    ] {
        let error = decode(bytes.as_bytes()).unwrap_err();
        assert!(matches!(error, DecodeError::Invalid(_)), "{bytes}: {error}");
    }
    let foreign = decode_rejection(br#"{"order":{"refund_currency":{"paid_in":"RMB"}}}"#).unwrap_err();
    assert!(matches!(foreign, DecodeError::Invalid(_)), "{foreign}");
    for bytes in ["", "{}", "[]", r#"{"book":"burn"}"#, r#"{"stock":{"commit":{"order_id":"x"}}}"#, "\"retire\""] {
        assert!(matches!(decode(bytes.as_bytes()), Err(DecodeError::Malformed(_))), "{bytes}");
    }
}

proptest::proptest! {
    #[test]
    fn hostile_bytes_are_refused_without_a_panic(index: usize, place: usize, byte: u8) {
        let commands = commands();
        let mut data = encode(&commands[index % commands.len()]);
        let place = place % data.len();
        data[place] = byte;
        let _ = decode(&data);
        data.truncate(place);
        proptest::prop_assert!(decode(&data).is_err());
    }
}
