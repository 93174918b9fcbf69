//! The relay on a real broker: alone, two at once, cut off, and on a log that fails.

use super::*;
use crate::bus::kafka::feed::{Feed, Mode};
use crate::bus::kafka::reference::{Reference, WITHIN, log, write};
use crate::bus::kafka::scratch::settings;
use crate::event_log::fault::FaultyLog;
use crate::event_log::memory::MemoryLog;
use crate::postgres::lease::{Epoch, Standing, while_ours};
use crate::postgres::scratch::Scratch;
use futures_util::future::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// A topic, a database, a log, and a feed whose deliveries a reference takes.
struct Rig {
    settings: Settings,
    database: Scratch,
    log: Arc<MemoryLog>,
    reference: Arc<Reference>,
    feed: Arc<Feed>,
    stop: CancellationToken,
}

impl Rig {
    async fn new(partitions: u16) -> Option<Self> {
        let (settings, database) = (settings(partitions)?, Scratch::new().await?);
        topic::ensure(&settings).await.unwrap();
        let (log, stop) = (log(), CancellationToken::new());
        let reference = Reference::of(&log, partitions);
        let feed = Feed::start(settings.clone(), Mode::All, Arc::clone(&log) as Arc<dyn EventLog>, stop.clone());
        let mut assigned = feed.assigned();
        timeout(WITHIN, assigned.wait_for(|assigned| !assigned.is_empty())).await.unwrap().unwrap();
        reference.follow(feed.subscribe()).await;
        Some(Self { settings, database, log, reference, feed, stop })
    }

    async fn progress(&self) -> Arc<RelayProgress> {
        Arc::new(RelayProgress::open(&self.database.url, self.log.id(), &self.settings.topic).await.unwrap())
    }

    async fn relay(&self, stop: CancellationToken) -> JoinHandle<()> {
        let log = Arc::clone(&self.log) as Arc<dyn EventLog>;
        tokio::spawn(run(log, self.settings.clone(), self.progress().await, stop))
    }

    /// All that the log has came by Kafka alone, and its progress is stored.
    async fn ends_complete(self) {
        self.reference.is_the_log().await;
        assert_eq!(self.reference.filled(), 0, "no delivery lies behind a gap");
        let (head, progress) = (self.log.head().await.unwrap(), self.progress().await);
        let deadline = Instant::now() + WITHIN;
        while progress.position().await.unwrap() != head {
            assert!(Instant::now() < deadline, "what was sent is stored");
            tokio::task::yield_now().await;
        }
        self.stop.cancel();
        timeout(WITHIN, self.feed.ended()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_sent_from_where_it_was_left() {
    let Some(rig) = Rig::new(6).await else { return };
    write(&rig.log, 0..30, 100).await;
    let stop = CancellationToken::new();
    let relay = rig.relay(stop.clone()).await;
    rig.reference.is_the_log().await;
    write(&rig.log, 7..8, 1).await;
    rig.reference.is_the_log().await;
    stop.cancel();
    timeout(WITHIN, relay).await.expect("a relay that is stopped ends").unwrap();
    write(&rig.log, 0..30, 10).await;
    let relay = rig.relay(rig.stop.clone()).await;
    rig.ends_complete().await;
    timeout(WITHIN, relay).await.unwrap().unwrap();
}

/// Relays do not know of each other, and are killed in the middle of batches: whoever takes what fits has every event
/// once, in order, and never meets a gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_at_once_and_kills_do_no_harm() {
    let Some(rig) = Rig::new(6).await else { return };
    write(&rig.log, 0..100, 300).await;
    let steady = rig.relay(rig.stop.clone()).await;
    for kill in 1..=8 {
        let killed = rig.relay(CancellationToken::new()).await;
        rig.reference.wait_for(Position(kill * 3_000)).await;
        killed.abort();
        assert!(timeout(WITHIN, killed).await.unwrap().is_err_and(|error| error.is_cancelled()));
        write(&rig.log, 0..100, 5).await;
    }
    rig.ends_complete().await;
    timeout(WITHIN, steady).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_killed_again_and_again_goes_on() {
    let Some(rig) = Rig::new(3).await else { return };
    write(&rig.log, 0..100, 100).await;
    for kill in 1..=6 {
        let killed = rig.relay(CancellationToken::new()).await;
        rig.reference.wait_for(Position(kill * 1_400)).await;
        killed.abort();
        assert!(timeout(WITHIN, killed).await.unwrap().is_err_and(|error| error.is_cancelled()));
    }
    let last = rig.relay(rig.stop.clone()).await;
    rig.ends_complete().await;
    timeout(WITHIN, last).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_tried_again_from_what_is_stored() {
    let Some(rig) = Rig::new(3).await else { return };
    let faulty = Arc::new(FaultyLog::new(Arc::clone(&rig.log) as Arc<dyn EventLog>));
    faulty.fail_reads(true);
    write(&rig.log, 0..10, 100).await;
    let log = Arc::clone(&faulty) as Arc<dyn EventLog>;
    let mut relay = Relay { log, settings: rig.settings.clone(), progress: rig.progress().await, again: AGAIN_FIRST };
    let failed = timeout(WITHIN, relay.attempt(&rig.stop)).await.unwrap();
    assert!(matches!(failed, Err(RelayError::Log(LogError::Unavailable(_)))), "{failed:?}");
    // What one producer cannot bring in, another sends from there.
    let log = Arc::clone(&faulty) as Arc<dyn EventLog>;
    let relay = tokio::spawn(run(log, rig.settings.clone(), rig.progress().await, rig.stop.clone()));
    faulty.fail_reads(false);
    rig.reference.is_the_log().await;
    faulty.fail_reads(true);
    write(&rig.log, 0..10, 1).await;
    faulty.fail_reads(false);
    rig.ends_complete().await;
    timeout(WITHIN, relay).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_sends_while_the_lease_is_ours() {
    let Some(rig) = Rig::new(3).await else { return };
    let ours = |seconds| {
        let until = Instant::now() + Duration::from_secs(seconds);
        Standing::Ours { epoch: Epoch(1), until }
    };
    let theirs = Standing::Theirs { address: "127.0.0.1:1".to_owned(), epoch: Epoch(2) };
    let standing = watch::Sender::new(theirs.clone());
    let log = Arc::clone(&rig.log) as Arc<dyn EventLog>;
    let progress = rig.progress().await;
    let (settings, stored) = (rig.settings.clone(), Arc::clone(&progress));
    let leased = while_ours(standing.subscribe(), rig.stop.clone(), move |tenure| {
        run(Arc::clone(&log), settings.clone(), Arc::clone(&stored), tenure).boxed()
    });
    let leased = tokio::spawn(leased);
    write(&rig.log, 0..10, 1).await;
    standing.send_replace(ours(60));
    rig.reference.is_the_log().await;
    // It is renewed, lost, and ours again.
    standing.send_replace(ours(60));
    write(&rig.log, 0..10, 1).await;
    rig.reference.is_the_log().await;
    standing.send_replace(theirs);
    standing.send_replace(ours(60));
    write(&rig.log, 0..10, 1).await;
    rig.reference.is_the_log().await;
    // It ends without anybody saying so, and then whoever kept it is gone: only a relay that has ended lets this end.
    standing.send_replace(ours(1));
    drop(standing);
    timeout(WITHIN, leased).await.expect("a lease that has ended is not ours").unwrap();
    rig.stop.cancel();
    timeout(WITHIN, rig.feed.ended()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_never_goes_back_and_belongs_to_one_log_and_topic() {
    let Some(database) = Scratch::new().await else { return };
    let (first, second) = (log().id(), log().id());
    let open = async |log, topic| RelayProgress::open(&database.url, log, topic).await.unwrap();
    let progress = open(first, "a").await;
    assert_eq!(progress.position().await.unwrap(), Position(0));
    progress.store(Position(7)).await.unwrap();
    progress.store(Position(3)).await.unwrap();
    assert_eq!(open(first, "a").await.position().await.unwrap(), Position(7));
    assert_eq!(open(first, "b").await.position().await.unwrap(), Position(0));
    assert_eq!(open(second, "a").await.position().await.unwrap(), Position(0));
}

/// Positions that Kafka has told of already would be given to other events.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_before_what_was_sent_is_not_sent() {
    let Some(rig) = Rig::new(1).await else { return };
    write(&rig.log, 0..1, 5).await;
    rig.progress().await.store(Position(6)).await.unwrap();
    let (log, progress) = (Arc::clone(&rig.log) as Arc<dyn EventLog>, rig.progress().await);
    let mut relay = Relay { log, settings: rig.settings.clone(), progress, again: AGAIN_FIRST };
    let refused = timeout(WITHIN, relay.attempt(&rig.stop)).await.unwrap();
    assert!(matches!(refused, Err(RelayError::Shorter { head: 5, sent: 6 })), "{refused:?}");
    rig.stop.cancel();
    timeout(WITHIN, rig.feed.ended()).await.unwrap();
}

#[tokio::test]
async fn a_batch_holds_so_many_bytes_or_one_event() {
    let log = log();
    write(&log, 0..3, 1).await;
    let events = |sizes: [usize; 3]| {
        let log = Arc::clone(&log);
        async move {
            let mut events = log.read_all(Position(0), 3).await.unwrap();
            for (event, size) in events.iter_mut().zip(sizes) {
                event.data = vec![b'x'; size].into();
            }
            up_to_bytes(events).len()
        }
    };
    assert_eq!(events([BYTES / 2, BYTES / 2, 1]).await, 2);
    assert_eq!(events([BYTES + 1, 1, 1]).await, 1);
    assert_eq!(events([1, 1, 1]).await, 3);
}
