//! What is watched in the background, in paused time.

use super::*;
use crate::health::{FROZEN_AFTER, Health};
use tokio_util::sync::CancellationToken;

#[tokio::test(start_paused = true)]
async fn a_view_that_stands_while_the_log_goes_on_is_reported_frozen() {
    let history = catalogue().await;
    let head = history.log.head().await.unwrap();
    let generations = OneGeneration::of(&history);
    generations.catch_up(&history, Position(head.0 - 2)).await;
    let stop = CancellationToken::new();
    let health = Health::new(Arc::clone(&history.log) as Arc<dyn EventLog>, vec![generations.watched()]);
    let watching = tokio::spawn(Arc::clone(&health).watch(stop.clone()));
    let second = Duration::from_secs(1);

    tokio::time::sleep(FROZEN_AFTER - second).await;
    assert_eq!(health.alarms(), []);
    generations.catch_up(&history, Position(head.0 - 1)).await;
    tokio::time::sleep(FROZEN_AFTER - second).await;
    assert_eq!(health.alarms(), [], "it has moved");
    tokio::time::sleep(3 * second).await;
    let alarms = health.alarms();
    let [alarm] = &alarms[..] else { panic!("{alarms:?}") };
    assert_eq!(alarm.view.as_deref(), Some("stock"));
    assert!(alarm.what.contains(&format!("stands at position {}", head.0 - 1)), "{alarm}");
    generations.catch_up(&history, head).await;
    tokio::time::sleep(2 * second).await;
    assert_eq!(health.alarms(), []);
    tokio::time::sleep(3 * FROZEN_AFTER).await;
    assert_eq!(health.alarms(), [], "it is level with the log");
    stop.cancel();
    watching.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_view_that_has_missed_an_event_is_reported_until_it_has_not() {
    let history = catalogue().await;
    let (sound, unsound) = (OneGeneration::of(&history), OneGeneration::of(&history));
    let head = history.log.head().await.unwrap();
    sound.catch_up(&history, head).await;
    unsound.catch_up(&history, head).await;
    for (generations, alarms) in [(&sound, 0), (&unsound, 1)] {
        let store = generations.watched().1.live_generation().store;
        let at = store.checkpoints().await.unwrap().remove(0);
        let mut change = Change::of(at.clone(), at.position);
        change.tally.events -= alarms as u64;
        assert!(store.write(&change).await.unwrap());
        let health = Health::new(Arc::clone(&history.log) as Arc<dyn EventLog>, vec![generations.watched()]);
        let (stop, second) = (CancellationToken::new(), Duration::from_secs(1));
        let watching = tokio::spawn(Arc::clone(&health).watch(stop.clone()));
        tokio::time::sleep(second).await;
        assert_eq!(health.alarms().len(), alarms, "{:?}", health.alarms());
        let change = Change { tally: at.tally, ..Change::of(change.checkpoint(), at.position) };
        assert!(store.write(&change).await.unwrap());
        tokio::time::sleep(11 * second).await;
        assert_eq!(health.alarms(), []);
        stop.cancel();
        watching.await.unwrap();
    }
}
