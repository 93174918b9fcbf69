//! What an order does with its copies and its money, whatever comes in whatever order.

use super::lines::{NotForSale, Wanted};
use super::*;
use crate::book::description::{Authors, Description, Language, Subjects, Title};
use crate::book::isbn::Isbn;
use crate::book::{Book, Listing};
use crate::decider::fold;
use crate::given::given;
use crate::invalid::Invalid;
use crate::money::{Currency, MAX_AMOUNT};
use crate::purchase::{self, Step};
use crate::stock::{self, Copies, Delta, Reason, Stock};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

const PAY_BY: Timestamp = Timestamp(1_000);

fn cny(amount: u64) -> Money {
    Money::new(amount, Currency::parse("CNY").unwrap()).unwrap()
}

fn eur(amount: u64) -> Money {
    Money::new(amount, Currency::parse("EUR").unwrap()).unwrap()
}

fn id(n: u64) -> BookId {
    BookId::from(Uuid::from_u64_pair(1, n))
}

fn listing(price: Option<Money>) -> Listing {
    let description = Description {
        title: Title::parse("A title").unwrap(),
        authors: Authors::parse(&["A name"]).unwrap(),
        language: Language::parse("en").unwrap(),
        subjects: Subjects::default(),
        published_on: None,
        edition: None,
        format: None,
    };
    Listing { isbn: Isbn::parse("9780306406157").unwrap(), description, price }
}

fn listed(price: Money) -> Book {
    Book::Listed(listing(Some(price)))
}

fn quantity(copies: u64) -> Quantity {
    Quantity::new(copies).unwrap()
}

fn wanted(n: u64, book: &Book, copies: u64) -> Wanted<'_> {
    Wanted { id: id(n), book, revision: 3, quantity: quantity(copies) }
}

/// Two copies of book 1 at 10, three of book 2 at 20: together 80.
fn lines() -> Lines {
    let books = [listed(cny(10)), listed(cny(20))];
    Lines::of(&[wanted(1, &books[0], 2), wanted(2, &books[1], 3)]).unwrap()
}

fn place() -> Command {
    let customer = CustomerId(Uuid::from_u128(9));
    Command::Place(Placement { customer, lines: lines(), pay_by: PAY_BY })
}

fn reserved() -> Command {
    Command::Answer(Answer::Reserved { shortages: Vec::new() })
}

fn short(n: u64) -> Command {
    Command::Answer(Answer::Reserved { shortages: vec![Shortage { book: id(n), available: 1 }] })
}

fn pay(payment: &str, amount: Money) -> Command {
    Command::RecordPayment { payment: PaymentId::parse(payment).unwrap(), outcome: Outcome::Succeeded(amount) }
}

fn fail(payment: &str) -> Command {
    Command::RecordPayment { payment: PaymentId::parse(payment).unwrap(), outcome: Outcome::Failed }
}

fn cancel() -> Command {
    Command::Cancel { reason: CancellationReason::ChangedMind }
}

fn back(n: u64, copies: u64, restock: bool) -> ReturnedLine {
    ReturnedLine { book: id(n), quantity: quantity(copies), restock }
}

/// The events of commands that must all be accepted, one after the other.
fn after(commands: impl IntoIterator<Item = Command>) -> Vec<Event> {
    let mut events = Vec::new();
    for command in commands {
        events.extend(given::<Order>(&events, command).unwrap());
    }
    events
}

fn status(events: &[Event]) -> Status {
    events.last().unwrap().status
}

/// What went back in these events, by payment.
fn refunds(events: &[Event]) -> Vec<(String, u64)> {
    let refund = |event: &Event| match &event.what {
        Happening::Refunded { payment, amount, .. } => Some((payment.as_str().to_owned(), amount.amount())),
        _ => None,
    };
    events.iter().filter_map(refund).collect()
}

fn next(events: &[Event]) -> Option<Step> {
    purchase::next(&fold::<Order>(events))
}

#[test]
fn lines_are_priced_summed_and_bounded() {
    let (ten, unpriced, retired) = (listed(cny(10)), Book::Listed(listing(None)), Book::Retired(listing(Some(cny(1)))));
    let foreign = listed(eur(10));
    let twice = Lines::of(&[wanted(1, &ten, 2), wanted(2, &ten, 1), wanted(1, &ten, 3)]).unwrap();
    assert_eq!((twice.as_slice().len(), twice.copies_of(id(1)), twice.total()), (2, 5, cny(60)));
    assert_eq!(Lines::of(&[]), Err(Invalid::LineCount.into()));
    assert_eq!(Lines::of(&vec![wanted(1, &ten, 1); 1_001]), Err(Invalid::LineCount.into()));
    assert_eq!(Lines::of(&[wanted(1, &ten, 1_000_000), wanted(1, &ten, 1)]), Err(Invalid::Quantity.into()));
    assert_eq!(Lines::of(&[wanted(1, &Book::Unregistered, 1)]), Err(NotForSale::Unknown(id(1))));
    assert_eq!(Lines::of(&[wanted(1, &retired, 1)]), Err(NotForSale::Retired(id(1))));
    assert_eq!(Lines::of(&[wanted(1, &unpriced, 1)]), Err(NotForSale::Unpriced(id(1))));
    let mixed = Lines::of(&[wanted(1, &ten, 1), wanted(2, &foreign, 1)]);
    assert_eq!(mixed, Err(NotForSale::MixedCurrencies("CNY", "EUR")));
    let dear = listed(cny(MAX_AMOUNT));
    assert_eq!(Lines::of(&[wanted(1, &dear, 1)]).unwrap().total(), cny(MAX_AMOUNT));
    assert_eq!(Lines::of(&[wanted(1, &dear, 2)]), Err(Invalid::Amount.into()));
    assert_eq!(Lines::of(&[wanted(1, &dear, 1_000_000)]), Err(Invalid::Amount.into()));
    assert_eq!(Lines::of(&[wanted(1, &dear, 1), wanted(2, &ten, 1)]), Err(Invalid::Amount.into()));
    for copies in [0, 1_000_001, u64::MAX] {
        assert_eq!(Quantity::new(copies), Err(Invalid::Quantity));
    }
    for payment in ["", "ü", "two\nlines", &"x".repeat(129)] {
        assert_eq!(PaymentId::parse(payment), Err(Invalid::PaymentId));
    }
}

#[test]
fn an_order_is_reserved_paid_committed_and_shipped() {
    let placed = after([place()]);
    assert_eq!(status(&placed), Status::Pending);
    assert_eq!(next(&placed).unwrap().name(), "reserve");
    let held = after([place(), reserved()]);
    assert_eq!((status(&held), next(&held)), (Status::AwaitingPayment, None));
    assert_eq!(purchase::deadline(&fold::<Order>(&held)), Some(PAY_BY));
    let paid = after([place(), reserved(), pay("a", cny(80))]);
    assert_eq!((status(&paid), next(&paid)), (Status::Paid, Some(Step::Commit(vec![id(1), id(2)]))));
    assert_eq!(purchase::deadline(&fold::<Order>(&paid)), None);
    let done = after([place(), reserved(), pay("a", cny(80)), Command::Answer(Answer::Committed), Command::Ship]);
    assert_eq!((status(&done), next(&done)), (Status::Shipped, None));
    assert_eq!(given::<Order>(&done, Command::Ship), Err(Rejection::Shipped));
    assert_eq!(given::<Order>(&done, cancel()), Err(Rejection::Shipped));
    assert_eq!(given::<Order>(&done, place()), Err(Rejection::PlacedAlready));
    assert_eq!(given::<Order>(&[], Command::Ship), Err(Rejection::NotPlaced));
}

#[test]
fn too_few_copies_reject_the_order_and_free_the_others() {
    let rejected = after([place(), short(2)]);
    assert_eq!((status(&rejected), next(&rejected)), (Status::Rejected, Some(Step::Release(vec![id(1)]))));
    let released = after([place(), short(2), Command::Answer(Answer::Released)]);
    assert_eq!((status(&released), next(&released)), (Status::Rejected, None));
    let shortages = vec![Shortage { book: id(1), available: 0 }, Shortage { book: id(2), available: 0 }];
    let nothing = after([place(), Command::Answer(Answer::Reserved { shortages })]);
    assert_eq!((status(&nothing), next(&nothing)), (Status::Rejected, None));
    assert_eq!(given::<Order>(&rejected, cancel()), Err(Rejection::Ended));
    assert_eq!(given::<Order>(&rejected, Command::Ship), Err(Rejection::Ended));
}

#[test]
fn a_payment_before_the_stocks_answer_is_kept_until_they_do() {
    let paid = after([place(), pay("a", cny(80)), reserved()]);
    assert_eq!((status(&paid), refunds(&paid)), (Status::Paid, vec![]));
    assert_eq!(fold::<Order>(&paid).placed().unwrap().decided, Some((Status::AwaitingPayment, 3)));
    let rejected = after([place(), pay("a", cny(80)), short(1)]);
    assert_eq!((status(&rejected), refunds(&rejected)), (Status::Rejected, vec![("a".to_owned(), 80)]));
    let cancelled = after([place(), pay("a", cny(80)), cancel()]);
    assert_eq!((status(&cancelled), refunds(&cancelled)), (Status::Cancelled, vec![("a".to_owned(), 80)]));
    // What was begun is answered first, whatever became of the order.
    assert_eq!(next(&cancelled).unwrap().name(), "reserve");
    let answered = after([place(), pay("a", cny(80)), cancel(), reserved()]);
    assert_eq!((status(&answered), next(&answered).unwrap().name()), (Status::Cancelled, "release".to_owned()));
    assert_eq!(refunds(&answered).len(), 1);
    let failed_too = after([place(), pay("a", cny(80)), fail("b"), reserved()]);
    assert_eq!(status(&failed_too), Status::Paid);
}

#[test]
fn a_payment_that_cannot_be_taken_goes_back_once_and_changes_no_status() {
    let held = || vec![place(), reserved()];
    for (commands, expected) in [
        ([held(), vec![pay("a", cny(79))]].concat(), Status::AwaitingPayment),
        ([held(), vec![pay("a", eur(80))]].concat(), Status::AwaitingPayment),
        ([held(), vec![pay("z", cny(80)), pay("a", cny(80))]].concat(), Status::Paid),
        ([held(), vec![cancel(), pay("a", cny(80))]].concat(), Status::Cancelled),
        ([held(), vec![fail("a"), pay("a", cny(80))]].concat(), Status::PaymentFailed),
        ([vec![place(), short(1)], vec![pay("a", cny(80))]].concat(), Status::Rejected),
        (vec![place(), pay("z", cny(80)), pay("a", cny(80))], Status::Pending),
    ] {
        let repeat = commands.last().unwrap().clone();
        let events = after(commands);
        assert_eq!((status(&events), refunds(&events).len()), (expected, 1));
        assert_eq!(refunds(&events)[0].0, "a");
        assert_eq!(given::<Order>(&events, repeat), Ok(vec![]), "the same payment again");
    }
}

#[test]
fn a_failed_payment_ends_an_unpaid_order_only() {
    let failed = after([place(), reserved(), fail("a")]);
    assert_eq!((status(&failed), next(&failed).unwrap().name()), (Status::PaymentFailed, "release".to_owned()));
    assert_eq!(given::<Order>(&failed, fail("a")), Ok(vec![]));
    assert_eq!(given::<Order>(&failed, cancel()), Err(Rejection::Ended));
    assert_eq!(status(&after([place(), reserved(), pay("a", cny(80)), fail("b")])), Status::Paid);
    let early = after([place(), fail("a")]);
    assert_eq!((status(&early), next(&early).unwrap().name()), (Status::PaymentFailed, "reserve".to_owned()));
}

#[test]
fn an_order_that_is_not_paid_in_time_is_cancelled() {
    let held = after([place(), reserved()]);
    assert_eq!(given::<Order>(&held, Command::Expire { now: Timestamp(999) }), Ok(vec![]));
    let expired = given::<Order>(&held, Command::Expire { now: PAY_BY }).unwrap();
    let reason = CancellationReason::NotPaidInTime;
    assert_eq!(expired, [Event { what: Happening::Cancelled { reason }, status: Status::Cancelled }]);
    for events in [after([place()]), after([place(), reserved(), pay("a", cny(80))])] {
        assert_eq!(given::<Order>(&events, Command::Expire { now: PAY_BY }), Ok(vec![]));
    }
}

#[test]
fn a_paid_order_that_is_cancelled_is_undone() {
    let paid = [place(), reserved(), pay("a", cny(80)), Command::Answer(Answer::Committed)];
    let undone = after([paid.as_slice(), &[cancel()]].concat());
    assert_eq!((status(&undone), refunds(&undone)), (Status::Refunded, vec![("a".to_owned(), 80)]));
    let copies = |n| Copies::new(n).unwrap();
    let restock = Step::Restock { number: 1, copies: vec![(id(1), copies(2)), (id(2), copies(3))] };
    assert_eq!(next(&undone), Some(restock));
    assert_eq!(given::<Order>(&undone, cancel()), Err(Rejection::Ended));
    let refund = Command::Refund { amount: cny(1) };
    assert_eq!(given::<Order>(&undone, refund), Err(Rejection::RefundTooLarge { left: 0, requested: 1 }));
    // What went back before does not go back again.
    let partly = [Command::Refund { amount: cny(30) }, Command::Return { lines: vec![back(1, 2, false)] }, cancel()];
    let undone = after([paid.as_slice(), &partly].concat());
    assert_eq!(refunds(&undone), [("a".to_owned(), 30), ("a".to_owned(), 50)]);
    assert_eq!(next(&undone), Some(Step::Restock { number: 2, copies: vec![(id(2), copies(3))] }));
}

#[test]
fn never_more_goes_back_than_was_paid_or_bought() {
    let shipped = after([place(), reserved(), pay("a", cny(80)), Command::Answer(Answer::Committed), Command::Ship]);
    let refund = |amount| Command::Refund { amount };
    assert_eq!(given::<Order>(&shipped, refund(cny(0))), Err(Rejection::EmptyRefund));
    assert_eq!(given::<Order>(&shipped, refund(eur(1))), Err(Rejection::RefundCurrency("CNY")));
    let too_large = Err(Rejection::RefundTooLarge { left: 80, requested: 81 });
    assert_eq!(given::<Order>(&shipped, refund(cny(81))), too_large);
    assert_eq!(status(&given::<Order>(&shipped, refund(cny(79))).unwrap()), Status::Shipped);
    assert_eq!(status(&given::<Order>(&shipped, refund(cny(80))).unwrap()), Status::Refunded);
    let give_back = |lines| Command::Return { lines };
    let three = given::<Order>(&shipped, give_back(vec![back(1, 2, true), back(1, 1, false)]));
    assert_eq!(three, Err(Rejection::ReturnTooLarge { book: id(1), left: 2, requested: 3 }));
    let foreign = given::<Order>(&shipped, give_back(vec![back(7, 1, true)]));
    assert_eq!(foreign, Err(Rejection::ReturnTooLarge { book: id(7), left: 0, requested: 1 }));
    let some = given::<Order>(&shipped, give_back(vec![back(1, 1, true), back(2, 3, false)])).unwrap();
    let returned = [shipped, some].concat();
    assert_eq!(next(&returned), Some(Step::Restock { number: 1, copies: vec![(id(1), Copies::new(1).unwrap())] }));
    let unpaid = after([place(), reserved()]);
    assert_eq!(given::<Order>(&unpaid, refund(cny(1))), Err(Rejection::NotPaid));
    assert_eq!(given::<Order>(&unpaid, give_back(vec![back(1, 1, true)])), Err(Rejection::NotPaid));
    assert_eq!(given::<Order>(&unpaid, Command::Ship), Err(Rejection::NotPaid));
    let kept = after([place(), pay("a", cny(80)), cancel()]);
    assert_eq!(given::<Order>(&kept, refund(cny(1))), Err(Rejection::NotPaid));
}

#[test]
fn a_stock_that_refuses_what_it_cannot_is_no_answer() {
    let no_hold = || vec![(id(1), Err(stock::Rejection::NoHold))];
    assert_eq!(Step::Commit(vec![id(1)]).answer(no_hold()), None);
    assert_eq!(Step::Release(vec![id(1)]).answer(no_hold()), None);
    assert_eq!(Step::Reserve(Vec::new()).answer(no_hold()), None);
    let full = vec![(id(1), Err(stock::Rejection::TooManyCopies)), (id(2), Ok(()))];
    let restock = Step::Restock { number: 4, copies: Vec::new() };
    assert_eq!(restock.answer(full), Some(Answer::Restocked { number: 4, refused: vec![id(1)] }));
}

/// The order and both stocks, with every step that is under way.
#[derive(Default)]
struct Shop {
    order: Order,
    stocks: BTreeMap<BookId, Stock>,
    /// Stock commands that were taken, by step and book: a repeat has no second effect.
    taken: HashSet<(String, BookId)>,
    charged: Vec<(String, u64, &'static str)>,
    granted: u64,
}

#[derive(Debug, Clone)]
enum Move {
    Customer(Command),
    /// The runner takes the next step, and a crash may lose what it learnt.
    Step {
        lost: bool,
    },
    /// Copies come and go beside the order.
    Adjust {
        book: u64,
        delta: i64,
    },
}

impl Shop {
    fn send(&mut self, command: Command) {
        if let Command::RecordPayment { payment, outcome: Outcome::Succeeded(amount) } = &command {
            let name = payment.as_str().to_owned();
            let known = self.charged.iter().any(|(known, ..)| *known == name);
            if !known && self.order.placed().is_some() {
                self.charged.push((name, amount.amount(), amount.currency().code()));
            }
        }
        let granted = if let Command::Refund { amount } = &command { amount.amount() } else { 0 };
        if let Ok(events) = Order::decide(&self.order, command) {
            self.granted += granted;
            self.order = events.iter().fold(std::mem::take(&mut self.order), Order::evolve);
        }
    }

    fn step(&mut self, lost: bool) {
        let Some(step) = purchase::next(&self.order) else { return };
        let order = OrderId::from(Uuid::from_u128(5));
        let mut answers = Vec::new();
        for (book, command) in step.commands(order) {
            let name = (step.name(), book);
            if self.taken.contains(&name) {
                answers.push((book, Ok(())));
                continue;
            }
            let stock = self.stocks.entry(book).or_default();
            let decided = Stock::decide(stock, command);
            if let Ok(events) = &decided {
                *stock = events.iter().fold(std::mem::take(stock), Stock::evolve);
                self.taken.insert(name);
            }
            answers.push((book, decided.map(|_| ())));
        }
        let answer = step.answer(answers).expect("no stock refuses what it cannot");
        if !lost {
            self.send(Command::Answer(answer));
        }
    }

    fn check(&self) {
        let Some(placed) = self.order.placed() else { return };
        let charged: u64 =
            self.charged.iter().filter(|(.., currency)| *currency == "CNY").map(|(_, paid, _)| paid).sum();
        let kept = charged - placed.settlement.refunded(Currency::parse("CNY").unwrap()).amount();
        let due = match placed.status {
            Status::Paid | Status::Shipped => 80 - self.granted,
            // Kept until the stocks answer.
            Status::Pending => placed.settlement.taken().map_or(0, |(_, amount)| amount.amount()),
            _ => 0,
        };
        assert_eq!(kept, due, "{:?}", placed.status);
        let foreign: u64 =
            self.charged.iter().filter(|(.., currency)| *currency == "EUR").map(|(_, paid, _)| paid).sum();
        assert_eq!(placed.settlement.refunded(Currency::parse("EUR").unwrap()).amount(), foreign);
    }
}

fn any_move() -> impl Strategy<Value = Move> {
    let payment = prop_oneof![Just("a"), Just("b"), Just("c")];
    let amount = prop_oneof![6 => Just(cny(80)), 1 => Just(cny(79)), 1 => Just(eur(80))];
    let book = 1..=2_u64;
    let line = (book.clone(), 1..=3_u64, any::<bool>()).prop_map(|(n, copies, restock)| back(n, copies, restock));
    let customer = prop_oneof![
        3 => Just(place()),
        3 => (payment.clone(), amount).prop_map(|(payment, amount)| pay(payment, amount)),
        1 => payment.prop_map(fail),
        1 => Just(cancel()),
        1 => (0..2_000_i64).prop_map(|now| Command::Expire { now: Timestamp(now) }),
        2 => Just(Command::Ship),
        1 => (0..90_u64).prop_map(|amount| Command::Refund { amount: cny(amount) }),
        1 => proptest::collection::vec(line, 1..3).prop_map(|lines| Command::Return { lines }),
    ];
    prop_oneof![
        3 => customer.prop_map(Move::Customer),
        3 => any::<bool>().prop_map(|lost| Move::Step { lost }),
        1 => (book, -4..=8_i64).prop_map(|(book, delta)| Move::Adjust { book, delta }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nobody_is_cheated_and_no_hold_is_left(moves in proptest::collection::vec(any_move(), 1..40)) {
        let mut shop = Shop::default();
        for one in moves {
            match one {
                Move::Customer(command) => shop.send(command),
                Move::Step { lost } => shop.step(lost),
                Move::Adjust { book, delta } => {
                    let Ok(delta) = Delta::new(delta) else { continue };
                    let adjust = stock::Command::Adjust { delta, reason: Reason::parse("test").unwrap() };
                    let stock = shop.stocks.entry(id(book)).or_default();
                    if let Ok(events) = Stock::decide(stock, adjust) {
                        *stock = events.iter().fold(std::mem::take(stock), Stock::evolve);
                    }
                }
            }
            shop.check();
        }
        for _ in 0..10 {
            shop.step(false);
            shop.check();
        }
        prop_assert_eq!(purchase::next(&shop.order), None, "steps come to an end");
        let Some(placed) = shop.order.placed() else { return Ok(()) };
        let waiting = placed.status == Status::AwaitingPayment;
        for line in placed.placement.lines.as_slice() {
            let stock = &shop.stocks[&line.book];
            let expected = if waiting { line.quantity.get() } else { 0 };
            prop_assert_eq!(stock.figures().reserved, expected, "{:?}", placed.status);
        }
    }
}
