//! A process of the distributed form: its roles, on the database and the broker that it shares with other processes.

mod feeds;
mod ground;

use crate::admin::{self, Admin};
use crate::cli::RoleName;
use crate::host::Host;
use crate::operations::{self, Operations};
use crate::role::{signing_key, webhook_secret};
use crate::sandbox::Sandbox;
use crate::settings::Settings;
use crate::tools::Workshop;
use crate::views::Views;
use crate::{log, openapi};
use anyhow::Context;
use axum::Router;
use command_side::commands::Commands;
use command_side::routes::CommandApi;
use feeds::Feeds;
use futures_util::future::FutureExt;
use gateway::front_door::{FrontDoor, guard};
use ground::{Ground, RunningNode};
use platform::data_directory::DataDirectory;
use platform::event_log::{EventLog, Position};
use platform::postgres::lease::{Lease, while_ours};
use platform::seam::Seam;
use platform::vault::effects::EffectLedger;
use platform::webhook::Secret;
use projections::health::Health;
use query_api::routes::QueryApi;
use reactors::agenda::Agenda;
use reactors::purchase::Saga;
use std::sync::{Arc, OnceLock};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The process.
pub struct Process {
    /// What is served to everybody.
    pub api: Router,
    /// What is served to the tools beside it.
    pub admin: Router,
    node: Option<RunningNode>,
    workshop: Option<Workshop>,
    log: Arc<dyn EventLog>,
    /// Ends what goes on beside the requests.
    stop: CancellationToken,
    tasks: JoinSet<()>,
    // Last: the directory is free once all else is closed.
    _directory: DataDirectory,
}

impl Process {
    /// Starts the roles.
    pub async fn start(
        settings: &Settings,
        roles: &[RoleName],
        directory: DataDirectory,
        host: &Host,
    ) -> anyhow::Result<Self> {
        let layout = directory.layout();
        let has = |role| roles.contains(&role);
        let key = signing_key(settings, layout)?;
        let secret = Arc::new(webhook_secret(settings, layout)?);
        let ground = Ground::reach(settings, host.seam.clone()).await?;
        settings.deployment().write(&layout.deployment())?;
        let log: Arc<dyn EventLog> = Arc::clone(&ground.log) as _;
        let head = log.head().await?;
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(host.metrics.clone().keep(stop.clone()));

        let node = match has(RoleName::Command) || has(RoleName::Reactor) {
            true => Some(ground.node(settings, layout, has(RoleName::Command)).await?),
            false => None,
        };
        let commands = node.as_ref().map(|running| Arc::new(running.node.clone()) as Arc<dyn Commands>);
        let views = ground.views(layout, roles, head).await?;
        let (mut health, mut names) = (None, Vec::new());
        if let Some(views) = &views {
            let feeds = Feeds { ground: &ground, views, roles };
            let fed = feeds.start(&mut tasks, &stop);
            names = feeds.names();
            let watched = Health::new(Arc::clone(&log), fed);
            tasks.spawn(Arc::clone(&watched).watch(stop.clone()));
            health = Some(watched);
        }
        if has(RoleName::Relay) {
            ground.relay(&mut tasks, &stop).await?;
        }

        let document = Arc::new(OnceLock::new());
        let operations = Operations {
            log: Arc::clone(&log),
            views: views.clone(),
            names,
            health: health.clone(),
            caught_up_at: head,
            metrics: host.metrics.clone(),
            document: Arc::clone(&document),
            stopping: host.stopping.clone(),
            seam: host.seam.clone(),
        };
        let mut routes = openapi::routes().merge(operations::routes(operations));
        if let Some(commands) = commands.as_ref().filter(|_| has(RoleName::Command)) {
            routes = routes.merge(command_side::routes::routes(write_api(settings, commands, &ground, &secret)));
        }
        if let Some(views) = views.as_ref().filter(|_| has(RoleName::Query)) {
            let (store, search, vault) = (Arc::clone(&views.store), views.searched()?, Arc::clone(&ground.vault));
            routes = routes.merge(query_api::routes::routes(QueryApi::new(store, search, vault, settings.queries())));
        }
        let (routes, description) = routes.split_for_parts();
        document.get_or_init(|| openapi::render(description));
        let front = || FrontDoor {
            verifier: key.verifier(settings.realm()),
            public_reads: settings.auth.public_reads,
            limits: settings.front_door(),
            seam: host.seam.clone(),
        };
        let api = guard(routes, front());
        // The payment provider that is none calls as a real one would, also where nobody else can.
        let sandbox = commands.as_ref().map(|commands| {
            let write = command_side::routes::routes(write_api(settings, commands, &ground, &secret));
            let (api, commands) = (guard(write.split_for_parts().0, front()), Arc::clone(commands));
            Sandbox { api, commands, webhook_secret: Arc::clone(&secret), seam: host.seam.clone() }
        });
        if has(RoleName::Reactor) {
            let (views, commands) =
                (views.as_ref().zip(commands.as_ref())).context("a reactor has views and commands")?;
            let lease = ground.lease("reactor", String::new()).await?;
            let reactor = Reactor {
                log: Arc::clone(&log),
                views: views.clone(),
                commands: Arc::clone(commands),
                seam: host.seam.clone(),
                pays: sandbox.clone().filter(|_| settings.payments.sandbox),
                ledger: ground.ledger(),
            };
            tasks.spawn(Arc::new(reactor).run(lease, stop.clone()));
        }
        let workshop = views.map(|views| Workshop::new(Arc::clone(&log), views, host.seam.clone(), health));
        let admin = Admin {
            commands: commands.filter(|_| has(RoleName::Command)),
            sandbox: sandbox.filter(|_| has(RoleName::Command)),
            workshop: workshop.clone(),
            seam: host.seam.clone(),
            stopping: host.stopping.clone(),
        };
        let admin = admin::routes(admin).merge(log::import::routes(Arc::clone(&log), ground.ledger()));
        Ok(Self { api, admin, node, workshop, log, stop, tasks, _directory: directory })
    }

    /// Returns when the process cannot go on, with the reason.
    pub async fn failure(&mut self) -> anyhow::Error {
        match &mut self.node {
            Some(node) => node.failure().await,
            None => std::future::pending().await,
        }
    }

    /// Ends all roles, the writer first.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(node) = self.node.take() {
            node.end().await?;
        }
        if let Some(workshop) = self.workshop.take() {
            workshop.close().await;
        }
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.log.close().await;
        Ok(())
    }
}

fn write_api(settings: &Settings, commands: &Arc<dyn Commands>, ground: &Ground, secret: &Arc<Secret>) -> CommandApi {
    CommandApi {
        commands: Arc::clone(commands),
        seam: ground.seam.clone(),
        vault: Arc::clone(&ground.vault),
        hold: settings.hold(),
        webhook_secret: Arc::clone(secret),
    }
}

/// What events cause, done by one process at a time.
struct Reactor {
    log: Arc<dyn EventLog>,
    views: Views,
    commands: Arc<dyn Commands>,
    seam: Seam,
    pays: Option<Sandbox>,
    ledger: Arc<dyn EffectLedger>,
}

impl Reactor {
    async fn run(self: Arc<Self>, lease: Lease, stop: CancellationToken) {
        let working = while_ours(lease.standing(), stop.clone(), |tenure| Arc::clone(&self).react(tenure).boxed());
        tokio::join!(lease.keep(stop.clone()), working);
    }

    async fn react(self: Arc<Self>, tenure: CancellationToken) {
        let Some(head) = tenure.run_until_cancelled(self.head()).await else { return };
        let agenda = Arc::clone(&self.views.store) as Arc<dyn Agenda>;
        let saga = Saga { commands: Arc::clone(&self.commands), agenda, seam: self.seam.clone() };
        let paying = async {
            if let Some(pays) = self.pays.clone() {
                pays.pay_all(Arc::clone(&self.views.store), Arc::clone(&self.ledger), tenure.clone()).await;
            }
        };
        tokio::join!(saga.run(head, tenure.clone()), paying);
    }

    /// Where the log ends, once it says so.
    async fn head(&self) -> Position {
        loop {
            match self.log.head().await {
                Ok(head) => return head,
                Err(error) => tracing::warn!(%error, "the log does not tell where it ends; asking again"),
            }
            tokio::time::sleep(ground::AGAIN_AFTER).await;
        }
    }
}
