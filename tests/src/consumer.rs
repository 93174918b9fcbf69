//! The example consumer, on the messages of a deployment: it prints the log, each event checked against its schema.

use crate::architecture::root;
use crate::cluster::{Cluster, Ground};
use crate::colophon::{answer, book, isbn, said};
use crate::python::interpreter;
use reqwest::Method;
use serde_json::{Value, json};
use std::process::Command;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_consumer_reads_every_event_of_the_topic() {
    let Some(python) = interpreter() else { return };
    let Some(ground) = Ground::shared().await else { return };
    let cluster = Cluster::usual(&ground, &[]).await;
    let manager = cluster.token("manager", "manager");
    let post = async |path: &str, body: &Value| {
        let sent = answer(cluster.request("node-1", Method::POST, path).bearer_auth(&manager).json(body)).await;
        assert!(matches!(sent.status, 200 | 201), "{sent:?}");
        sent
    };
    let mut position = 0;
    for n in 0..20 {
        let id = post("/v1/books", &book(&isbn(n))).await.json()["id"].as_str().unwrap().to_owned();
        let stocked = post(&format!("/v1/stock/{id}/adjustments"), &json!({"delta": 1, "reason": "delivery"})).await;
        position = stocked.position();
    }

    let root = root();
    let output = Command::new(python)
        .arg(root.join("examples/consumer/consumer.py"))
        .args([
            "--brokers",
            &ground.kafka,
            "--topic",
            cluster.topic(),
            "--until-position",
            &position.to_string(),
            "--group",
            cluster.topic(),
        ])
        .arg("--schemas")
        .arg(root.join("schemas/json-schema"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut read: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    read.sort_by_key(|event| event["position"].as_u64());
    let positions: Vec<_> = read.iter().map(|event| event["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (1..=position).collect::<Vec<_>>(), "every event, once");

    // The same as the log has them.
    let exported = cluster.directory.path().join("log.ndjson");
    let output = cluster.tool("node-1", &["log", "export", exported.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let exported = std::fs::read_to_string(exported).unwrap();
    for (line, event) in exported.lines().zip(&read) {
        let recorded: Value = serde_json::from_str(line).unwrap();
        for field in ["position", "stream", "revision", "type", "version", "id", "data"] {
            assert_eq!(recorded[field], event[field], "{field} of {event}");
        }
    }
}
