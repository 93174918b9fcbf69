//! Commands to stocks, and how stocks refuse them.

use domain::invalid::Invalid;
use domain::stock::{self, Copies, Delta, Reason};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Command {
    Adjust { delta: i64, reason: String },
    Count { on_hand: u64, taken_at: u64 },
    Reserve { order_id: Uuid, copies: u64 },
    Commit { order_id: Uuid },
    Release { order_id: Uuid },
    TakeBack { order_id: Uuid, copies: u64 },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Rejection {
    NotEnoughStock { available: u64, requested: u64 },
    BelowReserved { reserved: u64, on_hand: u64 },
    TooManyCopies,
    CountOutdated { taken_at: u64, revision: u64 },
    EmptyHold,
    HeldAlready,
    NoHold,
}

impl From<&stock::Command> for Command {
    fn from(command: &stock::Command) -> Self {
        match command {
            stock::Command::Adjust { delta, reason } => {
                Self::Adjust { delta: delta.get(), reason: reason.as_str().to_owned() }
            }
            stock::Command::Count { on_hand, taken_at } => Self::Count { on_hand: on_hand.get(), taken_at: *taken_at },
            stock::Command::Reserve { order, copies } => {
                Self::Reserve { order_id: (*order).into(), copies: copies.get() }
            }
            stock::Command::Commit { order } => Self::Commit { order_id: (*order).into() },
            stock::Command::Release { order } => Self::Release { order_id: (*order).into() },
            stock::Command::TakeBack { order, copies } => {
                Self::TakeBack { order_id: (*order).into(), copies: copies.get() }
            }
        }
    }
}

impl Command {
    pub(super) fn read(self) -> Result<stock::Command, Invalid> {
        Ok(match self {
            Self::Adjust { delta, reason } => {
                stock::Command::Adjust { delta: Delta::new(delta)?, reason: Reason::parse(&reason)? }
            }
            Self::Count { on_hand, taken_at } => stock::Command::Count { on_hand: Copies::new(on_hand)?, taken_at },
            Self::Reserve { order_id, copies } => {
                stock::Command::Reserve { order: order_id.into(), copies: Copies::new(copies)? }
            }
            Self::Commit { order_id } => stock::Command::Commit { order: order_id.into() },
            Self::Release { order_id } => stock::Command::Release { order: order_id.into() },
            Self::TakeBack { order_id, copies } => {
                stock::Command::TakeBack { order: order_id.into(), copies: Copies::new(copies)? }
            }
        })
    }
}

impl From<&stock::Rejection> for Rejection {
    fn from(rejection: &stock::Rejection) -> Self {
        match *rejection {
            stock::Rejection::NotEnoughStock { available, requested } => Self::NotEnoughStock { available, requested },
            stock::Rejection::BelowReserved { reserved, on_hand } => Self::BelowReserved { reserved, on_hand },
            stock::Rejection::TooManyCopies => Self::TooManyCopies,
            stock::Rejection::CountOutdated { taken_at, revision } => Self::CountOutdated { taken_at, revision },
            stock::Rejection::EmptyHold => Self::EmptyHold,
            stock::Rejection::HeldAlready => Self::HeldAlready,
            stock::Rejection::NoHold => Self::NoHold,
        }
    }
}

impl From<Rejection> for stock::Rejection {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NotEnoughStock { available, requested } => Self::NotEnoughStock { available, requested },
            Rejection::BelowReserved { reserved, on_hand } => Self::BelowReserved { reserved, on_hand },
            Rejection::TooManyCopies => Self::TooManyCopies,
            Rejection::CountOutdated { taken_at, revision } => Self::CountOutdated { taken_at, revision },
            Rejection::EmptyHold => Self::EmptyHold,
            Rejection::HeldAlready => Self::HeldAlready,
            Rejection::NoHold => Self::NoHold,
        }
    }
}
