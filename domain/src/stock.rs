//! The copies of one book at one location: counted, adjusted, held for orders, and given to them.
//!
//! Available never falls below zero: whatever order commands come in, no copy is promised twice.

use crate::decider::Decider;
use crate::invalid::{Invalid, text};
use crate::order::OrderId;
use std::collections::BTreeMap;

/// Where copies lie. There is one location to begin with, [`Location::main`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location(String);

impl Location {
    /// The location of every shop that has only one.
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// 1–40 of `a-z`, `0-9` and `_`, so that a stream can carry it in its name.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        let fits = (1..=40).contains(&input.len())
            && input.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if fits { Ok(Self(input.to_owned())) } else { Err(Invalid::Location) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A number of copies, 0 … 10^9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Copies(u64);

impl Copies {
    /// As many as one book may have at one location.
    pub const MAX: Self = Self(1_000_000_000);

    /// Fails above [`Copies::MAX`].
    pub fn new(copies: u64) -> Result<Self, Invalid> {
        if copies > Self::MAX.0 { Err(Invalid::Copies) } else { Ok(Self(copies)) }
    }

    /// How many.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// A change of the copies on hand: −10^9 … 10^9, not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delta(i64);

impl Delta {
    /// Fails on 0 and beyond 10^9.
    pub fn new(delta: i64) -> Result<Self, Invalid> {
        if delta == 0 || delta.unsigned_abs() > Copies::MAX.0 { Err(Invalid::Delta) } else { Ok(Self(delta)) }
    }

    /// Copies that came (above zero) or went (below).
    pub fn get(self) -> i64 {
        self.0
    }
}

/// Why copies were adjusted, 1–200 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// Fails on blank, long or unprintable text.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        text(input, 200, Invalid::ReasonLength).map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The figures of a stock. Every event carries those after it, so that a ledger needs no sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Copies that lie there.
    pub on_hand: u64,
    /// Copies of them that orders hold.
    pub reserved: u64,
}

impl Figures {
    /// Copies that can still be held.
    pub fn available(self) -> u64 {
        self.on_hand - self.reserved
    }
}

/// The aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stock {
    revision: u64,
    figures: Figures,
    holds: BTreeMap<OrderId, Copies>,
}

impl Stock {
    /// A stock as it was recorded after `revision` events. Checks nothing: it happened.
    pub fn recorded(revision: u64, figures: Figures, holds: impl IntoIterator<Item = (OrderId, Copies)>) -> Self {
        Self { revision, figures, holds: holds.into_iter().collect() }
    }

    /// How many events it has.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What orders hold, by order.
    pub fn holds(&self) -> impl Iterator<Item = (OrderId, Copies)> {
        self.holds.iter().map(|(order, copies)| (*order, *copies))
    }

    /// Copies on hand and reserved.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// The copies that `order` holds.
    pub fn hold(&self, order: OrderId) -> Option<Copies> {
        self.holds.get(&order).copied()
    }
}

/// What can be asked of a stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Copies came or went outside orders: a delivery, a loss, a find.
    Adjust {
        /// How many.
        delta: Delta,
        /// Why.
        reason: Reason,
    },
    /// Somebody counted the copies on the shelf.
    Count {
        /// How many there were.
        on_hand: Copies,
        /// The stock's revision when they were counted.
        taken_at: u64,
    },
    /// Hold copies for an order.
    Reserve {
        /// The order, which holds at most once.
        order: OrderId,
        /// How many.
        copies: Copies,
    },
    /// The held copies leave with the order.
    Commit {
        /// The order that holds them.
        order: OrderId,
    },
    /// The held copies may be sold again.
    Release {
        /// The order that holds them.
        order: OrderId,
    },
    /// Copies that left with an order come back, and may be sold again.
    TakeBack {
        /// The order that they left with.
        order: OrderId,
        /// How many.
        copies: Copies,
    },
}

/// What happens to a stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it was.
    pub movement: Movement,
    /// The figures after it.
    pub after: Figures,
}

/// What moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Movement {
    /// Copies came or went outside orders.
    Adjusted {
        /// How many.
        delta: Delta,
        /// Why.
        reason: Reason,
    },
    /// The copies on hand were set to what was counted.
    Counted {
        /// The stock's revision when they were counted.
        taken_at: u64,
    },
    /// An order holds copies.
    Reserved {
        /// Which order.
        order: OrderId,
        /// How many.
        copies: Copies,
    },
    /// Held copies left with their order.
    Committed {
        /// Which order.
        order: OrderId,
    },
    /// Held copies may be sold again.
    Released {
        /// Which order.
        order: OrderId,
    },
    /// Copies that had left with an order came back.
    TakenBack {
        /// Which order.
        order: OrderId,
        /// How many.
        copies: Copies,
    },
}

/// Why a stock refuses a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No copy is promised twice.
    #[error("{requested} copies were asked for, {available} are available")]
    NotEnoughStock {
        /// Copies neither held nor gone.
        available: u64,
        /// Copies asked for.
        requested: u64,
    },
    /// A count cannot take away what orders hold.
    #[error("{on_hand} copies were counted, but orders hold {reserved}")]
    BelowReserved {
        /// Copies that orders hold.
        reserved: u64,
        /// Copies counted.
        on_hand: u64,
    },
    /// There may be at most 10^9 copies.
    #[error("a stock holds at most 1000000000 copies")]
    TooManyCopies,
    /// The stock moved since the count.
    #[error("the count was taken at revision {taken_at}, the stock is at {revision}")]
    CountOutdated {
        /// When it was counted.
        taken_at: u64,
        /// Where the stock is.
        revision: u64,
    },
    /// Nothing cannot be held.
    #[error("a hold is of at least one copy")]
    EmptyHold,
    /// One hold per order.
    #[error("the order holds copies of this book already")]
    HeldAlready,
    /// What is not held can be neither committed nor released.
    #[error("the order holds no copies of this book")]
    NoHold,
}

impl Decider for Stock {
    type State = Self;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(stock: &Stock, command: Command) -> Result<Vec<Event>, Rejection> {
        let Figures { on_hand, reserved } = stock.figures;
        let event = match command {
            Command::Adjust { delta, reason } => Event {
                after: Figures { on_hand: adjusted(stock.figures, delta)?, reserved },
                movement: Movement::Adjusted { delta, reason },
            },
            Command::Count { taken_at, .. } if taken_at != stock.revision => {
                return Err(Rejection::CountOutdated { taken_at, revision: stock.revision });
            }
            Command::Count { on_hand: Copies(counted), .. } if counted < reserved => {
                return Err(Rejection::BelowReserved { reserved, on_hand: counted });
            }
            Command::Count { on_hand: Copies(counted), taken_at } => {
                Event { movement: Movement::Counted { taken_at }, after: Figures { on_hand: counted, reserved } }
            }
            Command::Reserve { copies: Copies(0), .. } => return Err(Rejection::EmptyHold),
            Command::Reserve { order, .. } if stock.holds.contains_key(&order) => return Err(Rejection::HeldAlready),
            Command::Reserve { copies: Copies(requested), .. } if requested > stock.figures.available() => {
                return Err(Rejection::NotEnoughStock { available: stock.figures.available(), requested });
            }
            Command::Reserve { order, copies } => Event {
                movement: Movement::Reserved { order, copies },
                after: Figures { on_hand, reserved: reserved + copies.0 },
            },
            Command::Commit { order } => {
                let Copies(held) = stock.hold(order).ok_or(Rejection::NoHold)?;
                let after = Figures { on_hand: on_hand - held, reserved: reserved - held };
                Event { movement: Movement::Committed { order }, after }
            }
            Command::Release { order } => {
                let Copies(held) = stock.hold(order).ok_or(Rejection::NoHold)?;
                let after = Figures { on_hand, reserved: reserved - held };
                Event { movement: Movement::Released { order }, after }
            }
            Command::TakeBack { order, copies } => {
                let on_hand = on_hand + copies.0;
                if on_hand > Copies::MAX.0 {
                    return Err(Rejection::TooManyCopies);
                }
                Event { movement: Movement::TakenBack { order, copies }, after: Figures { on_hand, reserved } }
            }
        };
        Ok(vec![event])
    }

    fn evolve(stock: Stock, event: &Event) -> Stock {
        let mut holds = stock.holds;
        match event.movement {
            Movement::Reserved { order, copies } => {
                holds.insert(order, copies);
            }
            Movement::Committed { order } | Movement::Released { order } => {
                holds.remove(&order);
            }
            Movement::Adjusted { .. } | Movement::Counted { .. } | Movement::TakenBack { .. } => {}
        }
        Stock { revision: stock.revision + 1, figures: event.after, holds }
    }
}

fn adjusted(figures: Figures, Delta(delta): Delta) -> Result<u64, Rejection> {
    let copies = delta.unsigned_abs();
    if delta > 0 {
        let on_hand = figures.on_hand + copies;
        return if on_hand > Copies::MAX.0 { Err(Rejection::TooManyCopies) } else { Ok(on_hand) };
    }
    if copies > figures.available() {
        return Err(Rejection::NotEnoughStock { available: figures.available(), requested: copies });
    }
    Ok(figures.on_hand - copies)
}

#[cfg(test)]
mod tests;
