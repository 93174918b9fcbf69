//! Bodies about orders.

use super::money::Money;
use crate::http::object::Object;
use crate::timestamp;
use domain::book::BookId;
use domain::invalid::Invalid;
use domain::order::holds::ReturnedLine;
use domain::order::lines::{LINES_MAX, Line, Quantity};
use domain::order::placed::Placed;
use domain::order::{self, CancellationReason, OrderId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderStatus)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Placed; whether there are enough copies is not decided yet.
    Pending,
    /// There were not enough copies.
    Rejected,
    /// Its copies are held until it is paid, or its deadline passes.
    AwaitingPayment,
    /// Its copies are its own.
    Paid,
    /// On its way to the customer.
    Shipped,
    /// The provider could not charge the customer.
    PaymentFailed,
    /// Ended before it was paid.
    Cancelled,
    /// All of its money went back.
    Refunded,
}

impl Status {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::AwaitingPayment => "awaiting_payment",
            Self::Paid => "paid",
            Self::Shipped => "shipped",
            Self::PaymentFailed => "payment_failed",
            Self::Cancelled => "cancelled",
            Self::Refunded => "refunded",
        }
    }
}

impl From<order::Status> for Status {
    fn from(status: order::Status) -> Self {
        match status {
            order::Status::Pending => Self::Pending,
            order::Status::Rejected => Self::Rejected,
            order::Status::AwaitingPayment => Self::AwaitingPayment,
            order::Status::Paid => Self::Paid,
            order::Status::Shipped => Self::Shipped,
            order::Status::PaymentFailed => Self::PaymentFailed,
            order::Status::Cancelled => Self::Cancelled,
            order::Status::Refunded => Self::Refunded,
        }
    }
}

impl From<Status> for order::Status {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending => Self::Pending,
            Status::Rejected => Self::Rejected,
            Status::AwaitingPayment => Self::AwaitingPayment,
            Status::Paid => Self::Paid,
            Status::Shipped => Self::Shipped,
            Status::PaymentFailed => Self::PaymentFailed,
            Status::Cancelled => Self::Cancelled,
            Status::Refunded => Self::Refunded,
        }
    }
}

/// What a customer orders.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceOrder {
    /// 1–1,000 lines; the same book on several lines is summed.
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Vec<OrderedLine>,
}

/// Copies of one book.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(from = "Object<OrderedFields>")]
pub struct OrderedLine {
    /// Which book.
    pub book_id: Uuid,
    /// How many copies, 1–1,000,000.
    #[schema(example = 2, minimum = 1, maximum = 1000000)]
    pub quantity: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderedFields {
    book_id: Uuid,
    quantity: u64,
}

impl From<Object<OrderedFields>> for OrderedLine {
    fn from(Object(OrderedFields { book_id, quantity }): Object<OrderedFields>) -> Self {
        Self { book_id, quantity }
    }
}

/// An order that was placed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlacedOrder {
    /// Its id.
    pub id: Uuid,
    /// Where it stands.
    pub status: Status,
    /// What its lines cost together.
    pub total: Money,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Order {
    /// Its id.
    pub id: Uuid,
    /// Where it stands.
    pub status: Status,
    /// What its lines cost together.
    pub total: Money,
    /// All that went back to the customer, in the order's currency: refunds of the order, and payments that could not be taken.
    pub refunded: Money,
    /// Until when it has to be paid (RFC 3339).
    #[schema(example = "2026-11-25T06:30:00.000000Z", format = DateTime)]
    pub deadline: String,
    /// How many events it has; the entity tag.
    #[schema(example = 3)]
    pub revision: u64,
    /// Each book once, with title and price as at ordering.
    pub lines: Vec<OrderLine>,
    /// The payment that was taken for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<String>,
}

/// One book of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OrderLine {
    /// Which book.
    pub book_id: Uuid,
    /// How many copies.
    #[schema(example = 2)]
    pub quantity: u64,
    /// Its title when it was ordered.
    pub title: String,
    /// What one copy cost then.
    pub unit_price: Money,
}

impl From<&Line> for OrderLine {
    fn from(line: &Line) -> Self {
        Self {
            book_id: line.book.into(),
            quantity: line.quantity.get(),
            title: line.title.as_str().to_owned(),
            unit_price: (&line.unit_price).into(),
        }
    }
}

impl Order {
    /// The order as of a revision.
    pub fn new(id: OrderId, placed: &Placed, revision: u64) -> Self {
        let lines = &placed.placement.lines;
        Self {
            id: id.into(),
            status: placed.status.into(),
            total: (&lines.total()).into(),
            refunded: (&placed.settlement.refunded(lines.total().currency())).into(),
            deadline: timestamp::text(placed.placement.pay_by),
            revision,
            lines: lines.as_slice().iter().map(OrderLine::from).collect(),
            payment_id: placed.settlement.taken().map(|(payment, _)| payment.as_str().to_owned()),
        }
    }
}

/// A cancellation.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelOrder {
    /// Why.
    #[serde(default)]
    pub reason: Option<Reason>,
}

/// Why a customer cancels. There is no free text: personal data stay off the log.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = CancellationReason)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The customer wants it no more.
    ChangedMind,
    /// The customer never wanted it.
    OrderedByMistake,
    /// It took too long.
    TooSlow,
    /// Anything else.
    Other,
}

impl From<Reason> for CancellationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::ChangedMind => Self::ChangedMind,
            Reason::OrderedByMistake => Self::OrderedByMistake,
            Reason::TooSlow => Self::TooSlow,
            Reason::Other => Self::Other,
        }
    }
}

/// A shipment; nothing has to be said.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShipOrder {}

/// Money that goes back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundOrder {
    /// How much: at most what was paid and has not gone back.
    pub amount: Money,
}

/// Copies that come back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnCopies {
    /// 1–1,000 lines.
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Vec<ReturnLine>,
}

/// Copies of one book that come back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(from = "Object<ReturnFields>")]
pub struct ReturnLine {
    /// Which book.
    pub book_id: Uuid,
    /// How many copies.
    #[schema(example = 1, minimum = 1, maximum = 1000000)]
    pub quantity: u64,
    /// Whether they can be sold again.
    pub restock: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReturnFields {
    book_id: Uuid,
    quantity: u64,
    restock: bool,
}

impl From<Object<ReturnFields>> for ReturnLine {
    fn from(Object(ReturnFields { book_id, quantity, restock }): Object<ReturnFields>) -> Self {
        Self { book_id, quantity, restock }
    }
}

impl TryFrom<ReturnCopies> for Vec<ReturnedLine> {
    type Error = Invalid;

    fn try_from(ReturnCopies { lines }: ReturnCopies) -> Result<Self, Invalid> {
        if !(1..=LINES_MAX).contains(&lines.len()) {
            return Err(Invalid::LineCount);
        }
        let line = |ReturnLine { book_id, quantity, restock }| {
            Ok(ReturnedLine { book: BookId::from(book_id), quantity: Quantity::new(quantity)?, restock })
        };
        lines.into_iter().map(line).collect()
    }
}

/// An event of an order.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HistoryItem {
    /// Its place in the order's history, from 1 on.
    #[schema(example = 1)]
    pub revision: u64,
    /// Its place in the log.
    #[schema(example = 42)]
    pub position: u64,
    /// What happened. The type of a refund, and of nothing else, contains `Refund`.
    #[serde(rename = "type")]
    #[schema(example = "OrderPlaced")]
    pub event_type: String,
    /// When it was decided (RFC 3339).
    #[schema(example = "2026-11-25T06:30:00.000000Z", format = DateTime)]
    pub at: String,
    /// What the event says, in the published schema of its type.
    pub data: serde_json::Value,
}
