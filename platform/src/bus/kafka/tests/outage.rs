//! What a cluster does that fails: librdkafka's own imitation of one, which fails on demand.

use super::*;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

struct Outage {
    cluster: MockCluster<'static, DefaultProducerContext>,
    settings: Settings,
    log: Arc<MemoryLog>,
    reference: Arc<Reference>,
    feed: Arc<Feed>,
    stop: CancellationToken,
}

impl Outage {
    async fn new() -> Self {
        let cluster = MockCluster::new(1).unwrap();
        let settings = Settings { partitions: 2, ..Settings::new(&cluster.bootstrap_servers()) };
        cluster.create_topic(&settings.topic, 2, 1).unwrap();
        let (log, stop) = (log(), CancellationToken::new());
        let feed = start(&settings, Mode::All, &log, &stop);
        has(&feed, |assigned| assigned.len() == 2).await;
        let reference = Reference::of(&log, 2);
        reference.follow(feed.subscribe()).await;
        write(&log, 0..10, 10).await;
        send(&settings, &log, 0, 100).await;
        reference.is_the_log().await;
        Self { cluster, settings, log, reference, feed, stop }
    }

    async fn end(self) {
        self.stop.cancel();
        timeout(WITHIN, self.feed.ended()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_away_is_waited_for() {
    let outage = Outage::new().await;
    outage.cluster.broker_down(1).unwrap();
    write(&outage.log, 0..10, 10).await;
    let sending = tokio::spawn({
        let (settings, log) = (outage.settings.clone(), Arc::clone(&outage.log));
        async move { send(&settings, &log, 100, 200).await }
    });
    // A feed that begins meanwhile waits as well.
    let late = Reference::of(&outage.log, 2);
    let second = start(&outage.settings, Mode::All, &outage.log, &outage.stop);
    tokio::spawn(Arc::clone(&late).run(second.subscribe()));
    assert!(!sending.is_finished());
    outage.cluster.broker_up(1).unwrap();
    timeout(WITHIN, sending).await.unwrap().unwrap();
    outage.reference.is_the_log().await;
    late.is_the_log().await;
    outage.end().await;
}

/// An idempotent producer sends again what was not taken, in its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_refused_for_now_is_sent_again_in_order() {
    let outage = Outage::new().await;
    let refused = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    ];
    outage.cluster.request_errors(RDKafkaApiKey::Produce, &refused);
    write(&outage.log, 0..10, 100).await;
    send(&outage.settings, &outage.log, 100, 1_100).await;
    outage.reference.is_the_log().await;
    assert_eq!(outage.reference.filled(), 0);
    outage.end().await;
}

/// Where the topic no longer has what comes next, the feed begins anew, and says so: what was lost is in the log.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_topic_has_lost_is_read_from_the_log() {
    let outage = Outage::new().await;
    let lost = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE; 4];
    outage.cluster.request_errors(RDKafkaApiKey::Fetch, &lost);
    // Nothing of this is ever sent.
    write(&outage.log, 0..10, 1).await;
    outage.reference.is_the_log().await;
    assert_eq!(outage.reference.filled(), 10);
    outage.end().await;
}
