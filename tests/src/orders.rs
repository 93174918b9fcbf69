//! Orders: never oversold, one per key, seen by their owner only, ended in time, and none lost in a crash.

use crate::colophon::{Colophon, answer, isbn};
use crate::shop::{Customer, eventually, history, line, open, open_on, pay, refunds, stock_is, stocked, until};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

#[tokio::test]
async fn an_order_goes_its_way_and_back() {
    const SUBJECT: &str = "ann@example.org";
    let colophon = open("900").await;
    let ann = Customer::new(&colophon, SUBJECT);
    let book = stocked(&colophon, &isbn(1), 4_200, 10).await;
    let placed = ann.order(&colophon, "first", &line(&book, 2)).await;
    let id = placed.json()["id"].as_str().unwrap().to_owned();
    let total = json!({"amount": 8_400, "currency": "CNY"});
    assert_eq!(placed.json(), json!({"id": id, "status": "awaiting_payment", "total": total}));
    assert_eq!(placed.header("location"), format!("/v1/orders/{id}"));
    stock_is(&colophon, &book, 10, 2).await;
    assert_eq!(pay(&colophon, "a", &id, 8_400).await.status, 200);
    stock_is(&colophon, &book, 8, 0).await;
    let path = format!("/v1/orders/{id}");
    let paid = ann.get(&colophon, &path).await;
    assert_eq!((paid.json()["status"].as_str(), paid.json()["payment_id"].as_str()), (Some("paid"), Some("a")));
    assert_eq!(paid.header("etag"), format!("\"{}\"", paid.json()["revision"]));
    let sold = eventually(&colophon, "/v1/bestsellers", |list| list["items"][0]["sold"] == 2).await;
    assert_eq!(sold["items"][0]["book"]["id"], book.as_str());

    let cancelled = ann.cancel(&colophon, &id).await;
    assert_eq!((cancelled.status, cancelled.json()["status"].as_str()), (200, Some("refunded")));
    assert_eq!(cancelled.json()["refunded"], total);
    stock_is(&colophon, &book, 10, 0).await;
    let told = history(&colophon, &id, cancelled.position()).await;
    assert_eq!((told[0].as_str(), refunds(&told)), ("OrderPlaced", 1));
    assert_eq!(ann.cancel(&colophon, &id).await.problem(), (409, "order_ended".to_owned()));
    let data = colophon.data();
    let directory = colophon.stop();
    // Who it was is in the vault, and nowhere else.
    let holds_subject = |path: &std::path::Path| {
        std::fs::read(path).unwrap().windows(SUBJECT.len()).any(|bytes| bytes == SUBJECT.as_bytes())
    };
    for name in ["log.sqlite", "views.sqlite"] {
        assert!(!holds_subject(&data.join(name)), "{name} names the customer");
    }
    assert!(!holds_subject(&directory.path().join("log")), "the server's log names the customer");
}

#[tokio::test]
async fn staff_ships_refunds_and_takes_back() {
    let colophon = open("900").await;
    let ann = Customer::new(&colophon, "ann");
    let book = stocked(&colophon, &isbn(1), 100, 10).await;
    let id = ann.held(&colophon, "k", &book, 3).await;
    let staff = |action: &str, body: Value| {
        answer(colophon.manager(Method::POST, &format!("/v1/orders/{id}/{action}")).json(&body))
    };
    let money = |amount: u64| json!({"amount": {"amount": amount, "currency": "CNY"}});
    let back =
        |quantity: u64, restock: bool| json!({"lines": [{"book_id": book, "quantity": quantity, "restock": restock}]});
    for (action, body) in [("shipment", json!({})), ("refunds", money(1)), ("returns", back(1, true))] {
        assert_eq!(staff(action, body).await.problem(), (409, "order_not_paid".to_owned()));
    }
    pay(&colophon, "a", &id, 300).await;
    assert_eq!(staff("shipment", json!({})).await.json()["status"], "shipped");
    assert_eq!(staff("shipment", json!({})).await.problem().1, "order_shipped");
    assert_eq!(ann.cancel(&colophon, &id).await.problem(), (409, "order_shipped".to_owned()));
    assert_eq!(staff("returns", back(2, true)).await.json()["status"], "shipped");
    assert_eq!(staff("returns", back(2, false)).await.problem(), (409, "return_too_large".to_owned()));
    assert_eq!(staff("returns", back(1, false)).await.status, 200);
    stock_is(&colophon, &book, 9, 0).await;
    assert_eq!(staff("refunds", money(299)).await.json()["status"], "shipped");
    assert_eq!(staff("refunds", money(2)).await.problem(), (409, "refund_too_large".to_owned()));
    assert_eq!(staff("refunds", money(0)).await.problem(), (422, "refund_amount".to_owned()));
    assert_eq!(staff("refunds", money(1)).await.json()["status"], "refunded");
    let forbidden = ann.request(&colophon, Method::POST, &format!("/v1/orders/{id}/refunds")).json(&money(1));
    assert_eq!(answer(forbidden).await.problem(), (403, "forbidden".to_owned()));
    colophon.stop();
}

#[tokio::test]
async fn bad_orders_name_the_rule() {
    let colophon = open("900").await;
    let ann = Customer::new(&colophon, "ann");
    let book = stocked(&colophon, &isbn(1), 100, 10).await;
    let unpriced = colophon.register(&isbn(2)).await;
    let retired = stocked(&colophon, &isbn(3), 100, 1).await;
    colophon.post(&format!("/v1/books/{retired}/retirement"), &json!({})).await;
    let many = json!(vec![json!({"book_id": book, "quantity": 1}); 1_001]);
    for (lines, status, rule) in [
        (json!([]), 422, "line_count"),
        (many, 422, "line_count"),
        (line(&book, 0), 422, "quantity"),
        (line(&book, 1_000_001), 422, "quantity"),
        (json!([{"book_id": book, "quantity": -1}]), 400, "malformed"),
        (json!([{"book_id": book, "quantity": 1, "gift": true}]), 400, "malformed"),
        (json!([[book, 1]]), 400, "malformed"),
        (line("3a86290a-a908-55b8-a3b5-000000000000", 1), 422, "unknown_book"),
        (line(&unpriced, 1), 422, "book_unpriced"),
        (line(&retired, 1), 422, "book_not_for_sale"),
    ] {
        let refused = ann.order(&colophon, "bad", &lines).await;
        assert_eq!(refused.problem(), (status, rule.to_owned()), "{lines:.100}");
    }
    let keyless = ann.request(&colophon, Method::POST, "/v1/orders").json(&json!({"lines": line(&book, 1)}));
    assert_eq!(answer(keyless).await.problem(), (400, "idempotency_key_required".to_owned()));
    let anonymous = colophon.anonymous(Method::POST, "/v1/orders").json(&json!({"lines": line(&book, 1)}));
    assert_eq!(answer(anonymous).await.problem(), (401, "unauthenticated".to_owned()));
    // The key of a refused order is free, and the same book on two lines is one.
    let twice = json!([{"book_id": book, "quantity": 4}, {"book_id": book, "quantity": 3}]);
    let id = ann.order(&colophon, "bad", &twice).await.json()["id"].as_str().unwrap().to_owned();
    let order = until(&colophon, &id, "awaiting_payment").await;
    assert_eq!((order["lines"].as_array().unwrap().len(), &order["lines"][0]["quantity"]), (1, &json!(7)));
    let short = json!([{"book_id": book, "quantity": 2}, {"book_id": book, "quantity": 2}]);
    assert_eq!(ann.order(&colophon, "more", &short).await.json()["status"], "rejected");
    stock_is(&colophon, &book, 10, 7).await;
    colophon.stop();
}

#[tokio::test]
async fn nobody_sees_or_changes_what_is_not_his() {
    let colophon = open("900").await;
    let (ann, bob) = (Customer::new(&colophon, "ann"), Customer::new(&colophon, "bob"));
    let book = stocked(&colophon, &isbn(1), 100, 10).await;
    let id = ann.held(&colophon, "k", &book, 1).await;
    let path = format!("/v1/orders/{id}");
    until(&colophon, &id, "awaiting_payment").await;
    for path in [path.clone(), format!("{path}/history")] {
        assert_eq!(bob.get(&colophon, &path).await.problem(), (404, "not_found".to_owned()));
        assert_eq!(ann.get(&colophon, &path).await.status, 200);
        assert_eq!(colophon.get(&path).await.status, 401);
    }
    assert_eq!(bob.cancel(&colophon, &id).await.problem(), (404, "not_found".to_owned()));
    assert_eq!(bob.get(&colophon, "/v1/orders").await.json()["items"], json!([]));
    // The same key of another customer is his own order.
    let of_bob = bob.held(&colophon, "k", &book, 2).await;
    assert_ne!(of_bob, id);
    until(&colophon, &of_bob, "awaiting_payment").await;
    let ids = |list: Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(bob.get(&colophon, "/v1/orders").await.json()), std::slice::from_ref(&of_bob));
    let all = answer(colophon.manager(Method::GET, "/v1/orders?status=awaiting_payment")).await.json();
    assert_eq!(ids(all), [of_bob, id], "the newest first");
    let none = answer(colophon.manager(Method::GET, "/v1/orders?status=paid")).await.json();
    assert_eq!(ids(none), Vec::<String>::new());
    assert_eq!(ann.get(&colophon, "/v1/orders?status=lost").await.problem(), (400, "malformed".to_owned()));
    colophon.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_buyers_of_fifty_copies_fifty_hold() {
    let colophon = open("900").await;
    let accounts: Vec<_> = (0..20).map(|n| Customer::new(&colophon, &format!("account-{n}"))).collect();
    let book = stocked(&colophon, &isbn(1), 100, 50).await;
    let buyers = (0..200).map(|n| {
        let (colophon, book, account) = (&colophon, &book, &accounts[n % 20]);
        async move { account.order(colophon, &n.to_string(), &line(book, 1)).await.json() }
    });
    let answers = join_all(buyers).await;
    let count = |status: &str| answers.iter().filter(|answer| answer["status"] == status).count();
    assert_eq!((count("awaiting_payment"), count("rejected")), (50, 150));
    stock_is(&colophon, &book, 50, 50).await;
    colophon.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_buyers_of_one_book_meet_no_conflict() {
    let colophon = open("900").await;
    let accounts: Vec<_> = (0..64).map(|n| Customer::new(&colophon, &format!("account-{n}"))).collect();
    let book = stocked(&colophon, &isbn(1), 100, 1_000).await;
    let buyers = accounts.iter().map(|account| async {
        for n in 0..3 {
            let id = account.held(&colophon, &n.to_string(), &book, 1).await;
            assert_eq!(pay(&colophon, "a", &id, 100).await.status, 200);
        }
    });
    join_all(buyers).await;
    stock_is(&colophon, &book, 1_000 - 64 * 3, 0).await;
    let conflicts = colophon.metrics().await.get("dispatcher_conflicts_total").copied();
    assert_eq!(conflicts.unwrap_or_default(), 0.0, "one writer never conflicts with itself");
    colophon.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_one_order_in_parallel_and_after_a_restart() {
    let colophon = open("900").await;
    let ann = Customer::new(&colophon, "ann");
    let book = stocked(&colophon, &isbn(1), 100, 10).await;
    let place = |colophon: &Colophon, quantity| answer(ann.order_request(colophon, "one", &line(&book, quantity)));
    let answers = join_all((0..100).map(|_| place(&colophon, 2))).await;
    let waited = ann.order(&colophon, "one", &line(&book, 2)).await;
    let bodies: HashSet<_> = answers.iter().map(|answer| (answer.status, answer.body.clone())).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(place(&colophon, 3).await.problem(), (422, "idempotency_key_reused".to_owned()));
    let id = answers[0].json()["id"].as_str().unwrap().to_owned();
    pay(&colophon, "a", &id, 200).await;
    // What is no longer for sale was ordered all the same.
    colophon.post(&format!("/v1/books/{book}/retirement"), &json!({})).await;
    let colophon = open_on(colophon.stop(), "900").await;
    let again = place(&colophon, 2).await;
    assert_eq!((again.status, &again.body), (201, &answers[0].body));
    assert_eq!(ann.order(&colophon, "one", &line(&book, 2)).await.body, waited.body);
    stock_is(&colophon, &book, 8, 0).await;
    colophon.stop();
}

#[tokio::test]
async fn an_order_that_is_not_paid_in_time_is_cancelled_also_across_a_restart() {
    let colophon = open("1").await;
    let ann = Customer::new(&colophon, "ann");
    let book = stocked(&colophon, &isbn(1), 100, 10).await;
    let first = ann.held(&colophon, "1", &book, 2).await;
    until(&colophon, &first, "cancelled").await;
    stock_is(&colophon, &book, 10, 0).await;
    let second = ann.held(&colophon, "2", &book, 2).await;
    let directory = colophon.kill();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let colophon = open_on(directory, "1").await;
    until(&colophon, &second, "cancelled").await;
    stock_is(&colophon, &book, 10, 0).await;
    // Late money goes back, and changes nothing else.
    let late = pay(&colophon, "late", &second, 200).await;
    let told = history(&colophon, &second, late.position()).await;
    assert_eq!(refunds(&told), 1);
    assert_eq!(until(&colophon, &second, "cancelled").await["refunded"]["amount"], 200);
    colophon.stop();
}

const CLIENTS: usize = 32;
const KILLS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_no_order_and_oversell_no_copy() {
    let mut colophon = open("900").await;
    let customers: Vec<_> = (0..CLIENTS).map(|n| Customer::new(&colophon, &format!("customer-{n}"))).collect();
    let book = stocked(&colophon, &isbn(1), 100, 1_000_000).await;
    let acknowledged = Mutex::new(Vec::new());
    let sent = Mutex::new(HashSet::new());
    for round in 0..KILLS {
        let clients = (0..CLIENTS).map(|client| {
            let (colophon, customers, book, acknowledged, sent) = (&colophon, &customers, &book, &acknowledged, &sent);
            async move {
                for n in 0_u32.. {
                    let key = format!("{round}-{client}-{n}");
                    sent.lock().unwrap().insert((client, key.clone()));
                    let request = customers[client].order_request(colophon, &key, &line(book, 1));
                    let Ok(response) = request.send().await else { return };
                    assert_eq!(response.status(), 201);
                    let Ok(body) = response.text().await else { return };
                    acknowledged.lock().unwrap().push((client, key, body));
                }
            }
        });
        let killed = async {
            tokio::time::sleep(Duration::from_millis(60 + round * 13)).await;
            colophon.signal("-KILL");
        };
        tokio::join!(join_all(clients), killed);
        colophon = open_on(colophon.kill(), "900").await;
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() > CLIENTS, "too little was ordered");
    for (client, key, body) in acknowledged.iter().step_by(7) {
        let again = answer(customers[*client].order_request(&colophon, key, &line(&book, 1))).await;
        assert_eq!((again.status, &again.body), (201, body), "{key}");
    }
    // Every order comes to its decision; together they hold what the stock says they do.
    let mut orders: HashSet<String> = HashSet::new();
    let mut path = "/v1/orders?limit=100".to_owned();
    eventually(&colophon, "/v1/orders?status=pending", |list| list["items"].as_array().unwrap().is_empty()).await;
    loop {
        let listed = answer(colophon.manager(Method::GET, &path)).await.json();
        for order in listed["items"].as_array().unwrap() {
            assert_eq!(order["status"], "awaiting_payment");
            assert!(orders.insert(order["id"].as_str().unwrap().to_owned()), "an order is listed once");
        }
        let Some(cursor) = listed["next_cursor"].as_str() else { break };
        path = format!("/v1/orders?limit=100&cursor={cursor}");
    }
    for (_, key, body) in &acknowledged {
        let id = serde_json::from_str::<Value>(body).unwrap()["id"].as_str().unwrap().to_owned();
        assert!(orders.contains(&id), "the order of {key} was acknowledged and is lost");
    }
    assert!(orders.len() <= sent.into_inner().unwrap().len(), "one key is one order");
    stock_is(&colophon, &book, 1_000_000, orders.len() as u64).await;
    colophon.stop();
}
