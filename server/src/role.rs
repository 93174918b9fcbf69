//! Roles: what a process does. Embedded, one process does all of it on one data directory.

use crate::admin::{self, Admin};
use crate::operations::{self, Operations};
use crate::sandbox::Sandbox;
use crate::settings::{Hidden, Settings};
use crate::tools::Workshop;
use crate::views::Views;
use crate::{log, openapi, stores};
use anyhow::Context;
use axum::Router;
use command_side::commands::Commands;
use command_side::dispatcher::Dispatcher;
use command_side::routes::CommandApi;
use gateway::front_door::{FrontDoor, guard};
use platform::data_directory::{DataDirectory, Layout};
use platform::event_log::{EventLog, LogError};
use platform::identity::signing_key::SigningKey;
use platform::seam::Seam;
use platform::snapshot_store::SnapshotStore;
use platform::telemetry::Metrics;
use platform::vault::Vault;
use platform::vault::sqlite::SqliteVault;
use platform::webhook::Secret;
use projections::any_view;
use projections::health::Health;
use query_api::routes::QueryApi;
use reactors::agenda::Agenda;
use reactors::purchase::Saga;
use std::sync::{Arc, OnceLock};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// The role `command`: the log, and its one writer.
pub struct CommandRole {
    /// What the commands leave.
    pub log: Arc<dyn EventLog>,
    /// Who customers are.
    pub vault: Arc<SqliteVault>,
    /// Where they go.
    pub commands: Arc<dyn Commands>,
    deciding: JoinHandle<Result<(), LogError>>,
    stop: CancellationToken,
}

impl CommandRole {
    /// Opens the log of a data directory and starts its dispatcher.
    pub async fn start(settings: &Settings, directory: &DataDirectory, seam: &Seam) -> anyhow::Result<Self> {
        let (log, vault) = stores::open(directory, seam).await?;
        let snapshots = SnapshotStore::open(&directory.layout().snapshots(), log.id()).await?;
        let (stop, limits) = (CancellationToken::new(), settings.dispatcher());
        let (dispatcher, deciding) =
            Dispatcher::start_with_snapshots(Arc::clone(&log), snapshots, seam.clone(), limits, stop.clone());
        Ok(Self { log, vault, commands: Arc::new(dispatcher), deciding, stop })
    }

    /// Returns when the log takes no more appends, with the reason.
    pub async fn failure(&mut self) -> anyhow::Error {
        match (&mut self.deciding).await {
            Ok(Err(error)) => anyhow::Error::new(error),
            Ok(Ok(())) => anyhow::anyhow!("the dispatcher ended without being asked to"),
            Err(panic) => anyhow::Error::new(panic),
        }
    }

    /// Takes no more commands, decides those at hand, and ends.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.deciding.await??)
    }
}

/// Every role in one process.
pub struct Embedded {
    /// Log and dispatcher.
    pub command: CommandRole,
    /// What reads are answered from.
    pub views: Views,
    /// What signs tokens.
    pub key: SigningKey,
    /// What is served to everybody.
    pub api: Router,
    /// What is served to the tools beside it.
    pub admin: Router,
    /// Plays the payment provider.
    pub sandbox: Sandbox,
    /// Where tools have views changed.
    workshop: Workshop,
    /// Ends what goes on beside the requests.
    stop: CancellationToken,
    projectors: JoinSet<()>,
    // Last: the directory is free once all else is closed.
    _directory: DataDirectory,
}

impl Embedded {
    /// Starts all roles. Until the views have caught up with the log, `/readyz` says so.
    pub async fn start(
        settings: &Settings,
        directory: DataDirectory,
        metrics: Metrics,
        seam: Seam,
        stopping: CancellationToken,
    ) -> anyhow::Result<Self> {
        let key = signing_key(settings, directory.layout())?;
        let command = CommandRole::start(settings, &directory, &seam).await?;
        let head = command.log.head().await?;
        let views = Views::open(directory.layout(), command.log.as_ref()).await?;
        let vault = Arc::clone(&command.vault) as Arc<dyn Vault>;
        let webhook_secret = Arc::new(webhook_secret(settings, directory.layout())?);

        let stop = CancellationToken::new();
        let mut projectors = JoinSet::new();
        views.feed(&command.log, &mut projectors, &stop);
        let health = Health::new(Arc::clone(&command.log), views.all());
        projectors.spawn(Arc::clone(&health).watch(stop.clone()));
        let saga = Saga {
            commands: Arc::clone(&command.commands),
            agenda: Arc::clone(&views.store) as Arc<dyn Agenda>,
            seam: seam.clone(),
        };
        projectors.spawn(saga.run(head, stop.clone()));
        projectors.spawn(metrics.clone().keep(stop.clone()));

        let document = Arc::new(OnceLock::new());
        let operations = Operations {
            log: Arc::clone(&command.log),
            views: Some(views.clone()),
            names: any_view::ALL.map(|view| view.name()).to_vec(),
            health: Some(Arc::clone(&health)),
            caught_up_at: head,
            metrics,
            document: Arc::clone(&document),
            stopping: stopping.clone(),
            seam: seam.clone(),
        };
        let write = CommandApi {
            commands: Arc::clone(&command.commands),
            seam: seam.clone(),
            vault: Arc::clone(&vault),
            hold: settings.hold(),
            webhook_secret: Arc::clone(&webhook_secret),
        };
        let read = QueryApi::new(Arc::clone(&views.store), views.searched()?, vault, settings.queries());
        let (routes, description) = openapi::routes()
            .merge(command_side::routes::routes(write))
            .merge(query_api::routes::routes(read))
            .merge(operations::routes(operations))
            .split_for_parts();
        document.get_or_init(|| openapi::render(description));
        let front = FrontDoor {
            verifier: key.verifier(settings.realm()),
            public_reads: settings.auth.public_reads,
            limits: settings.front_door(),
            seam: seam.clone(),
        };
        let api = guard(routes, front);
        let sandbox =
            Sandbox { api: api.clone(), commands: Arc::clone(&command.commands), webhook_secret, seam: seam.clone() };
        if settings.payments.sandbox {
            projectors.spawn(sandbox.clone().pay_all(
                Arc::clone(&views.store),
                Arc::clone(&command.vault) as _,
                stop.clone(),
            ));
        }
        let workshop = Workshop::new(Arc::clone(&command.log), views.clone(), seam.clone(), Some(health));
        let admin = Admin {
            commands: Some(Arc::clone(&command.commands)),
            sandbox: Some(sandbox.clone()),
            workshop: Some(workshop.clone()),
            seam,
            stopping,
        };
        let admin =
            admin::routes(admin).merge(log::import::routes(Arc::clone(&command.log), Arc::clone(&command.vault) as _));
        Ok(Self { command, views, key, api, admin, sandbox, workshop, stop, projectors, _directory: directory })
    }

    /// Ends all roles, the writer first, and closes the log, which all of them read.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let log = Arc::clone(&self.command.log);
        self.command.stop().await?;
        self.workshop.close().await;
        self.stop.cancel();
        while self.projectors.join_next().await.is_some() {}
        log.close().await;
        Ok(())
    }
}

/// The configured secret, or the data directory's own, which is made on the first start.
pub fn webhook_secret(settings: &Settings, layout: &Layout) -> anyhow::Result<Secret> {
    Ok(match &settings.payments.webhook_secret {
        Some(Hidden(secret)) => Secret::parse(secret).context("`payments.webhook_secret`")?,
        None => Secret::load_or_create(&layout.webhook_secret())?,
    })
}

/// The configured key, or the data directory's own, which is made on the first start.
pub fn signing_key(settings: &Settings, layout: &Layout) -> anyhow::Result<SigningKey> {
    Ok(match &settings.auth.signing_key_file {
        Some(path) => SigningKey::load(path).context("`auth.signing_key_file`")?,
        None => SigningKey::load_or_create(&layout.signing_key())?,
    })
}
