//! Customers, staff, the payment provider, and whoever pulls the plug.

use super::world::{SECRET, World};
use axum::http::{Request, StatusCode};
use futures_util::future::join_all;
use platform::identity::Reach;
use platform::webhook::{Secret, seconds};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;

const ISBNS: [&str; 3] = ["9780306406157", "9780140328721", "9780439023481"];
const PRICES: [u64; 3] = [700, 1_100, 0];
const CUSTOMERS: u64 = 3;
const ORDERS: u64 = 8;

/// How often somebody asks who gets no answer: much longer than the process is ever away.
const PATIENCE: u32 = 1_000;

/// What was acknowledged.
#[derive(Default)]
pub(super) struct Told {
    /// By customer and key: the answer.
    pub(super) orders: BTreeMap<(String, String), Value>,
    /// Payments that were taken in, by order and name.
    pub(super) payments: BTreeMap<(String, String), i64>,
    /// Orders whose cancellation was answered with success.
    pub(super) cancelled: Vec<String>,
    /// The reasons of adjustments that were made.
    pub(super) adjusted: Vec<String>,
}

/// Has everybody act at once; returns what they were told.
pub(super) async fn act(world: &World) -> Told {
    let books = stock_up(world).await;
    let told = RefCell::new(Told::default());
    world.make_war(true);
    let customers = (0..ORDERS).map(|n| buy(world, &books, &told, n));
    let chaos = async {
        for _ in 0..world.dice.below(4) {
            world.dice.pause(2_000_000).await;
            world.crash().await;
        }
    };
    tokio::join!(join_all(customers), count(world, &books, &told), chaos);
    told.into_inner()
}

/// Asks again, with the same key, until somebody answers.
async fn persist(
    world: &World,
    subject: &str,
    reach: Reach,
    path: &str,
    key: &str,
    body: &Value,
) -> (StatusCode, Value) {
    for _ in 0..PATIENCE {
        let build = || Request::post(path).header("idempotency-key", key);
        let who = Some((subject, reach));
        if let Some((status, body)) = world.call(who, build, body.to_string().into_bytes()).await {
            return (status, serde_json::from_slice(&body).unwrap_or_default());
        }
        world.dice.pause(300_000).await;
    }
    panic!("nobody answers {path} {key}");
}

async fn stock_up(world: &World) -> Vec<String> {
    let mut books = Vec::new();
    for (isbn, price) in ISBNS.iter().zip(PRICES) {
        let body = json!({"isbn": isbn, "title": "T", "authors": ["A"], "language": "en", "price": {"amount": price, "currency": "CNY"}});
        let (_, registered) = persist(world, "staff", Reach::All, "/v1/books", isbn, &body).await;
        let book = registered["id"].as_str().unwrap().to_owned();
        let body = json!({"delta": 1 + world.dice.below(8), "reason": "stock"});
        persist(world, "staff", Reach::All, &format!("/v1/stock/{book}/adjustments"), "stock", &body).await;
        books.push(book);
    }
    books
}

/// Staff that moves copies beside the orders.
async fn count(world: &World, books: &[String], told: &RefCell<Told>) {
    for n in 0..4 {
        world.dice.pause(800_000).await;
        let book = &books[world.dice.below(3) as usize];
        let delta = if world.dice.once_in(2) { -1 } else { 2 };
        let reason = format!("count {n}");
        let path = format!("/v1/stock/{book}/adjustments");
        let body = json!({"delta": delta, "reason": reason});
        let (status, _) = persist(world, "staff", Reach::All, &path, &reason, &body).await;
        if status == StatusCode::OK {
            told.borrow_mut().adjusted.push(reason);
        }
    }
}

/// One order and what becomes of it, as far as somebody acts.
async fn buy(world: &World, books: &[String], told: &RefCell<Told>, n: u64) {
    let dice = &world.dice;
    dice.pause(1_000_000).await;
    let (customer, key) = (format!("customer {}", n % CUSTOMERS), format!("order-{}", n / CUSTOMERS));
    let lines: Vec<_> = (0..1 + dice.below(3))
        .map(|_| json!({"book_id": books[dice.below(3) as usize], "quantity": 1 + dice.below(3)}))
        .collect();
    let body = json!({"lines": lines});
    let (status, placed) = persist(world, &customer, Reach::Own, "/v1/orders", &key, &body).await;
    assert_eq!(status, StatusCode::CREATED, "{placed}");
    told.borrow_mut().orders.insert((customer.clone(), key.clone()), placed.clone());
    let (id, total) = (placed["id"].as_str().unwrap().to_owned(), placed["total"]["amount"].as_u64().unwrap());
    if dice.once_in(4) {
        let again = persist(world, &customer, Reach::Own, "/v1/orders", &key, &body).await;
        assert_eq!(again, (StatusCode::CREATED, placed), "a repeat is answered the same");
    }
    let staff = |action: &'static str, body: Value| {
        let path = format!("/v1/orders/{id}/{action}");
        async move {
            dice.pause(3_000_000).await;
            let key = format!("{action}-{n}");
            persist(world, "staff", Reach::All, &path, &key, &body).await.0
        }
    };
    let paying = async {
        for payment in 0..dice.below(3) {
            dice.pause(2_000_000).await;
            provider(world, told, &id, &format!("pay-{n}-{payment}"), total).await;
        }
    };
    let cancelling = async {
        if dice.once_in(3) && staff("cancellation", json!({})).await == StatusCode::OK {
            told.borrow_mut().cancelled.push(id.clone());
        }
    };
    let handling = async {
        staff("shipment", json!({})).await;
        if dice.once_in(2) {
            let amount = 1 + dice.below(900);
            staff("refunds", json!({"amount": {"amount": amount, "currency": "CNY"}})).await;
        }
        if dice.once_in(2) {
            let line = json!({"book_id": lines[0]["book_id"], "quantity": 1, "restock": dice.once_in(2)});
            staff("returns", json!({"lines": [line]})).await;
        }
    };
    tokio::join!(paying, cancelling, handling);
}

/// The payment provider: sends until it is believed, and sometimes once more.
async fn provider(world: &World, told: &RefCell<Told>, order: &str, payment: &str, total: u64) {
    let dice = &world.dice;
    let failed = dice.once_in(6);
    let amount = if dice.once_in(6) { total + 1 } else { total };
    let outcome = if failed { "failed" } else { "succeeded" };
    let body = json!({"payment_id": payment, "order_id": order, "outcome": outcome, "amount": {"amount": amount, "currency": "CNY"}});
    let body = body.to_string().into_bytes();
    let secret = Secret::parse(SECRET).unwrap();
    let mut again = dice.below(3);
    let mut message = format!("msg-{payment}");
    for _ in 0..PATIENCE {
        let now = world.seam.clock.now();
        let build = || {
            Request::post("/v1/payments/callback")
                .header("webhook-id", &message)
                .header("webhook-timestamp", seconds(now))
                .header("webhook-signature", secret.sign(&message, now, &body))
        };
        if let Some((status, _)) = world.call(None, build, body.clone()).await {
            assert_eq!(status, StatusCode::OK);
            if !failed {
                told.borrow_mut().payments.insert((order.to_owned(), payment.to_owned()), amount.cast_signed());
            }
            if again == 0 {
                return;
            }
            again -= 1;
            if dice.once_in(2) {
                message = format!("msg-{payment}-{again}");
            }
        }
        dice.pause(400_000).await;
    }
    panic!("nobody answers the callback of {payment}");
}
