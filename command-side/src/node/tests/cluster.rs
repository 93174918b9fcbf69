//! Nodes that reach each other over gRPC, one log that knows whose epoch it is, and a lease that goes where it is told.

use super::super::{Node, Parts};
use crate::commands::Request;
use crate::dispatcher::Settings;
use crate::grpc_server::serve;
use crate::remote::Peers;
use crate::secret::Secret;
use crate::wire::{self, v1};
use futures_util::future::{BoxFuture, FutureExt};
use platform::event_log::memory::MemoryLog;
use platform::event_log::{Append, EventLog, LogError, LogId, Position, RecordedEvent, Revision, StreamId, Verdict};
use platform::postgres::lease::{Epoch, Standing};
use platform::seam::{Seam, Timestamp};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(super) const SECRET: &str = "00000000000000000000000000000000";

/// A node that is none of the cluster's.
pub(super) const SENDER: Uuid = Uuid::from_u128(7);

/// What has to come comes by then.
const PATIENCE: Duration = Duration::from_secs(60);

/// The log's lock, under which the epoch changes and batches are written.
type Lock = Arc<Mutex<Epoch>>;

/// The log as a writer of one epoch has it.
struct Written {
    log: Arc<MemoryLog>,
    epoch: Epoch,
    lock: Lock,
    begun: Arc<AtomicU64>,
}

impl EventLog for Written {
    fn id(&self) -> LogId {
        self.log.id()
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Vec<Verdict>, LogError>> {
        async move {
            let begun = self.begun.fetch_add(1, Ordering::SeqCst);
            // Commits take their time; some are in the log long before their writer hears of it.
            tokio::time::sleep(Duration::from_micros(200)).await;
            let current = self.lock.lock().await;
            if *current != self.epoch {
                return Err(LogError::Deposed);
            }
            let verdicts = self.log.append(batch).await;
            drop(current);
            if begun.is_multiple_of(3) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            verdicts
        }
        .boxed()
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        self.log.read_stream(stream, after, limit)
    }

    fn read_all(&self, after: Position, limit: usize) -> BoxFuture<'_, Result<Vec<RecordedEvent>, LogError>> {
        self.log.read_all(after, limit)
    }

    fn wait_past(&self, position: Position) -> BoxFuture<'_, Result<Position, LogError>> {
        self.log.wait_past(position)
    }

    fn import(&self, last: Position, pages: mpsc::Receiver<Vec<RecordedEvent>>) -> BoxFuture<'_, Result<(), LogError>> {
        self.log.import(last, pages)
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        self.log.head()
    }
}

struct Member {
    node: Node,
    standing: watch::Sender<Standing>,
    address: String,
    running: JoinHandle<Result<(), LogError>>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

pub(super) struct Cluster {
    log: Arc<MemoryLog>,
    lock: Lock,
    begun: Arc<AtomicU64>,
    members: Vec<Member>,
    answer_within: Duration,
    stop: CancellationToken,
}

impl Cluster {
    pub(super) async fn of(members: usize) -> Self {
        Self::with(members, PATIENCE).await
    }

    pub(super) async fn with(members: usize, answer_within: Duration) -> Self {
        let log = Arc::new(MemoryLog::new(LogId(Uuid::from_u128(1))));
        let (lock, begun) = (Lock::new(Mutex::new(Epoch(0))), Arc::<AtomicU64>::default());
        let stop = CancellationToken::new();
        let mut cluster = Self { log, lock, begun, members: Vec::new(), answer_within, stop };
        for _ in 0..members {
            let member = cluster.join().await;
            cluster.members.push(member);
        }
        cluster
    }

    async fn join(&self) -> Member {
        let (log, lock, begun) = (Arc::clone(&self.log), Arc::clone(&self.lock), Arc::clone(&self.begun));
        let writing = move |epoch| {
            let (log, lock, begun) = (Arc::clone(&log), Arc::clone(&lock), Arc::clone(&begun));
            Arc::new(Written { log, epoch, lock, begun }) as Arc<dyn EventLog>
        };
        let parts = Parts {
            log: self.log(),
            writing: Arc::new(writing),
            snapshots: None,
            seam: Seam::seeded(1, Timestamp(0)).0,
            settings: Settings { answer_within: self.answer_within, ..Settings::default() },
            secret: Secret::parse(SECRET).unwrap(),
        };
        let (standing, receiver) = watch::channel(Standing::Unknown);
        let (node, running) = Node::start(parts, receiver, self.stop.child_token());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let secret = Secret::parse(SECRET).unwrap();
        let serving = tokio::spawn(serve(listener, node.clone(), secret, self.stop.child_token()));
        Member { node, standing, address, running, serving }
    }

    pub(super) fn node(&self, member: usize) -> &Node {
        &self.members[member].node
    }

    pub(super) fn address(&self, member: usize) -> &str {
        &self.members[member].address
    }

    pub(super) fn log(&self) -> Arc<dyn EventLog> {
        Arc::clone(&self.log) as Arc<dyn EventLog>
    }

    pub(super) fn peers(&self) -> Peers {
        Peers::new(SENDER, self.log(), None, Secret::parse(SECRET).unwrap(), self.answer_within)
    }

    pub(super) async fn events(&self) -> Vec<RecordedEvent> {
        self.log.read_all(Position(0), usize::MAX).await.unwrap()
    }

    pub(super) fn appends_begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Keeps the log's lock: nothing is appended meanwhile.
    pub(super) async fn hold(&self) -> OwnedMutexGuard<Epoch> {
        Arc::clone(&self.lock).lock_owned().await
    }

    pub(super) fn tell(&self, member: usize, standing: Standing) {
        self.members[member].standing.send_replace(standing);
    }

    /// Begins the next epoch, as the lease does under the log's lock.
    async fn next_epoch(&self) -> Epoch {
        let mut current = self.lock.lock().await;
        current.0 += 1;
        *current
    }

    /// Has a member gain the lease, and waits until it writes.
    pub(super) async fn elect(&self, member: usize) {
        let epoch = self.grant(member).await;
        self.until("it writes", || *self.node(member).writing().borrow() == Some(epoch)).await;
    }

    /// Has a member gain the lease, which its owner gave back, and tells everybody.
    pub(super) async fn grant(&self, member: usize) -> Epoch {
        for other in 0..self.members.len() {
            self.tell(other, Standing::Unknown);
        }
        let epoch = self.next_epoch().await;
        self.tell(member, Standing::Ours { epoch, until: Instant::now() + PATIENCE });
        for other in (0..self.members.len()).filter(|other| *other != member) {
            let address = self.address(member).to_owned();
            self.tell(other, Standing::Theirs { address, epoch });
        }
        epoch
    }

    /// Has `new` gain the lease, which ran out; `old` hears nothing of it.
    pub(super) async fn depose_unawares(&self, old: usize, new: usize) {
        let epoch = *self.lock.lock().await;
        self.tell(old, Standing::Ours { epoch, until: Instant::now() });
        let epoch = self.next_epoch().await;
        self.tell(new, Standing::Ours { epoch, until: Instant::now() + PATIENCE });
        // Until then it would ask the old one, and that would hear of it.
        self.until("it writes", || *self.node(new).writing().borrow() == Some(epoch)).await;
    }

    /// Tells a member that another has the lease.
    pub(super) async fn inform(&self, member: usize, owner: usize) {
        let epoch = *self.lock.lock().await;
        self.tell(member, Standing::Theirs { address: self.address(owner).to_owned(), epoch });
    }

    /// Sends a member a command as another node's attempt in one of its sessions.
    pub(super) async fn attempt(&self, member: usize, epoch: Epoch, session: u64, request: Request) -> v1::Answer {
        let address = format!("http://{}", self.address(member));
        let mut client = v1::commands_client::CommandsClient::connect(address).await.unwrap();
        let mut request = tonic::Request::new(wire::send_request(epoch, SENDER, session, request));
        Secret::parse(SECRET).unwrap().sign(request.metadata_mut());
        client.send(request).await.unwrap().into_inner()
    }

    /// What somebody is told who does not say who he is.
    pub(super) async fn unauthenticated(&self) -> tonic::Code {
        let address = format!("http://{}", self.address(0));
        let mut client = v1::commands_client::CommandsClient::connect(address).await.unwrap();
        client.send(v1::SendRequest::default()).await.unwrap_err().code()
    }

    pub(super) async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        for Member { running, serving, .. } in self.members {
            within("the node ends", running).await.unwrap().unwrap();
            within("its server ends", serving).await.unwrap().unwrap();
        }
    }
}

/// What comes of it, which has to be in time.
pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}
