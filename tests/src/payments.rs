//! Payments: signed, taken once, and given back whenever the order cannot take them.

use crate::colophon::{answer, isbn, said};
use crate::shop::{Customer, callback, history, line, open, pay, payment, refunds, stock_is, stocked, until};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn what_is_not_signed_is_not_believed() {
    let colophon = open("900").await;
    let ann = Customer::new(&colophon, "ann");
    let book = stocked(&colophon, &isbn(1), 100, 10).await;
    let id = ann.held(&colophon, "k", &book, 1).await;
    let body = payment("a", &id, "succeeded", 100, "CNY");
    let unsigned = colophon.anonymous(Method::POST, "/v1/payments/callback").json(&body);
    let altered = callback(&colophon, "m", &body, 0).body(payment("a", &id, "succeeded", 1, "CNY").to_string());
    for request in [unsigned, altered, callback(&colophon, "m", &body, 310), callback(&colophon, "m", &body, -310)] {
        assert_eq!(answer(request).await.problem(), (401, "webhook_signature".to_owned()));
    }
    let nobody = payment("a", "3a86290a-a908-55b8-a3b5-000000000000", "succeeded", 100, "CNY");
    assert_eq!(answer(callback(&colophon, "m", &nobody, 0)).await.problem(), (404, "not_found".to_owned()));
    for (payment_id, status, rule) in [("", 422, "payment_id"), (&"x".repeat(129) as &str, 422, "payment_id")] {
        let body = payment(payment_id, &id, "succeeded", 100, "CNY");
        assert_eq!(answer(callback(&colophon, "m", &body, 0)).await.problem(), (status, rule.to_owned()));
    }
    let without = json!({"payment_id": "a", "order_id": id, "outcome": "succeeded"});
    assert_eq!(answer(callback(&colophon, "m", &without, 0)).await.problem(), (422, "amount".to_owned()));
    assert_eq!(answer(callback(&colophon, "m", &body, 290)).await.status, 200);
    until(&colophon, &id, "paid").await;
    colophon.stop();
}

#[tokio::test]
async fn what_cannot_be_taken_goes_back_once() {
    let colophon = open("900").await;
    let ann = Customer::new(&colophon, "ann");
    let book = stocked(&colophon, &isbn(1), 100, 10).await;
    let id = ann.held(&colophon, "k", &book, 1).await;
    let send = |message: &str, body: &serde_json::Value| answer(callback(&colophon, message, body, 0));
    for (name, amount, currency) in [("little", 99, "CNY"), ("foreign", 100, "EUR")] {
        let body = payment(name, &id, "succeeded", amount, currency);
        assert_eq!(send(name, &body).await.status, 200);
        assert_eq!(send(&format!("{name}-again"), &body).await.status, 200);
    }
    until(&colophon, &id, "awaiting_payment").await;
    pay(&colophon, "right", &id, 100).await;
    let second = pay(&colophon, "second", &id, 100).await;
    assert_eq!(refunds(&history(&colophon, &id, second.position()).await), 3);
    let order = until(&colophon, &id, "paid").await;
    assert_eq!((&order["payment_id"], &order["refunded"]["amount"]), (&json!("right"), &json!(199)));

    let failed = ann.held(&colophon, "f", &book, 2).await;
    let body = payment("f", &failed, "failed", 200, "CNY");
    assert_eq!(send("f", &body).await.status, 200);
    until(&colophon, &failed, "payment_failed").await;
    stock_is(&colophon, &book, 9, 0).await;
    let after = pay(&colophon, "f", &failed, 200).await;
    assert_eq!(refunds(&history(&colophon, &failed, after.position()).await), 1, "the same payment, another outcome");
    until(&colophon, &failed, "payment_failed").await;
    colophon.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_twenty_times_at_once_has_one_effect() {
    let colophon = open("900").await;
    let ann = Customer::new(&colophon, "ann");
    let book = stocked(&colophon, &isbn(1), 100, 10).await;
    let id = ann.held(&colophon, "k", &book, 2).await;
    let body = payment("a", &id, "succeeded", 200, "CNY");
    let sent = (0..20).map(|n| {
        let message = if n % 2 == 0 { "same".to_owned() } else { format!("message-{n}") };
        answer(callback(&colophon, &message, &body, 0))
    });
    let answers = join_all(sent).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    stock_is(&colophon, &book, 8, 0).await;
    let position = answers.iter().map(crate::colophon::Answer::position).max().unwrap();
    let told = history(&colophon, &id, position).await;
    let paid = told.iter().filter(|name| *name == "OrderPaid").count();
    assert_eq!((paid, refunds(&told)), (1, 0), "{told:?}");
    colophon.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payment_and_cancellation_at_once_come_to_one_end() {
    let colophon = open("900").await;
    let ann = Customer::new(&colophon, "ann");
    let book = stocked(&colophon, &isbn(1), 100, 1_000).await;
    for round in 0..100 {
        let id = ann.held(&colophon, &round.to_string(), &book, 1).await;
        // Now the one, now the other sets out first.
        let (paid, cancelled) = match round % 2 {
            0 => tokio::join!(pay(&colophon, "a", &id, 100), ann.cancel(&colophon, &id)),
            _ => {
                let (cancelled, paid) = tokio::join!(ann.cancel(&colophon, &id), pay(&colophon, "a", &id, 100));
                (paid, cancelled)
            }
        };
        assert_eq!((paid.status, cancelled.status), (200, 200));
        let position = paid.position().max(cancelled.position());
        let request = colophon.manager(Method::GET, &format!("/v1/orders/{id}"));
        let order = answer(request.header("Colophon-Min-Position", position)).await.json();
        assert!(order["status"] == "cancelled" || order["status"] == "refunded", "{order}");
        assert_eq!(order["refunded"]["amount"], 100, "charged for nothing: {order}");
        assert_eq!(refunds(&history(&colophon, &id, position).await), 1);
    }
    stock_is(&colophon, &book, 1_000, 0).await;
    colophon.stop();
}

#[tokio::test]
async fn the_sandbox_pays_with_a_server_and_without() {
    let colophon = open("900").await;
    let ann = Customer::new(&colophon, "ann");
    let book = stocked(&colophon, &isbn(1), 100, 10).await;
    let first = ann.held(&colophon, "1", &book, 1).await;
    let second = ann.held(&colophon, "2", &book, 1).await;
    for _ in 0..2 {
        let output = colophon.tool(&["sandbox", "pay", &first]);
        assert!(output.status.success(), "{}", said(&output));
    }
    let order = until(&colophon, &first, "paid").await;
    assert_eq!(order["refunded"]["amount"], 0, "one payment per order");
    let output = colophon.tool(&["sandbox", "pay", "3a86290a-a908-55b8-a3b5-000000000000"]);
    assert!(!output.status.success() && said(&output).contains("no order has the id"), "{}", said(&output));
    let data = colophon.data();
    let directory = colophon.stop();
    let data = data.to_str().unwrap();
    let output = crate::colophon::run(&["sandbox", "pay", &second, "--fail", "--data-dir", data]);
    assert!(output.status.success(), "{}", said(&output));
    let colophon = crate::shop::open_on(directory, "900").await;
    until(&colophon, &second, "payment_failed").await;
    stock_is(&colophon, &book, 9, 0).await;
    let rejected = ann.order(&colophon, "3", &line(&book, 100)).await;
    assert_eq!(rejected.json()["status"], "rejected");
    colophon.stop();
}
