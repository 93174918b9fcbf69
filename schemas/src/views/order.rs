//! The rows of an order: as it is now, and event by event.

use super::{Row, TableRow};
use crate::api::money::Money;
use crate::api::order::{HistoryItem, Order, OrderLine, Status};
use crate::timestamp;
use domain::money::MAX_AMOUNT;
use domain::order::lines::Lines;
use domain::order::{OrderId, Placement};
use domain::timestamp::Timestamp;
use domain::{money, order};
use serde::{Deserialize, Serialize};

/// An order as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderRow {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub customer_id: String,
    /// As in the API.
    pub status: String,
    /// Minor units.
    pub total: i64,
    /// Minor units that went back.
    pub refunded: i64,
    /// ISO 4217 code of both.
    pub currency: String,
    /// In microseconds since 1970.
    pub pay_by: i64,
    /// The payment that was taken.
    pub payment_id: Option<String>,
    /// A JSON array of lines, as in the API.
    pub lines: String,
    /// How many events the order has.
    pub revision: i64,
    /// The position of its first event: the order of listing.
    pub placed_at: i64,
}

impl Row for OrderRow {
    const NAME: &'static str = "orders";
    const KEY: &'static [&'static str] = &["id"];
}

impl TableRow for OrderRow {
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("id", "TEXT"),
        ("customer_id", "TEXT"),
        ("status", "TEXT"),
        ("total", "BIGINT"),
        ("refunded", "BIGINT"),
        ("currency", "TEXT"),
        ("pay_by", "BIGINT"),
        ("payment_id", "TEXT"),
        ("lines", "TEXT"),
        ("revision", "BIGINT"),
        ("placed_at", "BIGINT"),
    ];
    const INDEXES: &'static [&'static [&'static str]] = &[
        &["placed_at"],
        &["status", "placed_at"],
        &["customer_id", "placed_at"],
        &["customer_id", "status", "placed_at"],
    ];
}

impl OrderRow {
    /// An order that was placed at position `placed_at`.
    pub fn new(id: OrderId, placement: &Placement, status: order::Status, placed_at: u64) -> Self {
        let total = placement.lines.total();
        Self {
            id: id.to_string(),
            customer_id: placement.customer.0.to_string(),
            status: Status::from(status).name().to_owned(),
            total: total.amount().cast_signed(),
            refunded: 0,
            currency: total.currency().code().to_owned(),
            pay_by: placement.pay_by.0,
            payment_id: None,
            lines: lines(&placement.lines),
            revision: 1,
            placed_at: placed_at.cast_signed(),
        }
    }

    /// Puts another status into its column.
    pub fn status(&mut self, status: order::Status) {
        Status::from(status).name().clone_into(&mut self.status);
    }

    /// Adds what went back, as far as it is in the order's currency.
    pub fn refund(&mut self, amount: money::Money) {
        if amount.currency().code() == self.currency {
            let refunded = self.refunded.cast_unsigned() + amount.amount();
            self.refunded = refunded.min(MAX_AMOUNT).cast_signed();
        }
    }

    /// The body that shows the row; fails only on a row that this type did not write.
    pub fn body(self) -> Result<Order, serde_json::Error> {
        let money = |amount: i64| Money { amount: amount.cast_unsigned(), currency: self.currency.clone() };
        Ok(Order {
            id: self.id.parse().map_err(serde::de::Error::custom)?,
            status: serde_json::from_value(self.status.into())?,
            total: money(self.total),
            refunded: money(self.refunded),
            deadline: timestamp::text(Timestamp(self.pay_by)),
            revision: self.revision.cast_unsigned(),
            lines: serde_json::from_str(&self.lines)?,
            payment_id: self.payment_id,
        })
    }
}

fn lines(lines: &Lines) -> String {
    let lines: Vec<_> = lines.as_slice().iter().map(OrderLine::from).collect();
    serde_json::to_string(&lines).expect("strings and numbers can be written as JSON")
}

/// An event of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// Whose event it is.
    pub order_id: String,
    /// Its place in the order's stream.
    pub revision: i64,
    /// Its place in the log.
    pub position: i64,
    /// Such as `OrderPlaced`.
    pub event_type: String,
    /// When it was decided, in microseconds since 1970.
    pub recorded_at: i64,
    /// What it says, as it is stored.
    pub data: String,
}

impl Row for HistoryRow {
    const NAME: &'static str = "order_history";
    const KEY: &'static [&'static str] = &["order_id", "revision"];
}

impl TableRow for HistoryRow {
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("order_id", "TEXT"),
        ("revision", "BIGINT"),
        ("position", "BIGINT"),
        ("event_type", "TEXT"),
        ("recorded_at", "BIGINT"),
        ("data", "TEXT"),
    ];
    const INDEXES: &'static [&'static [&'static str]] = &[];
}

impl HistoryRow {
    /// The body that shows the row; fails only on a row that this type did not write.
    pub fn body(self) -> Result<HistoryItem, serde_json::Error> {
        Ok(HistoryItem {
            revision: self.revision.cast_unsigned(),
            position: self.position.cast_unsigned(),
            event_type: self.event_type,
            at: timestamp::text(Timestamp(self.recorded_at)),
            data: serde_json::from_str(&self.data)?,
        })
    }
}
