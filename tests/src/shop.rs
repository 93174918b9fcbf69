//! What customers and their payment provider do to a server under test.

use crate::colophon::{Answer, Colophon, answer, book};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use platform::seam::Seam;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Bytes of the secret that the provider shares.
const SECRET: [u8; 24] = *b"a secret of 24 bytes ...";

/// The same as it is configured.
pub const SECRET_TEXT: &str = "whsec_YSBzZWNyZXQgb2YgMjQgYnl0ZXMgLi4u";

/// A server with a payment provider, whose orders have to be paid within so many seconds.
pub async fn open(hold_s: &str) -> Colophon {
    open_on(Arc::new(tempfile::tempdir().unwrap()), hold_s).await
}

pub async fn open_on(directory: Arc<TempDir>, hold_s: &str) -> Colophon {
    let environment = [("COLOPHON_PAYMENTS__WEBHOOK_SECRET", SECRET_TEXT), ("COLOPHON_ORDERS__HOLD_S", hold_s)];
    Colophon::start_with(directory, &[], &environment).await
}

/// One customer with his token.
pub struct Customer(String);

impl Customer {
    pub fn new(colophon: &Colophon, subject: &str) -> Self {
        let output = colophon.tool(&["token", "--subject", subject, "--role", "user"]);
        Self(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    pub fn request(&self, colophon: &Colophon, method: Method, path: &str) -> RequestBuilder {
        colophon.anonymous(method, path).bearer_auth(&self.0)
    }

    pub fn order_request(&self, colophon: &Colophon, key: &str, lines: &Value) -> RequestBuilder {
        self.request(colophon, Method::POST, "/v1/orders").header("Idempotency-Key", key).json(&json!({"lines": lines}))
    }

    /// Orders, and waits for the stocks' answer.
    pub async fn order(&self, colophon: &Colophon, key: &str, lines: &Value) -> Answer {
        answer(self.order_request(colophon, key, lines).header("Prefer", "wait=10")).await
    }

    /// An order that waits for its payment: its id.
    pub async fn held(&self, colophon: &Colophon, key: &str, book: &str, quantity: u64) -> String {
        let placed = self.order(colophon, key, &line(book, quantity)).await;
        assert_eq!((placed.status, placed.json()["status"].as_str().unwrap()), (201, "awaiting_payment"), "{placed:?}");
        placed.json()["id"].as_str().unwrap().to_owned()
    }

    pub async fn get(&self, colophon: &Colophon, path: &str) -> Answer {
        answer(self.request(colophon, Method::GET, path)).await
    }

    pub async fn cancel(&self, colophon: &Colophon, order: &str) -> Answer {
        let path = format!("/v1/orders/{order}/cancellation");
        answer(self.request(colophon, Method::POST, &path).json(&json!({"reason": "changed_mind"}))).await
    }
}

pub fn line(book: &str, quantity: u64) -> Value {
    json!([{"book_id": book, "quantity": quantity}])
}

/// A priced book with so many copies: its id.
pub async fn stocked(colophon: &Colophon, isbn: &str, price: u64, copies: i64) -> String {
    let mut body = book(isbn);
    body["price"] = json!({"amount": price, "currency": "CNY"});
    let registered = colophon.post("/v1/books", &body).await;
    assert_eq!(registered.status, 201, "{registered:?}");
    let id = registered.json()["id"].as_str().unwrap().to_owned();
    if copies > 0 {
        assert_eq!(colophon.adjust(&id, copies).await.status, 200);
    }
    id
}

/// The body of a callback.
pub fn payment(payment: &str, order: &str, outcome: &str, amount: u64, currency: &str) -> Value {
    json!({"payment_id": payment, "order_id": order, "outcome": outcome, "amount": {"amount": amount, "currency": currency}})
}

/// A signed callback, sent so many seconds late.
pub fn callback(colophon: &Colophon, message: &str, body: &Value, late_s: i64) -> RequestBuilder {
    let body = body.to_string();
    let now_s = Seam::system().clock.now().0 / 1_000_000 - late_s;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), format!("{message}.{now_s}.{body}").as_bytes());
    colophon
        .anonymous(Method::POST, "/v1/payments/callback")
        .header("Content-Type", "application/json")
        .header("webhook-id", message)
        .header("webhook-timestamp", now_s)
        .header("webhook-signature", format!("v1,bm90IHRoaXMgb25l v1,{}", STANDARD.encode(tag)))
        .body(body)
}

/// Pays in full.
pub async fn pay(colophon: &Colophon, name: &str, order: &str, amount: u64) -> Answer {
    let body = payment(name, order, "succeeded", amount, "CNY");
    answer(callback(colophon, &format!("msg-{name}-{order}"), &body, 0)).await
}

/// Reads as a manager until the body is as it should be.
pub async fn eventually(colophon: &Colophon, path: &str, what: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..1_000 {
        last = answer(colophon.manager(Method::GET, path)).await.json();
        if what(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{path} never became what it should: {last}");
}

/// An order as soon as it stands there.
pub async fn until(colophon: &Colophon, order: &str, status: &str) -> Value {
    eventually(colophon, &format!("/v1/orders/{order}"), |order| order["status"] == status).await
}

/// On hand and reserved, as soon as they are so.
pub async fn stock_is(colophon: &Colophon, book: &str, on_hand: u64, reserved: u64) {
    let is = |stock: &Value| stock["on_hand"] == on_hand && stock["reserved"] == reserved;
    eventually(colophon, &format!("/v1/stock/{book}"), is).await;
}

/// The types of an order's events, as a manager sees them at the position.
pub async fn history(colophon: &Colophon, order: &str, position: u64) -> Vec<String> {
    let path = format!("/v1/orders/{order}/history");
    let request = colophon.manager(Method::GET, &path).header("Colophon-Min-Position", position);
    let items = answer(request).await.json()["items"].as_array().unwrap().clone();
    items.iter().map(|item| item["type"].as_str().unwrap().to_owned()).collect()
}

pub fn refunds(history: &[String]) -> usize {
    history.iter().filter(|name| name.contains("Refund")).count()
}
