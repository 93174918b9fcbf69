//! Rejections as they go from node to node: a rule that said no, with what it says.

use domain::Rejection;
use domain::money::Currency;
use domain::{book, order, stock};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A rejection, as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
enum RejectionV1 {
    Misdirected,
    IsbnTaken,
    BookNotRegistered,
    BookRetired,
    NotEnoughStock { available: u64, requested: u64 },
    BelowReserved { reserved: u64, on_hand: u64 },
    TooManyCopies,
    CountOutdated { taken_at: u64, revision: u64 },
    EmptyHold,
    HeldAlready,
    NoHold,
    OrderNotPlaced,
    OrderPlacedAlready,
    OrderNotPaid,
    OrderShipped,
    OrderEnded,
    EmptyRefund,
    RefundCurrency { currency: String },
    RefundTooLarge { left: u64, requested: u64 },
    ReturnTooLarge { book_id: Uuid, left: u64, requested: u64 },
}

/// Writes a rejection.
pub fn encode(rejection: &Rejection) -> Vec<u8> {
    let twin = match rejection {
        Rejection::Misdirected => RejectionV1::Misdirected,
        Rejection::Book(book::Rejection::IsbnTaken) => RejectionV1::IsbnTaken,
        Rejection::Book(book::Rejection::NotRegistered) => RejectionV1::BookNotRegistered,
        Rejection::Book(book::Rejection::Retired) => RejectionV1::BookRetired,
        Rejection::Stock(rejection) => of_stock(rejection),
        Rejection::Order(rejection) => of_order(rejection),
    };
    serde_json::to_vec(&twin).expect("strings and numbers can be written as JSON")
}

fn of_stock(rejection: &stock::Rejection) -> RejectionV1 {
    match *rejection {
        stock::Rejection::NotEnoughStock { available, requested } => {
            RejectionV1::NotEnoughStock { available, requested }
        }
        stock::Rejection::BelowReserved { reserved, on_hand } => RejectionV1::BelowReserved { reserved, on_hand },
        stock::Rejection::TooManyCopies => RejectionV1::TooManyCopies,
        stock::Rejection::CountOutdated { taken_at, revision } => RejectionV1::CountOutdated { taken_at, revision },
        stock::Rejection::EmptyHold => RejectionV1::EmptyHold,
        stock::Rejection::HeldAlready => RejectionV1::HeldAlready,
        stock::Rejection::NoHold => RejectionV1::NoHold,
    }
}

fn of_order(rejection: &order::Rejection) -> RejectionV1 {
    match *rejection {
        order::Rejection::NotPlaced => RejectionV1::OrderNotPlaced,
        order::Rejection::PlacedAlready => RejectionV1::OrderPlacedAlready,
        order::Rejection::NotPaid => RejectionV1::OrderNotPaid,
        order::Rejection::Shipped => RejectionV1::OrderShipped,
        order::Rejection::Ended => RejectionV1::OrderEnded,
        order::Rejection::EmptyRefund => RejectionV1::EmptyRefund,
        order::Rejection::RefundCurrency(currency) => RejectionV1::RefundCurrency { currency: currency.to_owned() },
        order::Rejection::RefundTooLarge { left, requested } => RejectionV1::RefundTooLarge { left, requested },
        order::Rejection::ReturnTooLarge { book, left, requested } => {
            RejectionV1::ReturnTooLarge { book_id: book.into(), left, requested }
        }
    }
}

/// Reads a rejection; none if this version does not know its rule.
pub fn decode(data: &[u8]) -> Option<Rejection> {
    Some(match serde_json::from_slice(data).ok()? {
        RejectionV1::Misdirected => Rejection::Misdirected,
        RejectionV1::IsbnTaken => book::Rejection::IsbnTaken.into(),
        RejectionV1::BookNotRegistered => book::Rejection::NotRegistered.into(),
        RejectionV1::BookRetired => book::Rejection::Retired.into(),
        RejectionV1::NotEnoughStock { available, requested } => {
            stock::Rejection::NotEnoughStock { available, requested }.into()
        }
        RejectionV1::BelowReserved { reserved, on_hand } => {
            stock::Rejection::BelowReserved { reserved, on_hand }.into()
        }
        RejectionV1::TooManyCopies => stock::Rejection::TooManyCopies.into(),
        RejectionV1::CountOutdated { taken_at, revision } => {
            stock::Rejection::CountOutdated { taken_at, revision }.into()
        }
        RejectionV1::EmptyHold => stock::Rejection::EmptyHold.into(),
        RejectionV1::HeldAlready => stock::Rejection::HeldAlready.into(),
        RejectionV1::NoHold => stock::Rejection::NoHold.into(),
        RejectionV1::OrderNotPlaced => order::Rejection::NotPlaced.into(),
        RejectionV1::OrderPlacedAlready => order::Rejection::PlacedAlready.into(),
        RejectionV1::OrderNotPaid => order::Rejection::NotPaid.into(),
        RejectionV1::OrderShipped => order::Rejection::Shipped.into(),
        RejectionV1::OrderEnded => order::Rejection::Ended.into(),
        RejectionV1::EmptyRefund => order::Rejection::EmptyRefund.into(),
        RejectionV1::RefundCurrency { currency } => {
            order::Rejection::RefundCurrency(Currency::parse(&currency).ok()?.code()).into()
        }
        RejectionV1::RefundTooLarge { left, requested } => order::Rejection::RefundTooLarge { left, requested }.into(),
        RejectionV1::ReturnTooLarge { book_id, left, requested } => {
            order::Rejection::ReturnTooLarge { book: book_id.into(), left, requested }.into()
        }
    })
}
