//! The distributed form as a whole: what is done by one node is seen at the other, and what is there can be carried away.

use crate::cluster::{Cluster, Ground};
use crate::colophon::{Colophon, answer, book, isbn, said};
use crate::shop;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;

/// Asks a node, with a token.
async fn ask(cluster: &Cluster, node: &str, token: &str, path: &str, body: &Value) -> crate::colophon::Answer {
    let request = cluster.request(node, Method::POST, path).bearer_auth(token).json(body);
    answer(request.header("Idempotency-Key", path).header("Prefer", "wait=10")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_through_all_roles_and_home_again_in_one_process() {
    let Some(ground) = Ground::shared().await else { return };
    let cluster = Cluster::usual(&ground, &[]).await;
    let (manager, ann) = (cluster.token("manager", "manager"), cluster.token("ann", "user"));
    let mut described = book(&isbn(7));
    described["price"] = json!({"amount": 4_200, "currency": "CNY"});
    let registered = ask(&cluster, "node-1", &manager, "/v1/books", &described).await;
    assert_eq!(registered.status, 201, "{registered:?}");
    let id = registered.json()["id"].as_str().unwrap().to_owned();
    let stocked = json!({"delta": 5, "reason": "delivery"});
    let stocked = ask(&cluster, "node-2", &manager, &format!("/v1/stock/{id}/adjustments"), &stocked).await;
    // What one node was answered, the other one shows, searches too.
    let found = cluster.get_at("node-1", "/v1/search?q=a+titel", &ann, stocked.position()).await.json();
    assert_eq!(found["hits"][0]["book"]["id"], id, "{found}");

    let placed = ask(&cluster, "node-2", &ann, "/v1/orders", &json!({"lines": [{"book_id": id, "quantity": 2}]})).await;
    assert_eq!((placed.status, &placed.json()["status"]), (201, &json!("awaiting_payment")), "{placed:?}");
    let order = placed.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/orders/{order}");
    let paid = cluster.tool("node-1", &["sandbox", "pay", &order]);
    assert!(paid.status.success(), "{}", said(&paid));
    let status = async |status: &str| {
        for _ in 0..1_000 {
            let read = answer(cluster.request("node-2", Method::GET, &path).bearer_auth(&ann)).await;
            if read.json()["status"] == status {
                return read.json();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the order never becomes {status}");
    };
    status("paid").await;
    let cancelled =
        ask(&cluster, "node-1", &ann, &format!("{path}/cancellation"), &json!({"reason": "changed_mind"})).await;
    assert!(matches!(cancelled.status, 200 | 202), "{cancelled:?}");
    assert_eq!(status("refunded").await["refunded"]["amount"], 8_400);
    // Another's order is nobody's.
    let bo = cluster.token("bo", "user");
    assert_eq!(answer(cluster.request("node-1", Method::GET, &path).bearer_auth(&bo)).await.status, 404);
    // Nodes know each other by their secret; tools find all by the directory of one.
    for arguments in
        [&["log", "verify"][..], &["replay", "verify"], &["replay", "rebuild", "--all"], &["replay", "list"]]
    {
        let output = cluster.tool("node-2", arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    }

    // All of it in one process, elsewhere.
    let home = Arc::new(tempfile::tempdir().unwrap());
    let (backup, data) = (home.path().join("backup"), home.path().join("data"));
    let output = cluster.tool("node-1", &["backup", backup.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let restored = crate::colophon::run(&["restore", backup.to_str().unwrap(), "--data-dir", data.to_str().unwrap()]);
    assert!(restored.status.success(), "{}", said(&restored));
    let colophon = Colophon::start_with(home, &[], &[]).await;
    colophon.ready().await;
    let customer = shop::Customer::new(&colophon, "ann");
    let read = customer.get(&colophon, &path).await;
    assert_eq!(
        (read.status, &read.json()["status"]),
        (200, &json!("refunded")),
        "its customer is known there: {read:?}"
    );
    assert_eq!(colophon.get(&format!("/v1/stock/{id}")).await.json()["on_hand"], 5);
    colophon.stop();
}
