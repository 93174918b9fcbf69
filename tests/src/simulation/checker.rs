//! Folds the log by itself, from its JSON, and knows nothing of how it came about.

use super::actors::Told;
use platform::event_log::RecordedEvent;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Stock {
    on_hand: i64,
    holds: BTreeMap<String, i64>,
    /// By order: copies that left with it, less those that came back.
    gone: BTreeMap<String, i64>,
}

/// An order as its events tell it.
#[derive(Default)]
pub struct Order {
    placed: u32,
    pub status: String,
    total: i64,
    lines: BTreeMap<String, i64>,
    returned: BTreeMap<String, i64>,
    charged: BTreeMap<String, i64>,
    refunded: BTreeMap<String, i64>,
    granted: i64,
    paid: u32,
    cancelled: u32,
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("expected a number, found {value}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("expected a text, found {value}")).to_owned()
}

/// Demands that everything adds up, and that nothing that was acknowledged is missing or there twice.
pub(super) fn check(events: &[RecordedEvent], told: &Told) {
    let orders = add_up(events);
    let acknowledged: BTreeSet<_> = told.orders.values().map(|answer| text(&answer["id"])).collect();
    assert_eq!(acknowledged.len(), told.orders.len(), "one key is one order");
    assert_eq!(acknowledged, orders.keys().cloned().collect(), "what was acknowledged is there, and nothing else");
    for ((id, payment), amount) in &told.payments {
        assert_eq!(orders[id].charged.get(payment), Some(amount), "the payment {payment} was taken in");
    }
    for id in &told.cancelled {
        assert_eq!(orders[id].cancelled, 1);
    }
    let reason = |event: &RecordedEvent| {
        let data: Value = serde_json::from_slice(&event.data).unwrap();
        data["reason"].as_str().map(str::to_owned)
    };
    let reasons: Vec<_> = events.iter().filter_map(reason).collect();
    for reason in &told.adjusted {
        assert_eq!(reasons.iter().filter(|made| *made == reason).count(), 1, "{reason} was made once");
    }
}

/// Demands that every stock adds up to the copy, and every order that has ended to the cent.
pub fn add_up(events: &[RecordedEvent]) -> BTreeMap<String, Order> {
    let mut stocks: BTreeMap<String, Stock> = BTreeMap::new();
    let mut orders: BTreeMap<String, Order> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for (place, event) in events.iter().enumerate() {
        assert_eq!(event.position.0, place as u64 + 1);
        assert!(ids.insert(event.envelope.id.0), "an event is there twice");
        let data: Value = serde_json::from_slice(&event.data).unwrap();
        let name = event.envelope.event_type.as_str();
        let stream = event.stream.as_str();
        if let Some(book) = stream.strip_prefix("stock-main-") {
            moved(stocks.entry(book.to_owned()).or_default(), name, &data);
        } else if let Some(id) = stream.strip_prefix("order-") {
            happened(orders.entry(id.to_owned()).or_default(), name, &data);
        }
    }
    for (id, order) in &orders {
        settled(id, order, &stocks);
    }
    for stock in stocks.values() {
        assert!(stock.holds.is_empty(), "an orphan hold: {:?}", stock.holds);
    }
    orders
}

fn moved(stock: &mut Stock, name: &str, data: &Value) {
    let order = || text(&data["order_id"]);
    match name {
        "StockAdjusted" => stock.on_hand += number(&data["delta"]),
        "StockCounted" => stock.on_hand = number(&data["on_hand"]),
        "StockReserved" => {
            assert!(stock.holds.insert(order(), number(&data["copies"])).is_none(), "held twice");
        }
        "StockCommitted" => {
            let copies = stock.holds.remove(&order()).expect("a commit without a hold");
            stock.on_hand -= copies;
            *stock.gone.entry(order()).or_default() += copies;
        }
        "StockReleased" => {
            stock.holds.remove(&order()).expect("a release without a hold");
        }
        "StockReturned" => {
            stock.on_hand += number(&data["copies"]);
            *stock.gone.entry(order()).or_default() -= number(&data["copies"]);
        }
        other => panic!("unheard of: {other}"),
    }
    let reserved: i64 = stock.holds.values().sum();
    assert!(reserved <= stock.on_hand, "oversold: {reserved} held of {}", stock.on_hand);
    assert_eq!((number(&data["on_hand"]), number(&data["reserved"])), (stock.on_hand, reserved), "after {name}");
}

fn happened(order: &mut Order, name: &str, data: &Value) {
    match name {
        "OrderPlaced" => {
            order.placed += 1;
            order.total = number(&data["total"]["amount"]);
            for line in data["lines"].as_array().unwrap() {
                order.lines.insert(text(&line["book_id"]), number(&line["quantity"]));
            }
        }
        "OrderPaymentRecorded" => {
            if let Some(amount) = data["outcome"].get("succeeded") {
                let known = order.charged.insert(text(&data["payment_id"]), number(&amount["amount"]));
                assert!(known.is_none(), "one payment is recorded once");
            }
        }
        "OrderRefunded" => {
            let amount = number(&data["amount"]["amount"]);
            *order.refunded.entry(text(&data["payment_id"])).or_default() += amount;
            if data["cause"] == "granted" {
                order.granted += amount;
            }
        }
        "OrderPaid" => order.paid += 1,
        "OrderCancelled" => order.cancelled += 1,
        "OrderReturned" => {
            for line in data["lines"].as_array().unwrap().iter().filter(|line| line["restock"] == true) {
                *order.returned.entry(text(&line["book_id"])).or_default() += number(&line["quantity"]);
            }
        }
        _ => {}
    }
    order.status = text(&data["status"]);
    for (payment, refunded) in &order.refunded {
        assert!(refunded <= &order.charged[payment], "more went back than was paid");
    }
}

/// An order has ended well: money and copies are where they belong.
fn settled(id: &str, order: &Order, stocks: &BTreeMap<String, Stock>) {
    let status = order.status.as_str();
    let terminal = ["rejected", "paid", "shipped", "payment_failed", "cancelled", "refunded"];
    assert!(terminal.contains(&status), "order {id} is {status} for ever");
    assert_eq!(order.placed, 1);
    assert!(order.paid <= 1 && order.cancelled <= 1);
    let charged: i64 = order.charged.values().sum();
    let refunded: i64 = order.refunded.values().sum();
    let kept = if matches!(status, "paid" | "shipped") { order.total - order.granted } else { 0 };
    assert_eq!(charged - refunded, kept, "order {id} is {status}");
    for (book, quantity) in &order.lines {
        let gone = stocks.get(book).and_then(|stock| stock.gone.get(id)).copied().unwrap_or_default();
        let back = order.returned.get(book).copied().unwrap_or_default();
        let expected = if order.paid == 1 { quantity - back } else { 0 };
        assert_eq!(gone, expected, "order {id} is {status}, copies of {book}");
    }
}
