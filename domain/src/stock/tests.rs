//! What a stock does, and that nothing it does promises a copy twice.

use super::*;
use crate::decider::fold;
use crate::given::given;
use proptest::prelude::*;
use uuid::Uuid;

const CASES: u64 = 12;

fn order(n: u64) -> OrderId {
    OrderId::from(Uuid::from_u64_pair(0, n))
}

fn adjust(delta: i64) -> Command {
    Command::Adjust { delta: Delta::new(delta).unwrap(), reason: Reason::parse("delivery").unwrap() }
}

fn count(on_hand: u64, taken_at: u64) -> Command {
    Command::Count { on_hand: Copies(on_hand), taken_at }
}

fn reserve(n: u64, copies: u64) -> Command {
    Command::Reserve { order: order(n), copies: Copies(copies) }
}

/// The events of commands that must all be accepted, one after the other.
fn events(commands: impl IntoIterator<Item = Command>) -> Vec<Event> {
    let mut events = Vec::new();
    for command in commands {
        events.extend(given::<Stock>(&events, command).unwrap());
    }
    events
}

/// The figures after an accepted command.
fn figures(events: &[Event], command: Command) -> Result<(u64, u64), Rejection> {
    let decided = given::<Stock>(events, command)?;
    Ok((decided[0].after.on_hand, decided[0].after.reserved))
}

#[test]
fn copies_come_and_go() {
    assert_eq!(figures(&[], adjust(10)), Ok((10, 0)));
    assert_eq!(figures(&events([adjust(10)]), adjust(-10)), Ok((0, 0)));
}

#[test]
fn no_more_go_than_are_available() {
    let held = events([adjust(10), reserve(1, 4)]);
    assert_eq!(figures(&held, adjust(-6)), Ok((4, 4)));
    assert_eq!(figures(&held, adjust(-7)), Err(Rejection::NotEnoughStock { available: 6, requested: 7 }));
    assert_eq!(figures(&held, reserve(2, 7)), Err(Rejection::NotEnoughStock { available: 6, requested: 7 }));
    assert_eq!(figures(&[], adjust(-1)), Err(Rejection::NotEnoughStock { available: 0, requested: 1 }));
}

#[test]
fn a_stock_is_bounded() {
    let full = events([adjust(1_000_000_000)]);
    assert_eq!(figures(&full, adjust(1)), Err(Rejection::TooManyCopies));
    assert_eq!(Copies::new(1_000_000_001), Err(Invalid::Copies));
    for delta in [0, 1_000_000_001, -1_000_000_001, i64::MIN, i64::MAX] {
        assert_eq!(Delta::new(delta), Err(Invalid::Delta));
    }
}

#[test]
fn a_count_carries_the_revision_it_was_taken_at() {
    let two = events([adjust(10), adjust(-1)]);
    let counted = given::<Stock>(&two, count(8, 2)).unwrap();
    assert_eq!(counted[0].movement, Movement::Counted { taken_at: 2 });
    assert_eq!(counted[0].after, Figures { on_hand: 8, reserved: 0 });
    assert_eq!(given::<Stock>(&two, count(8, 1)), Err(Rejection::CountOutdated { taken_at: 1, revision: 2 }));
    assert_eq!(figures(&[], count(5, 0)), Ok((5, 0)));
}

#[test]
fn a_count_cannot_take_away_what_orders_hold() {
    let held = events([adjust(10), reserve(1, 4)]);
    assert_eq!(figures(&held, count(4, 2)), Ok((4, 4)));
    assert_eq!(figures(&held, count(3, 2)), Err(Rejection::BelowReserved { reserved: 4, on_hand: 3 }));
}

#[test]
fn a_hold_is_committed_or_released_once() {
    let held = events([adjust(10), reserve(1, 4)]);
    assert_eq!(figures(&held, Command::Commit { order: order(1) }), Ok((6, 0)));
    assert_eq!(figures(&held, Command::Release { order: order(1) }), Ok((10, 0)));
    let released = events([adjust(10), reserve(1, 4), Command::Release { order: order(1) }]);
    assert_eq!(figures(&released, Command::Commit { order: order(1) }), Err(Rejection::NoHold));
    assert_eq!(figures(&released, Command::Release { order: order(1) }), Err(Rejection::NoHold));
    assert_eq!(figures(&held, Command::Commit { order: order(2) }), Err(Rejection::NoHold));
}

#[test]
fn copies_that_left_with_an_order_come_back() {
    let gone = events([adjust(10), reserve(1, 4), Command::Commit { order: order(1) }]);
    assert_eq!(figures(&gone, Command::TakeBack { order: order(1), copies: Copies(3) }), Ok((9, 0)));
    let full = events([adjust(1_000_000_000)]);
    let one_more = Command::TakeBack { order: order(1), copies: Copies(1) };
    assert_eq!(figures(&full, one_more), Err(Rejection::TooManyCopies));
}

#[test]
fn an_order_holds_once_and_at_least_one_copy() {
    let held = events([adjust(10), reserve(1, 4)]);
    assert_eq!(figures(&held, reserve(1, 1)), Err(Rejection::HeldAlready));
    assert_eq!(figures(&held, reserve(2, 0)), Err(Rejection::EmptyHold));
    assert_eq!(fold::<Stock>(&held).hold(order(1)), Some(Copies(4)));
}

#[test]
fn a_location_fits_into_the_name_of_a_stream() {
    assert_eq!(Location::parse("west_2").unwrap().as_str(), "west_2");
    for input in ["", "West", "a-b", "a b", "ä", &"a".repeat(41)] {
        assert_eq!(Location::parse(input), Err(Invalid::Location), "{input}");
    }
}

/// Any command: few orders, so that they meet; figures near the bounds, so that they are hit.
fn any_command() -> impl Strategy<Value = Command> {
    let amount = prop_oneof![4 => 1..CASES, 1 => 999_999_990..=1_000_000_000_u64];
    let one_order = (0..4_u64).prop_map(order);
    prop_oneof![
        amount.clone().prop_map(|copies| adjust(copies.cast_signed())),
        amount.clone().prop_map(|copies| adjust(-copies.cast_signed())),
        (0..CASES, 0..40_u64).prop_map(|(on_hand, taken_at)| count(on_hand, taken_at)),
        (one_order.clone(), amount).prop_map(|(order, copies)| Command::Reserve { order, copies: Copies(copies) }),
        one_order.clone().prop_map(|order| Command::Commit { order }),
        one_order.clone().prop_map(|order| Command::Release { order }),
        (one_order, 1..CASES).prop_map(|(order, copies)| Command::TakeBack { order, copies: Copies(copies) }),
    ]
}

proptest! {
    #[test]
    fn no_copy_is_ever_promised_twice(commands in proptest::collection::vec(any_command(), 1..60)) {
        let mut stock = Stock::default();
        for command in commands {
            // A count taken now, for some of the counts, so that they fit.
            let command = match command {
                Command::Count { on_hand, taken_at } if taken_at % 2 == 0 => {
                    Command::Count { on_hand, taken_at: stock.revision }
                }
                command => command,
            };
            let before = stock.clone();
            let Ok(decided) = Stock::decide(&stock, command.clone()) else { continue };
            prop_assert_eq!(decided.len(), 1);
            stock = decided.iter().fold(stock, Stock::evolve);
            let Figures { on_hand, reserved } = stock.figures();
            let held: u64 = stock.holds.values().map(|copies| copies.get()).sum();
            prop_assert!(reserved <= on_hand, "available would be below zero");
            prop_assert_eq!(on_hand, reserved + stock.figures().available());
            prop_assert_eq!(reserved, held, "what is reserved is what orders hold");
            prop_assert!(on_hand <= Copies::MAX.get());
            prop_assert_eq!(stock.revision, before.revision + 1);
            match (command, &decided[0].movement) {
                (Command::Count { on_hand: counted, taken_at }, Movement::Counted { taken_at: recorded }) => {
                    prop_assert_eq!(taken_at, before.revision);
                    prop_assert_eq!(taken_at, *recorded);
                    prop_assert_eq!(on_hand, counted.get());
                }
                (Command::Adjust { delta, .. }, _) => {
                    prop_assert_eq!(on_hand.cast_signed(), before.figures.on_hand.cast_signed() + delta.get());
                }
                (Command::Reserve { copies, .. }, _) => {
                    prop_assert_eq!(stock.figures.available() + copies.get(), before.figures.available());
                }
                (Command::Commit { .. }, _) => prop_assert_eq!(stock.figures.available(), before.figures.available()),
                (Command::TakeBack { copies, .. }, _) => {
                    prop_assert_eq!(on_hand, before.figures.on_hand + copies.get());
                }
                (Command::Release { order }, _) => {
                    let freed = before.hold(order).map(Copies::get);
                    prop_assert_eq!(Some(stock.figures.available() - before.figures.available()), freed);
                }
                (command, movement) => prop_assert!(false, "{:?} came to {:?}", command, movement),
            }
        }
    }
}
