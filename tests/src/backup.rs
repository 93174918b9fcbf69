//! `colophon backup` and `restore`: under load, in all stages, and of a backup that is not what it was.

use crate::colophon::{Answer, Colophon, answer, isbn, said};
use crate::log_tools::{files, json, on, refusal, tool};
use crate::shop::{Customer, eventually, line, open, open_on, pay, payment, stock_is, stocked, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const SANDBOX: [(&str, &str); 1] = [("COLOPHON_PAYMENTS__SANDBOX", "true")];

/// Restores a backup where a server can be started.
fn restored(backup: &Path) -> Arc<TempDir> {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let told = tool(&directory.path().join("data"), &["restore", backup.to_str().unwrap()]);
    assert!(told.contains("restored: "), "{told}");
    directory
}

fn head(data: &Path) -> u64 {
    json(&tool(data, &["log", "stats", "--json"])).remove(0)["last_position"].as_u64().unwrap()
}

async fn as_manager(colophon: &Colophon, path: &str, position: u64) -> Answer {
    answer(colophon.manager(Method::GET, path).header("Colophon-Min-Position", position)).await
}

/// The shop's books, stocks, orders and histories, as they are told at a position.
async fn reads(colophon: &Colophon, books: &[String], orders: &[String], position: u64) -> Vec<String> {
    let mut paths = vec!["/v1/books?limit=100".to_owned(), "/v1/orders?limit=100".to_owned()];
    paths.push("/v1/bestsellers".to_owned());
    for book in books {
        paths.extend([format!("/v1/books/{book}"), format!("/v1/stock/{book}"), format!("/v1/stock/{book}/ledger")]);
    }
    for order in orders {
        paths.extend([format!("/v1/orders/{order}"), format!("/v1/orders/{order}/history")]);
    }
    let mut bodies = Vec::new();
    for path in paths {
        let answer = as_manager(colophon, &path, position).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        bodies.push(answer.body);
    }
    bodies
}

/// Orders of one customer in every stage that lasts.
async fn every_stage(colophon: &Colophon, ann: &Customer, book: &str) -> BTreeMap<&'static str, String> {
    let mut orders = BTreeMap::new();
    let refused = ann.order(colophon, "rejected", &line(book, 100_000)).await;
    orders.insert("rejected", refused.json()["id"].as_str().unwrap().to_owned());
    for status in ["awaiting_payment", "paid", "shipped", "payment_failed", "cancelled", "refunded"] {
        orders.insert(status, ann.held(colophon, status, book, 2).await);
    }
    for status in ["paid", "shipped", "refunded"] {
        assert_eq!(pay(colophon, status, &orders[status], 200).await.status, 200);
        until(colophon, &orders[status], "paid").await;
    }
    let body = payment("failed", &orders["payment_failed"], "failed", 200, "CNY");
    assert_eq!(answer(crate::shop::callback(colophon, "failed", &body, 0)).await.status, 200);
    let shipped = colophon.post(&format!("/v1/orders/{}/shipment", orders["shipped"]), &json!({})).await;
    assert_eq!(shipped.status, 200, "{shipped:?}");
    for status in ["cancelled", "refunded"] {
        assert_eq!(ann.cancel(colophon, &orders[status]).await.status, 200);
    }
    for (status, order) in &orders {
        until(colophon, order, status).await;
    }
    // Awaited, paid and shipped copies are off the shelf or held, all others are back.
    stock_is(colophon, book, 96, 2).await;
    orders
}

#[tokio::test]
async fn a_restored_shop_is_the_shop_and_goes_on() {
    let colophon = open("900").await;
    let book = stocked(&colophon, &isbn(1), 100, 100).await;
    let ann = Customer::new(&colophon, "ann");
    let orders = every_stage(&colophon, &ann, &book).await;
    let manager = colophon.token("manager");
    let backup = colophon.directory.path().join("backups/first");
    let told = tool(&colophon.data(), &["backup", backup.to_str().unwrap()]);
    let (position, ids) = (head(&colophon.data()), orders.values().cloned().collect::<Vec<_>>());
    assert!(told.contains(&format!("last position:  {position}")), "{told}");
    let before = reads(&colophon, std::slice::from_ref(&book), &ids, position).await;
    // What comes after the backup is not in it.
    colophon.adjust(&book, 50).await;
    let mode = |name: &str| std::fs::metadata(backup.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("keys")), (0o700, 0o700));
    for name in ["log.sqlite", "vault.sqlite", "keys/signing.pem", "manifest.json"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    let ids_of_logs = |data: &Path| json(&tool(data, &["log", "stats", "--json"])).remove(0)["log"].clone();
    let original = ids_of_logs(&colophon.data());
    let _kept = colophon.stop();

    let directory = restored(&backup);
    let data = directory.path().join("data");
    assert_ne!(ids_of_logs(&data), original, "a fork has an id of its own");
    assert_eq!((head(&data), mode("log.sqlite")), (position, 0o600));
    let colophon = open_on(directory, "900").await;
    assert_eq!(reads(&colophon, std::slice::from_ref(&book), &ids, position).await, before);
    let old_token = colophon.anonymous(Method::GET, &format!("/v1/orders/{}", orders["paid"])).bearer_auth(&manager);
    assert_eq!(answer(old_token).await.status, 200, "the signing key is the same");
    let own = ann.get(&colophon, "/v1/orders?limit=100").await;
    assert_eq!(own.json()["items"].as_array().unwrap().len(), ids.len(), "the vault knows whose they are");
    let stranger = Customer::new(&colophon, "bob");
    assert_eq!(stranger.get(&colophon, &format!("/v1/orders/{}", orders["paid"])).await.status, 404);
    // A payment that was taken before is known, one that was awaited is taken now.
    assert_eq!(pay(&colophon, "paid", &orders["paid"], 200).await.status, 200);
    assert_eq!(pay(&colophon, "late", &orders["awaiting_payment"], 200).await.status, 200);
    until(&colophon, &orders["awaiting_payment"], "paid").await;
    stock_is(&colophon, &book, 94, 0).await;
    let again = ann.order(&colophon, "paid", &line(&book, 2)).await;
    assert_eq!(again.json()["id"], json!(orders["paid"]), "an idempotency key is remembered");
    assert!(tool(&colophon.data(), &["log", "verify"]).contains("as it was written"));
    colophon.stop();
}

/// Orders until it is told to stop; answers with the ids.
async fn buy(colophon: &Colophon, books: &[String], buyer: u32, stop: &AtomicBool) -> Vec<String> {
    let customer = Customer::new(colophon, &format!("buyer-{buyer}"));
    let mut orders = Vec::new();
    for n in 0..500 {
        let book = &books[(n + buyer as usize) % books.len()];
        // Some of them ask for more than there is.
        let quantity = if n % 7 == 6 { 900_000 } else { 1 };
        let request = customer.order_request(colophon, &format!("{buyer}-{n}"), &line(book, quantity));
        let placed = answer(request).await;
        assert_eq!(placed.status, 201, "{placed:?}");
        let id = placed.json()["id"].as_str().unwrap().to_owned();
        if n % 5 == 4 {
            customer.cancel(colophon, &id).await;
        }
        orders.push(id);
        if stop.load(Ordering::SeqCst) {
            break;
        }
    }
    orders
}

/// The events of each order's stream, as lines of an export.
fn streams(data: &Path) -> BTreeMap<String, Vec<Value>> {
    let mut streams: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in json(&tool(data, &["log", "export", "-"])) {
        streams.entry(event["stream"].as_str().unwrap().to_owned()).or_default().push(event);
    }
    streams
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_causes_nothing_twice() {
    let colophon = Colophon::start_with(Arc::new(tempfile::tempdir().unwrap()), &[], &SANDBOX).await;
    let mut books = Vec::new();
    for n in 0..5 {
        books.push(stocked(&colophon, &isbn(n), 100, 10_000).await);
    }
    let (stop, data) = (AtomicBool::new(false), colophon.data());
    let backup = colophon.directory.path().join("backup");
    let load = futures_util::future::join_all((0..8).map(|buyer| buy(&colophon, &books, buyer, &stop)));
    let backing_up = async {
        // Long enough that the provider, who looks every second, has paid some and not others.
        let enough = |orders: &Value| orders["items"].as_array().is_some_and(|items| items.len() == 20);
        eventually(&colophon, "/v1/orders?status=paid", enough).await;
        let (data, target) = (data.clone(), backup.to_str().unwrap().to_owned());
        let told = tokio::task::spawn_blocking(move || tool(&data, &["backup", &target])).await.unwrap();
        stop.store(true, Ordering::SeqCst);
        told
    };
    let (placed, told) = tokio::join!(load, backing_up);
    let placed: Vec<_> = placed.into_iter().flatten().collect();
    let source = colophon.stop();
    assert!(placed.len() > 50, "{}", placed.len());

    let directory = restored(&backup);
    let data = directory.path().join("data");
    let in_backup = streams(&data);
    let position = head(&data);
    assert!(told.contains(&format!("last position:  {position}")), "{told}");
    let original = streams(&source.path().join("data"));
    for (stream, events) in &in_backup {
        assert_eq!(original[stream][..events.len()], *events, "{stream}");
    }
    assert!(in_backup.len() < original.len(), "the load went on meanwhile");
    let colophon = Colophon::start_with(directory, &[], &SANDBOX).await;
    as_manager(&colophon, "/v1/orders", position).await;
    let orders: Vec<_> = in_backup.keys().filter_map(|name| name.strip_prefix("order-")).collect();
    let mut paid = 0;
    for order in &orders {
        let ended = |order: &Value| {
            order["status"].as_str().is_some_and(|status| !matches!(status, "pending" | "awaiting_payment"))
        };
        let order = eventually(&colophon, &format!("/v1/orders/{order}"), ended).await;
        paid += u64::from(order["status"] == "paid");
    }
    let mut left = 0;
    for book in &books {
        let stock = eventually(&colophon, &format!("/v1/stock/{book}"), |stock| stock["reserved"] == 0).await;
        left += stock["on_hand"].as_u64().unwrap();
    }
    assert_eq!(left + paid, 50_000, "every copy is on the shelf or paid for");
    let after = streams(&colophon.data());
    for order in &orders {
        let (before, after) = (&in_backup[&format!("order-{order}")], &after[&format!("order-{order}")]);
        assert_eq!(after[..before.len()], *before, "what had happened stays");
        let count = |name: &str| after.iter().filter(|event| event["type"] == name).count();
        assert!(count("OrderPaymentRecorded") <= 1 && count("OrderPaid") <= 1, "charged twice: {after:?}");
        for name in ["OrderStockReserved", "OrderStockCommitted", "OrderStockReleased", "OrderRefunded"] {
            assert!(count(name) <= 1, "{name} twice: {after:?}");
        }
    }
    assert!(after.keys().filter(|name| name.starts_with("order-")).count() == orders.len(), "nobody ordered anew");
    // A while later, too, nothing is done that was done.
    let settled = head(&colophon.data());
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(head(&colophon.data()), settled);
    colophon.stop();
}

/// A backup of a small shop, with a configuration.
async fn small_backup() -> (Arc<TempDir>, std::path::PathBuf) {
    let colophon = open("900").await;
    let book = stocked(&colophon, &isbn(1), 100, 10).await;
    Customer::new(&colophon, "ann").held(&colophon, "k", &book, 1).await;
    let configuration = colophon.directory.path().join("shop.toml");
    std::fs::write(&configuration, "[orders]\nhold_s = 17\n").unwrap();
    let backup = colophon.directory.path().join("backup");
    tool(&colophon.data(), &["backup", backup.to_str().unwrap(), "--config", configuration.to_str().unwrap()]);
    (colophon.stop(), backup)
}

#[tokio::test]
async fn a_backup_that_is_not_what_it_was_is_refused_and_nothing_is_made() {
    let (directory, backup) = small_backup().await;
    let data = directory.path().join("restored");
    let restore = ["restore", backup.to_str().unwrap()];
    let names = ["log.sqlite", "vault.sqlite", "keys/signing.pem", "configuration.toml", "manifest.json"];
    let refused = |name: &str, what: &str| {
        let error = refusal(&data, &restore);
        assert!(error.contains(name), "{what}: {error}");
        assert!(!data.exists(), "{what}");
    };
    for name in names {
        let path = backup.join(name);
        let written = std::fs::read(&path).unwrap();
        for place in [0, written.len() / 3, written.len() / 2, written.len() - 1] {
            let mut altered = written.clone();
            altered[place] ^= 1;
            std::fs::write(&path, &altered).unwrap();
            refused(name, &format!("byte {place} of {name}"));
        }
        std::fs::write(&path, &written[..written.len() - 1]).unwrap();
        refused(name, &format!("{name} cut"));
        std::fs::remove_file(&path).unwrap();
        refused(name, &format!("{name} gone"));
        std::fs::write(&path, &written).unwrap();
    }
    let manifest = std::fs::read_to_string(backup.join("manifest.json")).unwrap();
    std::fs::write(backup.join("manifest.json"), manifest.replacen("\"format\": 1", "\"format\": 2", 1)).unwrap();
    refused("the backup has format 2, this program knows up to 1", "newer");
    std::fs::write(backup.join("manifest.json"), manifest).unwrap();
    let told = tool(&data, &restore);
    assert!(told.contains(backup.join("configuration.toml").to_str().unwrap()), "{told}");
    assert!(!data.join("configuration.toml").exists());
    assert_eq!(std::fs::read_to_string(backup.join("configuration.toml")).unwrap(), "[orders]\nhold_s = 17\n");
}

#[tokio::test]
async fn nothing_that_is_there_is_written_over() {
    let (directory, backup) = small_backup().await;
    let restore = ["restore", backup.to_str().unwrap()];
    let data = directory.path().join("data");
    let before = files(&data);
    assert!(refusal(&data, &restore).contains("is not empty"));
    assert_eq!(files(&data), before);
    let whole = files(&backup);
    let occupied = refusal(&data, &["backup", backup.to_str().unwrap()]);
    assert!(occupied.contains("is not empty"), "{occupied}");
    assert_eq!(files(&backup), whole);
    let colophon = Colophon::start().await;
    assert!(refusal(&colophon.data(), &restore).contains("in use by process"));
    assert_eq!(colophon.get("/livez").await.status, 200);
    colophon.stop();
    let empty = directory.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(tool(&empty, &restore).contains("restored: "));
    let none = on(&directory.path().join("nothing"), &["restore", empty.to_str().unwrap()]);
    assert!(!none.status.success() && said(&none).contains("is no backup"), "{}", said(&none));
}

#[tokio::test]
async fn a_damaged_log_is_not_backed_up() {
    let (directory, backup) = small_backup().await;
    let mut log = std::fs::read(backup.join("log.sqlite")).unwrap();
    let place = log.windows(12).position(|bytes| bytes == b"\"unit_price\"").unwrap();
    log[place + 1] = b'U';
    let damaged = directory.path().join("damaged");
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(damaged.join("log.sqlite"), log).unwrap();
    std::fs::copy(backup.join("vault.sqlite"), damaged.join("vault.sqlite")).unwrap();
    std::fs::write(damaged.join("format"), "1\n").unwrap();
    let target = directory.path().join("second");
    let error = refusal(&damaged, &["backup", target.to_str().unwrap()]);
    assert!(error.contains("damaged at position") && error.contains("stream order-"), "{error}");
    assert!(!target.exists());
    let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_str().unwrap().starts_with(".backup")), "{names:?}");
}

#[tokio::test]
async fn a_key_of_its_own_place_comes_along() {
    let colophon = Colophon::start().await;
    colophon.register(&isbn(1)).await;
    let key = colophon.directory.path().join("elsewhere.pem");
    std::fs::copy(colophon.data().join("keys/signing.pem"), &key).unwrap();
    std::fs::remove_file(colophon.data().join("keys/signing.pem")).unwrap();
    let configuration = colophon.directory.path().join("shop.yaml");
    std::fs::write(&configuration, format!("auth:\n  signing_key_file: {}\n", key.display())).unwrap();
    let backup = colophon.directory.path().join("backup");
    tool(&colophon.data(), &["backup", backup.to_str().unwrap(), "--config", configuration.to_str().unwrap()]);
    assert_eq!(std::fs::read(backup.join("keys/signing.pem")).unwrap(), std::fs::read(&key).unwrap());
    assert!(backup.join("configuration.yaml").exists());
    colophon.stop();
}

#[tokio::test]
async fn what_no_server_could_be_started_with_is_not_backed_up() {
    let (directory, backup) = small_backup().await;
    let (data, target) = (directory.path().join("data"), directory.path().join("second"));
    let arguments = ["backup", target.to_str().unwrap()];
    let inside = refusal(&data, &["backup", data.join("a/b").to_str().unwrap()]);
    assert!(inside.contains("lies in the data directory") && !data.join("a").exists(), "{inside}");

    for key in ["signing.pem", "webhook.secret"] {
        let path = data.join("keys").join(key);
        let written = std::fs::read(&path);
        std::fs::write(&path, "").unwrap();
        let error = refusal(&data, &arguments);
        assert!(error.contains(path.to_str().unwrap()) && !target.exists(), "{error}");
        written.map_or_else(|_| std::fs::remove_file(&path), |written| std::fs::write(&path, written)).unwrap();
    }

    // As a restore leaves it that is killed.
    let cut_off = directory.path().join("cut-off");
    std::fs::create_dir(&cut_off).unwrap();
    std::fs::write(cut_off.join("lock"), "4711\n").unwrap();
    std::fs::copy(backup.join("log.sqlite"), cut_off.join("log.sqlite")).unwrap();
    let before = files(&cut_off);
    for arguments in [&arguments[..], &["serve", "--listen", "127.0.0.1:0"], &["restore", backup.to_str().unwrap()]] {
        let error = refusal(&cut_off, arguments);
        assert!(error.contains("a restore left that was cut off: delete it"), "{arguments:?}: {error}");
        assert_eq!(files(&cut_off), before);
    }
}
