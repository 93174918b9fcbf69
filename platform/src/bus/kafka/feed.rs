//! The feed: what comes from the topic, handed to every view of this process.
//!
//! Where to begin is never left to Kafka: the offsets that a group commits tell its lag to whoever watches, and nothing
//! is read from them. A partition is read from its end on, and whoever takes the deliveries first hears how far the log
//! is; what lies between is in the log.

mod assignment;
mod consumer;
mod subscriber;

use self::subscriber::{Inbox, Subscriber};
use super::Settings;
use crate::bus::{Bus, Deliveries, Delivery};
use crate::event_log::{EventLog, Position};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Which partitions a feed reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Its share of them, as a member of the consumer group of this name.
    Group(String),
    /// All of them, by itself.
    All,
}

/// A consumer of the topic, and who takes what it brings.
pub struct Feed {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

impl Feed {
    /// Reads the topic until it is stopped, or the feed is dropped. A cluster that is away is waited for.
    pub fn start(settings: Settings, mode: Mode, log: Arc<dyn EventLog>, stop: CancellationToken) -> Arc<Self> {
        let group = match &mode {
            Mode::Group(group) => group.clone(),
            Mode::All => "all".to_owned(),
        };
        let shared = Arc::new(Shared {
            group,
            log,
            inboxes: Mutex::default(),
            assigned: watch::Sender::default(),
            ended: CancellationToken::new(),
        });
        let stop = stop.child_token();
        // A thread of its own: the consumer calls back, and then waits for the cluster, in the thread that polls it.
        let reading = (Arc::clone(&shared), stop.clone());
        let spawned = std::thread::Builder::new().name("kafka-feed".to_owned()).spawn(move || {
            let (shared, stop) = reading;
            consumer::run(&shared, &settings, &mode, &stop);
        });
        drop(spawned.expect("the operating system has one more thread for this process"));
        Arc::new(Self { shared, _stop: stop.drop_guard() })
    }

    /// All deliveries of the partitions that this feed has, from now on. First, and whenever it gets a partition, comes
    /// how far the log is in it: who has not come that far reads what lies between from the log. Whoever subscribes has
    /// to take what comes, or drop this: the slowest holds back the others.
    pub fn subscribe(&self) -> Box<dyn Bus> {
        Box::new(Subscriber::new(self.shared.subscribe(), Arc::clone(&self.shared.log)))
    }

    /// The partitions that this feed has.
    pub fn assigned(&self) -> watch::Receiver<BTreeSet<u16>> {
        self.shared.assigned.subscribe()
    }

    /// Waits until a feed that was stopped has given back its partitions, so that others get them at once.
    pub async fn ended(&self) {
        self.shared.ended.cancelled().await;
    }
}

/// What the consumer's thread and the subscribers share.
struct Shared {
    /// The consumer group's name; none has `all`.
    group: String,
    log: Arc<dyn EventLog>,
    /// Held while the assignment changes too: who subscribes meanwhile misses nothing of it.
    inboxes: Mutex<Vec<Weak<Inbox>>>,
    assigned: watch::Sender<BTreeSet<u16>>,
    ended: CancellationToken,
}

impl Deliveries for Feed {
    fn subscribe(self: Arc<Self>, _: Position) -> Box<dyn Bus> {
        Self::subscribe(&self)
    }
}

impl Shared {
    fn subscribe(&self) -> Arc<Inbox> {
        let mut inboxes = self.inboxes();
        let inbox = Arc::new(Inbox::default());
        inbox.begin(&self.assigned.borrow());
        if self.ended.is_cancelled() {
            inbox.end();
        }
        inboxes.push(Arc::downgrade(&inbox));
        inbox
    }

    /// Gets partitions, whose start is fixed.
    fn gain(&self, partitions: &BTreeSet<u16>) {
        let inboxes = self.inboxes();
        self.reassign(|assigned| assigned.extend(partitions));
        inboxes.iter().filter_map(Weak::upgrade).for_each(|inbox| inbox.begin(partitions));
    }

    fn reassign(&self, change: impl FnOnce(&mut BTreeSet<u16>)) {
        self.assigned.send_modify(change);
        metrics::gauge!("bus_partitions", "group" => self.group.clone()).set(self.assigned.borrow().len() as f64);
    }

    /// Others have these partitions now.
    fn lose(&self, partitions: &BTreeSet<u16>) {
        let _inboxes = self.inboxes();
        self.reassign(|assigned| assigned.retain(|partition| !partitions.contains(partition)));
    }

    /// Has everyone look into the log for what they miss of these partitions, as far as they are ours.
    fn look_again(&self, partitions: &BTreeSet<u16>) {
        let inboxes = self.inboxes();
        let ours = &*self.assigned.borrow() & partitions;
        inboxes.iter().filter_map(Weak::upgrade).for_each(|inbox| inbox.begin(&ours));
    }

    /// Hands deliveries to everyone who is still there.
    fn hand_over(&self, deliveries: &[Delivery]) {
        self.inboxes().retain(|inbox| {
            let inbox = inbox.upgrade();
            inbox.inspect(|inbox| inbox.add(deliveries)).is_some()
        });
    }

    /// Whether all who are still there satisfy this.
    fn all(&self, satisfy: impl Fn(&Inbox) -> bool) -> bool {
        self.inboxes().iter().filter_map(Weak::upgrade).all(|inbox| satisfy(&inbox))
    }

    fn end(&self) {
        let inboxes = self.inboxes();
        self.reassign(BTreeSet::clear);
        self.ended.cancel();
        inboxes.iter().filter_map(Weak::upgrade).for_each(|inbox| inbox.end());
    }

    fn inboxes(&self) -> MutexGuard<'_, Vec<Weak<Inbox>>> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
