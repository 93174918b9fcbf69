//! What each subscriber gets, and what holds the feed back.

use super::*;
use crate::event_log::LogId;
use crate::event_log::memory::MemoryLog;
use uuid::Uuid;

const LOG: LogId = LogId(Uuid::from_u128(1));

fn quiet(partition: u16, after: u64, position: u64) -> Delivery {
    Delivery { log: LOG, partition, after: Position(after), position: Position(position), event: None }
}

fn subscriber() -> (Arc<Inbox>, Subscriber) {
    let inbox = Arc::new(Inbox::default());
    (Arc::clone(&inbox), Subscriber::new(inbox, Arc::new(MemoryLog::new(LOG))))
}

async fn next(subscriber: &mut Subscriber, limit: usize) -> Result<Vec<Delivery>, BusError> {
    timeout(Duration::from_secs(5), subscriber.next(limit)).await.expect("something comes")
}

#[tokio::test]
async fn starts_come_first_and_once() {
    let (inbox, mut subscriber) = subscriber();
    inbox.add(&[quiet(1, 4, 5)]);
    inbox.begin(&BTreeSet::from([0, 1, 2]));
    assert_eq!(next(&mut subscriber, 2).await.unwrap(), [quiet(0, 0, 0), quiet(1, 0, 0)]);
    assert_eq!(next(&mut subscriber, 2).await.unwrap(), [quiet(2, 0, 0)]);
    assert_eq!(next(&mut subscriber, 2).await.unwrap(), [quiet(1, 4, 5)]);
    inbox.end();
    assert!(next(&mut subscriber, 2).await.is_err());
}

/// A partition that is dealt out again while the log is asked is not answered by what the log said before.
#[test]
fn a_start_that_is_found_out_later_is_told_later() {
    let inbox = Inbox::default();
    inbox.begin(&BTreeSet::from([0, 1]));
    let asked = inbox.to_tell().unwrap();
    inbox.begin(&BTreeSet::from([1]));
    assert_eq!(inbox.tell(asked, 9), [0]);
    let asked = inbox.to_tell().unwrap();
    assert_eq!(inbox.tell(asked, 9), [1]);
    assert!(inbox.to_tell().is_none());
}

#[test]
fn it_is_full_at_its_bound_and_has_room_at_half_of_it() {
    let inbox = Inbox::default();
    let deliveries: Vec<_> = (0..DELIVERIES as u64).map(|after| quiet(0, after, after + 1)).collect();
    inbox.add(&deliveries[1..]);
    assert!(!inbox.is_full());
    inbox.add(&deliveries[..1]);
    assert!(inbox.is_full());
    assert_eq!(inbox.take(DELIVERIES / 2 - 1).len(), DELIVERIES / 2 - 1);
    assert!(!inbox.is_full() && !inbox.has_room());
    assert_eq!(inbox.take(1).len(), 1);
    assert!(inbox.has_room());
}
