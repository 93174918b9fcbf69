//! Bodies about stock.

use domain::invalid::Invalid;
use domain::stock::{Command, Delta, Figures, Reason};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Copies that came or went outside orders.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustStock {
    /// Copies that came (above zero) or went (below), −10^9 … 10^9, not 0.
    #[schema(example = 10, minimum = -1000000000, maximum = 1000000000)]
    pub delta: i64,
    /// Why, 1–200 characters.
    #[schema(example = "delivery of 24 November", min_length = 1, max_length = 200)]
    pub reason: String,
}

impl TryFrom<AdjustStock> for Command {
    type Error = Invalid;

    fn try_from(AdjustStock { delta, reason }: AdjustStock) -> Result<Self, Invalid> {
        Ok(Self::Adjust { delta: Delta::new(delta)?, reason: Reason::parse(&reason)? })
    }
}

/// Copies that were counted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CountStock {
    /// Copies that lie there, 0 … 10^9.
    #[schema(example = 42, maximum = 1000000000)]
    pub on_hand: u64,
}

/// The stock of a book: `on_hand` = `reserved` + `available`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stock {
    /// Copies that lie there.
    #[schema(example = 42)]
    pub on_hand: u64,
    /// Copies of them that orders hold.
    #[schema(example = 2)]
    pub reserved: u64,
    /// Copies that can still be ordered.
    #[schema(example = 40)]
    pub available: u64,
    /// How many movements there were; the entity tag.
    #[schema(example = 3)]
    pub revision: u64,
}

impl Stock {
    /// The stock as of a revision.
    pub fn new(figures: Figures, revision: u64) -> Self {
        Self { on_hand: figures.on_hand, reserved: figures.reserved, available: figures.available(), revision }
    }
}

/// A movement of a stock, with the figures after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Movement {
    /// Its number, from 1 on.
    #[schema(example = 1)]
    pub revision: u64,
    /// What it was.
    #[serde(rename = "type")]
    #[schema(example = "StockAdjusted")]
    pub event_type: String,
    /// Copies that lay there after it.
    #[schema(example = 10)]
    pub on_hand: u64,
    /// Copies of them that orders held after it.
    #[schema(example = 0)]
    pub reserved: u64,
    /// When it was decided (RFC 3339, UTC).
    #[schema(example = "2026-11-24T09:30:00.000000Z", format = DateTime)]
    pub at: String,
}
