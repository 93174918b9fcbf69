//! The data directory: one server's at a time, of a known format, and views that may be thrown away.

use crate::colophon::{Colophon, isbn, run, said};
use crate::log_tools::{files, refusal};
use crate::shop::{self, Customer};
use reqwest::Method;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

#[tokio::test]
async fn a_second_server_is_told_who_has_the_directory() {
    let colophon = Colophon::start().await;
    let second = colophon.tool(&["serve", "--listen", "127.0.0.1:0"]);
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && error.contains("in use by process") && error.contains("--data-dir"), "{error}");
    assert_eq!(colophon.get("/livez").await.status, 200);
    let mode = |name: &str| std::fs::metadata(colophon.data().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("admin.sock"), mode("keys/signing.pem")), (0o700, 0o600, 0o600));
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let colophon = Colophon::start().await;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let second = run(&["serve", "--listen", &colophon.address, "--data-dir", data.to_str().unwrap()]);
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && error.contains(&colophon.address), "{error}");
}

#[tokio::test]
async fn a_newer_directory_or_log_is_refused_with_the_reason() {
    let directory = Colophon::start().await.stop();
    let data = directory.path().join("data");
    std::fs::write(data.join("format"), "7\n").unwrap();
    for command in
        [&["serve"][..], &["token", "--subject", "me", "--role", "admin"], &["import", "stock", "Cargo.toml"]]
    {
        let refused = run(&[command, &["--data-dir", data.to_str().unwrap()]].concat());
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && error.contains("format 7, this program knows up to 1"),
            "{}",
            said(&refused)
        );
    }
    std::fs::write(data.join("format"), "1\n").unwrap();
    std::fs::write(data.join("log.sqlite"), "not a log at all, and longer than a header ".repeat(100)).unwrap();
    let refused = run(&["serve", "--data-dir", data.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not an event log"), "{}", said(&refused));
}

#[tokio::test]
async fn views_are_built_anew_from_the_log() {
    let colophon = Colophon::start().await;
    let mut ids = Vec::new();
    for n in 0..30 {
        ids.push(colophon.register(&isbn(n)).await);
    }
    let position = colophon.adjust(&ids[3], 5).await.position();
    let reads = async |colophon: &Colophon| {
        let mut bodies = Vec::new();
        for path in ["/v1/books?limit=100", &format!("/v1/stock/{}", ids[3]), &format!("/v1/stock/{}/ledger", ids[3])] {
            bodies.push(colophon.get_at(path, position).await.body);
        }
        bodies
    };
    let before = reads(&colophon).await;
    let data = colophon.data();
    let mut directory = colophon.stop();
    for damage in ["deleted", "overwritten"] {
        for name in ["views.sqlite-wal", "views.sqlite-shm", "views.sqlite"] {
            let _ = std::fs::remove_file(data.join(name));
        }
        if damage == "overwritten" {
            std::fs::write(data.join("views.sqlite"), "no database ".repeat(1_000)).unwrap();
        }
        let colophon = Colophon::start_with(directory, &[], &[]).await;
        assert_eq!(reads(&colophon).await, before, "{damage}");
        directory = colophon.stop();
    }
}

#[tokio::test]
async fn a_damaged_log_is_never_served() {
    let colophon = Colophon::start().await;
    let id = colophon.register(&isbn(1)).await;
    let data = colophon.data();
    let directory = colophon.stop();
    // One byte of the title, wherever it lies: the events table, or the write-ahead log.
    for name in ["log.sqlite", "log.sqlite-wal"] {
        let Ok(mut bytes) = std::fs::read(data.join(name)) else { continue };
        for place in 0..bytes.len().saturating_sub(8) {
            if bytes[place..].starts_with(b"A title\"") {
                bytes[place] = b'B';
            }
        }
        std::fs::write(data.join(name), bytes).unwrap();
    }
    let colophon = Colophon::start_with(directory, &[], &[("COLOPHON_QUERIES__WAIT_MS", "100")]).await;
    let change = colophon.manager(Method::PATCH, &format!("/v1/books/{id}")).header("If-Match", "\"1\"");
    let answer = crate::colophon::answer(change.json(&serde_json::json!({"title": "New"}))).await;
    // SQLite's own checksum of the write-ahead log drops the torn commit; in the table it is ours that tells.
    assert!(matches!(answer.status, 404 | 503), "{answer:?}");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(!colophon.get(&format!("/v1/books/{id}")).await.body.contains("B title"));
}

#[tokio::test]
async fn snapshots_may_be_lost() {
    let colophon = Colophon::start().await;
    let book = colophon.register(&isbn(1)).await;
    assert_eq!(colophon.adjust(&book, 5).await.status, 200);
    let (file, mut directory) = (colophon.data().join("snapshots.sqlite"), colophon.stop());
    for (damage, on_hand) in [("deleted", 6), ("overwritten", 7)] {
        std::fs::remove_file(&file).unwrap();
        if damage == "overwritten" {
            std::fs::write(&file, "no database ".repeat(1_000)).unwrap();
        }
        let colophon = Colophon::start_with(directory, &[], &[]).await;
        let adjusted = colophon.adjust(&book, 1).await;
        assert_eq!(adjusted.json()["on_hand"], on_hand, "{damage}");
        directory = colophon.stop();
    }
}

/// What the files of a directory and below may be, for others than their owner.
fn open_to_others(directory: &Path) -> Vec<String> {
    let mut open = Vec::new();
    for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if path.metadata().unwrap().permissions().mode() & 0o077 != 0 {
            open.push(path.display().to_string());
        }
        if path.is_dir() {
            open.extend(open_to_others(&path));
        }
    }
    open
}

#[tokio::test]
async fn what_is_written_is_for_its_owner_only_in_a_directory_that_is_for_all() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let data = directory.path().join("data");
    std::fs::DirBuilder::new().mode(0o755).create(&data).unwrap();
    let colophon = Colophon::start_with(directory, &[], &[]).await;
    colophon.register(&isbn(1)).await;
    colophon.get_at("/v1/search?q=title", 1).await;
    assert!(data.join("vault.sqlite").exists() && data.join("search/1/meta.json").exists());
    assert_eq!(open_to_others(&data), Vec::<String>::new());
    assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o755, "whose it is, is not ours to say");
}

/// A directory with an order in its log, after a server was stopped on it.
async fn stopped_shop() -> Arc<TempDir> {
    let colophon = shop::open("900").await;
    let ann = Customer::new(&colophon, "ann");
    let book = shop::stocked(&colophon, &isbn(1), 100, 10).await;
    ann.held(&colophon, "a", &book, 2).await;
    colophon.stop()
}

#[tokio::test]
async fn a_log_or_vault_that_is_gone_is_not_replaced_by_an_empty_one() {
    let directory = stopped_shop().await;
    let data = directory.path().join("data");
    let backup = directory.path().join("backup");
    for (store, named) in [("log.sqlite", "event log"), ("vault.sqlite", "vault")] {
        let (path, kept) = (data.join(store), directory.path().join(store));
        let beside = |suffix: &str| data.join(format!("{store}{suffix}"));
        // A copy of a file that SQLite has closed is all of it.
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::rename(beside(suffix), directory.path().join(format!("{store}{suffix}")));
        }
        std::fs::rename(&path, &kept).unwrap();
        for empty in [false, true] {
            if empty {
                std::fs::write(&path, "").unwrap();
            }
            // Who tried last is in the lock.
            let data_files = || {
                let mut files = files(&data);
                files.remove(data.join("lock").to_str().unwrap());
                files
            };
            let before = data_files();
            let stock = directory.path().join("stock.csv");
            std::fs::write(&stock, "isbn,on_hand,price\n9780306406157,1,1.00\n").unwrap();
            for command in [
                &["dead-letters", "list"][..],
                &["replay", "list"],
                &["import", "stock", stock.to_str().unwrap()],
                &["backup", backup.to_str().unwrap()],
                &["serve", "--listen", "127.0.0.1:0"],
            ] {
                let refused = refusal(&data, command);
                assert!(refused.contains(named) || refused.contains("is not an event log"), "{command:?}: {refused}");
                assert_eq!(data_files(), before, "{command:?}");
                assert!(!backup.exists());
            }
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&kept, &path).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::rename(directory.path().join(format!("{store}{suffix}")), beside(suffix));
        }
    }
    let colophon = shop::open_on(directory, "900").await;
    let orders = Customer::new(&colophon, "ann").get(&colophon, "/v1/orders").await;
    assert_eq!(orders.json()["items"].as_array().unwrap().len(), 1, "{orders:?}");
}
