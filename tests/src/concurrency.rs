//! Many at once: one book per ISBN, no copy sold twice, and many decisions in one commit.

use crate::colophon::{Colophon, book, isbn};
use futures_util::future::join_all;
use serde_json::json;

#[tokio::test]
async fn of_twenty_registrations_of_one_isbn_one_succeeds() {
    let colophon = Colophon::start().await;
    let forms = ["9780306406157", "978-0-306-40615-7", "0306406152", "0-306-40615-2", "978 0 306 40615 7"];
    let registrations = (0..20).map(|n| {
        let colophon = &colophon;
        async move { colophon.post("/v1/books", &book(forms[n % forms.len()])).await }
    });
    let answers = join_all(registrations).await;
    let created: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    let taken = answers.iter().filter(|answer| answer.status == 409 && answer.problem().1 == "isbn_taken").count();
    assert_eq!((created.len(), taken), (1, 19));
    let position = answers.iter().map(|answer| answer.position()).max().unwrap();
    let listed = colophon.get_at("/v1/books", position).await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn of_thirty_withdrawals_of_ten_copies_ten_succeed() {
    let colophon = Colophon::start().await;
    let id = colophon.register("9780306406157").await;
    assert_eq!(colophon.adjust(&id, 10).await.status, 200);
    let answers = join_all((0..30).map(|_| colophon.adjust(&id, -1))).await;
    let withdrawn = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.status == 409 && answer.problem().1 == "not_enough_stock");
    assert_eq!((withdrawn, refused.count()), (10, 20));
    let position = answers.iter().map(|answer| answer.position()).max().unwrap();
    let stock = colophon.get_at(&format!("/v1/stock/{id}"), position).await.json();
    assert_eq!(stock, json!({"on_hand": 0, "reserved": 0, "available": 0, "revision": 11}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_writers_to_one_book_all_succeed_and_share_commits() {
    let colophon = Colophon::start().await;
    let id = colophon.register(&isbn(1)).await;
    let before = counts(&colophon).await;
    let writers = (0..64).map(|_| async {
        for _ in 0..20 {
            assert_eq!(colophon.adjust(&id, 1).await.status, 200);
        }
    });
    join_all(writers).await;
    let after = counts(&colophon).await;
    let (events, commits) = (after.0 - before.0, after.1 - before.1);
    assert_eq!(events, 64.0 * 20.0);
    // How many share one depends on how fast this client is; the dispatcher's own tests hold it to eight.
    assert!(events / commits >= 2.0, "{events} events in {commits} commits");
}

/// Events and commits of the log so far.
async fn counts(colophon: &Colophon) -> (f64, f64) {
    let metrics = colophon.metrics().await;
    (metrics["log_events_total"], metrics["log_commits_total"])
}
