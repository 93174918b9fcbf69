//! The log counted again: nothing is found in sound views, and what is missing or doubled is found in its own view.

mod health;
mod one_generation;

use super::*;
use crate::dead_letters::{Remedy, take_up};
use crate::test_history::{History, ISBNS, Stores, Viewed, book_stream, catalogue, happen};
use crate::worker::Worker;
use one_generation::OneGeneration;
use platform::bus::Delivery;
use platform::event_log::RecordedEvent;
use platform::view_store::Change;
use proptest::collection::vec;
use proptest::prelude::*;

fn of_views(history: &History, views: &[Viewed]) -> Reconciliation {
    let watched = views.iter().map(|viewed| (viewed.view, Arc::clone(&viewed.generations)));
    Reconciliation::new(Arc::clone(&history.log) as Arc<dyn EventLog>, watched)
}

/// The views that are not consistent.
async fn inconsistent(reconciliation: &mut Reconciliation, views: usize) -> Vec<(&'static str, Finding)> {
    let mut findings = reconciliation.round(Pace::Full).await.unwrap();
    assert_eq!(findings.len(), views, "every view stands where it was counted to");
    findings.retain(|(_, finding)| !finding.consistent);
    findings
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// 8 = an event that nobody can read, 9 = one that waits is skipped.
    #[test]
    fn sound_views_are_consistent_round_after_round(
        rounds in vec(vec((0..ISBNS.len(), 0..10_u32, 0..50_u64), 1..40), 1..5),
    ) {
        block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let mut history = History::new();
            let stores = Stores::open(directory.path(), &history).await;
            let views = stores.views(&history);
            let mut reconciliation = of_views(&history, &views);
            for happenings in rounds {
                // Not all of them go on in every round.
                let left_behind = happenings[0].0;
                for (place, what, n) in happenings {
                    match what {
                        8 => history.poison(&book_stream(place)).await,
                        9 => for viewed in &views {
                            let (log, stream) = (history.log.as_ref(), book_stream(place));
                            take_up(viewed.view, log, &viewed.live(), &stream, Remedy::Skip).await.unwrap();
                        },
                        _ => happen(&mut history, place, what, n).await,
                    }
                }
                for (_, viewed) in views.iter().enumerate().filter(|(number, _)| *number != left_behind) {
                    viewed.catch_up().await;
                }
                assert_eq!(inconsistent(&mut reconciliation, views.len()).await, []);
            }
            stores.close().await;
        });
    }
}

/// Takes the log without its last event that is for the view, as if there were none.
async fn take_but_the_last(viewed: &Viewed, events: Vec<RecordedEvent>) {
    let last = events.iter().rposition(|event| viewed.view.takes(event)).unwrap();
    let mut deliveries = Delivery::of_whole_log(viewed.log.id(), Position(0), events);
    deliveries[last].event = None;
    Worker::open(viewed.view, viewed.live()).await.unwrap().take(&deliveries).await.unwrap();
}

#[tokio::test]
async fn an_event_that_a_view_has_missed_is_found_in_that_view() {
    let history = catalogue().await;
    for place in 0..4 {
        let directory = tempfile::tempdir().unwrap();
        let stores = Stores::open(directory.path(), &history).await;
        let views = stores.views(&history);
        take_but_the_last(&views[place], history.events().await).await;
        for viewed in &views {
            viewed.catch_up().await;
        }
        let mut reconciliation = of_views(&history, &views);
        for _ in 0..2 {
            let found = inconsistent(&mut reconciliation, views.len()).await;
            let [(view, finding)] = found[..] else { panic!("{found:?}") };
            assert_eq!(view, views[place].view.name());
            assert_eq!(finding.taken_events + 1, finding.expected_events);
            assert_eq!(finding.position, history.log.head().await.unwrap().0);
        }
        stores.close().await;
    }
}

#[tokio::test]
async fn an_event_that_is_counted_twice_is_found_also_in_place_of_another() {
    let directory = tempfile::tempdir().unwrap();
    let history = catalogue().await;
    let stores = Stores::open(directory.path(), &history).await;
    let views = stores.views(&history);
    for viewed in &views {
        viewed.catch_up().await;
    }
    let mut reconciliation = of_views(&history, &views);
    assert_eq!(inconsistent(&mut reconciliation, views.len()).await, []);
    let events = history.events().await;
    let [twice, instead, ..] = &events[..] else { panic!("a book is registered, and another") };
    let books = views[0].live();
    let at = books.checkpoints().await.unwrap().remove(0);
    let mut change = Change::of(at.clone(), at.position);
    change.tally.add(twice);
    assert!(books.write(&change).await.unwrap());
    let found = inconsistent(&mut reconciliation, views.len()).await;
    assert!(
        matches!(found[..], [("books", finding)] if finding.taken_events == finding.expected_events + 1),
        "{found:?}"
    );

    change.from = books.checkpoints().await.unwrap().remove(0);
    change.tally.events -= 1;
    change.tally.digest = change.tally.digest.wrapping_sub(instead.checksum);
    assert!(books.write(&change).await.unwrap());
    let found = inconsistent(&mut reconciliation, views.len()).await;
    assert!(matches!(found[..], [("books", finding)] if finding.taken_events == finding.expected_events), "{found:?}");
    stores.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_log_is_read_at_the_pace_that_is_asked_for() {
    let mut history = catalogue().await;
    while history.log.head().await.unwrap().0 < 3_500 {
        happen(&mut history, 0, 4, 1).await;
    }
    let generations = OneGeneration::of(&history);
    generations.catch_up(&history, Position(3_500)).await;
    for (pace, seconds) in [(Pace::EventsPerSecond(1_000), 3.5), (Pace::EventsPerSecond(500), 7.0), (Pace::Full, 0.0)] {
        let watched = generations.watched();
        let mut reconciliation = Reconciliation::new(Arc::clone(&history.log) as Arc<dyn EventLog>, [watched]);
        let began_at = Instant::now();
        let findings = reconciliation.round(pace).await.unwrap();
        assert!(matches!(findings[..], [(_, finding)] if finding.consistent), "{findings:?}");
        let took = began_at.elapsed().as_secs_f64();
        assert!((took - seconds).abs() < 0.05, "{took} s instead of {seconds}");
        reconciliation.round(Pace::EventsPerSecond(1)).await.unwrap();
        assert_eq!(began_at.elapsed().as_secs_f64(), took, "what is counted is not read again");
    }
}
