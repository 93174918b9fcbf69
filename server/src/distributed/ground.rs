//! What the processes of a deployment share, as one of them reaches it.

use crate::cli::RoleName;
use crate::settings::{Hidden, Settings};
use crate::views::Views;
use anyhow::Context;
use command_side::grpc_server;
use command_side::node::{self, Node};
use command_side::secret::Secret;
use futures_util::future::FutureExt;
use platform::bus::kafka;
use platform::data_directory::Layout;
use platform::event_log::postgres::PostgresLog;
use platform::event_log::{EventLog, LogError, Position};
use platform::postgres::lease::{Lease, Terms, while_ours};
use platform::read_store::Access;
use platform::relay::{self, RelayProgress};
use platform::seam::Seam;
use platform::snapshot_store::SnapshotStore;
use platform::vault::Vault;
use platform::vault::effects::EffectLedger;
use platform::vault::postgres::PostgresVault;
use platform::view_store::Source;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long it is until something is asked for again that did not answer.
pub(super) const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// The lease of the log's writer.
const WRITER: &str = "writer";

/// The database and the broker, and what this process has opened there.
pub(super) struct Ground {
    pub(super) seam: Seam,
    pub(super) log: Arc<PostgresLog>,
    pub(super) vault: Arc<dyn Vault>,
    pub(super) kafka: kafka::Settings,
    ledger: Arc<dyn EffectLedger>,
    url: String,
    owner: Uuid,
    lease_ttl: Duration,
}

impl Ground {
    pub(super) async fn reach(settings: &Settings, seam: Seam) -> anyhow::Result<Self> {
        let Hidden(url) = settings.postgres.url.clone().context("`postgres.url` is missing: roles share a database")?;
        let brokers = settings.kafka.brokers.clone().context("`kafka.brokers` is missing: roles share a topic")?;
        let kafka = kafka::Settings {
            topic: settings.kafka.topic.clone(),
            partitions: settings.kafka.partitions.get(),
            replication: settings.kafka.replication.get(),
            retention: Duration::from_secs(settings.kafka.retention_h.get() * 3_600),
            session_timeout: Duration::from_millis(settings.kafka.session_ms.get().into()),
            ..kafka::Settings::new(&brokers)
        };
        let log = PostgresLog::open(&url, &seam).await.context("the event log cannot be opened")?;
        let vault = Arc::new(PostgresVault::open(&url, log.id()).await?);
        Ok(Self {
            log: Arc::new(log),
            ledger: Arc::clone(&vault) as Arc<dyn EffectLedger>,
            vault,
            kafka,
            owner: seam.random_uuid(),
            lease_ttl: settings.cluster.lease(),
            url,
            seam,
        })
    }

    pub(super) fn ledger(&self) -> Arc<dyn EffectLedger> {
        Arc::clone(&self.ledger)
    }

    /// A lease that this process wants.
    pub(super) async fn lease(&self, name: &'static str, address: String) -> anyhow::Result<Lease> {
        let terms = Terms { name, owner: self.owner, address, ttl: self.lease_ttl };
        Ok(Lease::open(&self.url, terms).await?)
    }

    /// Where this process sends commands: to itself while it is the log's writer, else to whoever is. Only a candidate
    /// becomes that.
    pub(super) async fn node(
        &self,
        settings: &Settings,
        layout: &Layout,
        is_candidate: bool,
    ) -> anyhow::Result<RunningNode> {
        let Hidden(secret) =
            settings.cluster.secret.clone().context("`cluster.secret` is missing: nodes know each other by it")?;
        let secret = Secret::parse(&secret).context("`cluster.secret`")?;
        let listen = settings.cluster.listen;
        let listener = match is_candidate {
            true => Some(TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?),
            false => None,
        };
        let bound = listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let address = settings.cluster.advertise.clone().or(bound.map(|bound| bound.to_string()));
        let lease = self.lease(WRITER, address.unwrap_or_default()).await?;
        let log = Arc::clone(&self.log);
        let parts = node::Parts {
            log: Arc::clone(&self.log) as Arc<dyn EventLog>,
            writing: Arc::new(move |epoch| Arc::new(log.writing_under(WRITER, epoch)) as Arc<dyn EventLog>),
            snapshots: Some(Arc::new(SnapshotStore::open(&layout.snapshots(), self.log.id()).await?)),
            seam: self.seam.clone(),
            settings: settings.dispatcher(),
            secret: secret.clone(),
        };
        let (stop, stop_lease, mut tasks) = (CancellationToken::new(), CancellationToken::new(), JoinSet::new());
        let (node, running) = Node::start(parts, lease.standing(), stop.clone());
        tasks.spawn({
            let stop = stop_lease.clone();
            async move { if is_candidate { lease.keep(stop).await } else { lease.observe(stop).await } }
        });
        if let Some(listener) = listener {
            let (node, stop) = (node.clone(), stop.clone());
            tasks.spawn(async move {
                if let Err(error) = grpc_server::serve(listener, node, secret, stop).await {
                    tracing::error!(%error, "commands of other nodes are no longer taken");
                }
            });
        }
        Ok(RunningNode { node, running, stop, stop_lease, tasks })
    }

    /// The views, for roles that have any.
    pub(super) async fn views(
        &self,
        layout: &Layout,
        roles: &[RoleName],
        head: Position,
    ) -> anyhow::Result<Option<Views>> {
        let source = Source { log: self.log.id(), head, partitions: self.kafka.partitions };
        let has = |role| roles.contains(&role);
        let access = match has(RoleName::Projector) || has(RoleName::Reactor) {
            true => Access::Builder(self.log.as_ref()),
            false if has(RoleName::Query) => Access::Reader,
            false => return Ok(None),
        };
        let search = has(RoleName::Query).then(|| layout.clone());
        Ok(Some(Views::open_shared(&self.url, search.as_ref(), source, access).await?))
    }

    /// Starts what brings the log to Kafka while that is this process's turn.
    pub(super) async fn relay(&self, tasks: &mut JoinSet<()>, stop: &CancellationToken) -> anyhow::Result<()> {
        let lease = self.lease("relay", String::new()).await?;
        let progress = RelayProgress::open(&self.url, self.log.id(), &self.kafka.topic).await?;
        let (log, kafka, stop) = (Arc::clone(&self.log) as Arc<dyn EventLog>, self.kafka.clone(), stop.clone());
        let progress = Arc::new(progress);
        tasks.spawn(async move {
            let relaying = while_ours(lease.standing(), stop.clone(), |tenure| {
                relay::run(Arc::clone(&log), kafka.clone(), Arc::clone(&progress), tenure).boxed()
            });
            tokio::join!(lease.keep(stop.clone()), relaying);
        });
        Ok(())
    }
}

/// A node, and what runs for it.
pub(super) struct RunningNode {
    pub(super) node: Node,
    running: JoinHandle<Result<(), LogError>>,
    stop: CancellationToken,
    stop_lease: CancellationToken,
    tasks: JoinSet<()>,
}

impl RunningNode {
    /// Returns when the log can no longer be trusted.
    pub(super) async fn failure(&mut self) -> anyhow::Error {
        match (&mut self.running).await {
            Ok(Err(error)) => error.into(),
            Ok(Ok(())) => anyhow::anyhow!("the node ended without being asked to"),
            Err(panic) => panic.into(),
        }
    }

    /// Takes no more commands, decides those at hand, and gives the lease back.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        let ended = self.running.await?;
        self.stop_lease.cancel();
        while self.tasks.join_next().await.is_some() {}
        Ok(ended?)
    }
}
