//! The bus on a real cluster.

mod outage;

use super::feed::{Feed, Mode};
use super::producer::Producer;
use super::reference::{Reference, WITHIN, log, write};
use super::scratch::settings;
use super::topic::{TopicError, ensure};
use super::*;
use crate::bus::Delivery;
use crate::bus::message::Message;
use crate::event_log::memory::MemoryLog;
use crate::event_log::{EventLog, Position};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Waits until a feed has exactly these partitions.
async fn has(feed: &Feed, satisfied: impl Fn(&BTreeSet<u16>) -> bool) -> BTreeSet<u16> {
    let mut assigned = feed.assigned();
    let assigned = timeout(WITHIN, assigned.wait_for(satisfied)).await;
    assigned.expect("the group deals out partitions").expect("the feed goes on").clone()
}

fn start(settings: &Settings, mode: Mode, log: &Arc<MemoryLog>, stop: &CancellationToken) -> Arc<Feed> {
    Feed::start(settings.clone(), mode, Arc::clone(log) as Arc<dyn EventLog>, stop.clone())
}

/// Sends the log between two positions, as the relay does.
async fn send(settings: &Settings, log: &MemoryLog, after: u64, to: u64) {
    let mut events = log.read_all(Position(after), usize::MAX).await.unwrap();
    events.retain(|event| event.position.0 <= to);
    let batch = Delivery::of_partitions(log.id(), Position(after), Position(to), events, settings.partitions);
    let producer = Producer::open(settings).unwrap();
    timeout(WITHIN, producer.send(&batch)).await.expect("the cluster answers").unwrap();
    producer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_once_and_another_is_refused() {
    let Some(settings) = settings(5) else { return };
    ensure(&settings).await.unwrap();
    ensure(&settings).await.unwrap();
    let refused = ensure(&Settings { partitions: 7, ..settings.clone() }).await.unwrap_err();
    assert!(matches!(refused, TopicError::Partitions { found: 5, configured: 7, .. }), "{refused}");
    assert!(refused.to_string().contains("has 5 partitions, and 7 are configured"), "{refused}");

    let admin: AdminClient<DefaultClientContext> = client::config(&settings).create().unwrap();
    let resource = ResourceSpecifier::Topic(&settings.topic);
    let described = admin.describe_configs([&resource], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    for (name, value) in [("cleanup.policy", "delete"), ("retention.ms", "604800000"), ("min.insync.replicas", "1")] {
        assert_eq!(described.get(name).and_then(|entry| entry.value.as_deref()), Some(value), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_comes_back_and_quiet_partitions_move() {
    let Some(settings) = settings(6) else { return };
    ensure(&settings).await.unwrap();
    let (log, stop) = (log(), CancellationToken::new());
    let feed = start(&settings, Mode::All, &log, &stop);
    has(&feed, |assigned| assigned.len() == 6).await;
    let reference = Reference::of(&log, 6);
    let reading = reference.follow(feed.subscribe()).await;
    write(&log, 0..50, 20).await;
    send(&settings, &log, 0, 400).await;
    send(&settings, &log, 400, 1_000).await;
    reference.is_the_log().await;
    // One event: five partitions have nothing but the news that there is nothing.
    write(&log, 3..4, 1).await;
    send(&settings, &log, 1_000, 1_001).await;
    reference.is_the_log().await;
    assert_eq!(reference.filled(), 0, "kafka brings all of it");
    stop.cancel();
    timeout(WITHIN, feed.ended()).await.unwrap();
    timeout(WITHIN, reading).await.expect("subscribers hear of the end").unwrap();
    assert!(feed.assigned().borrow().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_subscribes_late_hears_how_far_the_log_is() {
    let Some(settings) = settings(3) else { return };
    ensure(&settings).await.unwrap();
    let (log, stop) = (log(), CancellationToken::new());
    // What was sent before the feed begins is not read from Kafka.
    write(&log, 0..10, 10).await;
    send(&settings, &log, 0, 100).await;
    let feed = start(&settings, Mode::All, &log, &stop);
    has(&feed, |assigned| assigned.len() == 3).await;
    let mut bus = feed.subscribe();
    let first = timeout(WITHIN, bus.next(10)).await.unwrap().unwrap();
    let expected =
        |partition| Delivery { log: log.id(), partition, after: Position(100), position: Position(100), event: None };
    assert_eq!(first, [expected(0), expected(1), expected(2)]);
    let reference = Reference::of(&log, 3);
    tokio::spawn(Arc::clone(&reference).run(feed.subscribe()));
    reference.is_the_log().await;
    assert_eq!(reference.filled(), 100);
    stop.cancel();
    timeout(WITHIN, feed.ended()).await.unwrap();
}

/// Members of one group come and go while events are sent: whatever partition moves, the two of them miss nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_dealt_out_anew_misses_nothing() {
    let Some(settings) = settings(8) else { return };
    ensure(&settings).await.unwrap();
    let (log, stop) = (log(), CancellationToken::new());
    let group = || Mode::Group(format!("group-of-{}", settings.topic));
    let reference = Reference::of(&log, 8);
    let first = start(&settings, group(), &log, &stop);
    tokio::spawn(Arc::clone(&reference).run(first.subscribe()));
    has(&first, |assigned| assigned.len() == 8).await;

    let sending = tokio::spawn({
        let (settings, log, stop) = (settings.clone(), Arc::clone(&log), stop.clone());
        async move {
            let mut sent = 0;
            while !stop.is_cancelled() {
                write(&log, 0..40, 1).await;
                send(&settings, &log, sent, sent + 40).await;
                sent += 40;
            }
        }
    });
    for _ in 0..2 {
        let leave = CancellationToken::new();
        let second = start(&settings, group(), &log, &leave);
        tokio::spawn(Arc::clone(&reference).run(second.subscribe()));
        let theirs = has(&second, |assigned| assigned.len() == 4).await;
        let ours = has(&first, |assigned| assigned.len() == 4).await;
        assert!(theirs.is_disjoint(&ours));
        let head = log.head().await.unwrap();
        reference.wait_for(Position(head.0 + 40)).await;
        leave.cancel();
        timeout(WITHIN, second.ended()).await.unwrap();
        has(&first, |assigned| assigned.len() == 8).await;
        let head = log.head().await.unwrap();
        reference.wait_for(Position(head.0 + 40)).await;
    }
    stop.cancel();
    timeout(WITHIN, first.ended()).await.unwrap();
    timeout(WITHIN, sending).await.unwrap().unwrap();
    // Both are gone; the next one finds what nobody took, though no message comes after it.
    let sent = log.head().await.unwrap().0;
    write(&log, 0..40, 1).await;
    send(&settings, &log, sent, sent + 40).await;
    let stop = CancellationToken::new();
    let third = start(&settings, group(), &log, &stop);
    tokio::spawn(Arc::clone(&reference).run(third.subscribe()));
    reference.is_the_log().await;
    stop.cancel();
    timeout(WITHIN, third.ended()).await.unwrap();
}

/// A message that is another than was written is not taken, and what it hides is read from the log, even if no later
/// message tells of the gap.
#[tokio::test(flavor = "multi_thread")]
async fn an_altered_message_is_noticed() {
    let Some(settings) = settings(1) else { return };
    ensure(&settings).await.unwrap();
    let (log, stop) = (log(), CancellationToken::new());
    let feed = start(&settings, Mode::All, &log, &stop);
    has(&feed, |assigned| assigned.len() == 1).await;
    let reference = Reference::of(&log, 1);
    reference.follow(feed.subscribe()).await;
    write(&log, 0..1, 3).await;
    send(&settings, &log, 0, 2).await;
    reference.wait_for(Position(2)).await;
    assert_eq!(reference.filled(), 0);

    let events = log.read_all(Position(2), 1).await.unwrap();
    let delivery = Delivery::of_partitions(log.id(), Position(2), Position(3), events, 1).remove(0);
    let Message { key, headers, .. } = Message::of(&delivery);
    let with_header = |all: OwnedHeaders, (name, value): &(&str, String)| {
        all.insert(Header { key: name, value: Some(value.as_bytes()) })
    };
    let producer: FutureProducer = client::config(&settings).create().unwrap();
    let record = FutureRecord::to(&settings.topic)
        .partition(0)
        .key(key.as_ref().unwrap().as_str())
        .payload(r#"{"n":2,"stream":1}"#)
        .headers(headers.iter().fold(OwnedHeaders::new(), with_header));
    producer.send(record, WITHIN).await.unwrap();
    reference.is_the_log().await;
    assert_eq!(reference.filled(), 1, "the event that the altered message hid came from the log");
    stop.cancel();
    timeout(WITHIN, feed.ended()).await.unwrap();
}

/// Who is slow holds back the feed, not the group: it stays a member, the others wait, and nobody misses anything.
#[tokio::test(flavor = "multi_thread")]
async fn the_slowest_subscriber_holds_back_the_feed() {
    let Some(settings) = settings(2) else { return };
    let settings = Settings { session_timeout: Duration::from_secs(6), ..settings };
    ensure(&settings).await.unwrap();
    let (log, stop) = (log(), CancellationToken::new());
    let feed = start(&settings, Mode::Group(format!("group-of-{}", settings.topic)), &log, &stop);
    has(&feed, |assigned| assigned.len() == 2).await;
    let mut assigned = feed.assigned();
    assigned.mark_unchanged();
    let slow = feed.subscribe();
    drop(feed.subscribe());
    let quick = Reference::of(&log, 2);
    quick.follow(feed.subscribe()).await;
    write(&log, 0..100, 250).await;
    send(&settings, &log, 0, 25_000).await;
    // The quick one gets what the slow one's queue can hold, and not much more.
    quick.wait_for(Position(1_000)).await;
    // For longer than a group waits for a member that does not poll.
    let all = timeout(settings.session_timeout * 2 + Duration::from_secs(2), quick.wait_for(Position(25_000))).await;
    assert!(all.is_err(), "the slow one has not taken anything, and yet all has come");
    let behind = Reference::of(&log, 2);
    tokio::spawn(Arc::clone(&behind).run(slow));
    quick.is_the_log().await;
    behind.is_the_log().await;
    assert_eq!((quick.filled(), behind.filled()), (0, 25_000));
    assert!(!assigned.has_changed().unwrap(), "it stayed a member all the while");
    stop.cancel();
    timeout(WITHIN, feed.ended()).await.unwrap();
}
