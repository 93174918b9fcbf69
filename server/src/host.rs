//! What every process that serves has: a data directory, two places to listen at, and an orderly end.

use crate::admin;
use crate::settings::Settings;
use anyhow::Context;
use axum::Router;
use platform::data_directory::{DataDirectory, Layout};
use platform::telemetry::{self, Metrics};
use platform::{http_server, seam::Seam};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The process, before it serves.
pub struct Host {
    /// Where its files are.
    pub layout: Layout,
    /// Where it is reached.
    pub address: SocketAddr,
    /// What it measures.
    pub metrics: Metrics,
    /// Time and chance.
    pub seam: Seam,
    /// Set when it is going down.
    pub stopping: CancellationToken,
    public: http_server::Public,
    local: UnixListener,
    signals: [Signal; 2],
}

/// What serves.
pub struct Served {
    servers: [JoinHandle<()>; 2],
    socket: PathBuf,
    stopping: CancellationToken,
}

impl Host {
    /// Takes the data directory, and listens.
    pub async fn open(settings: &Settings) -> anyhow::Result<(Self, DataDirectory)> {
        telemetry::init(settings.logging.format.into(), &settings.logging.filter)?;
        telemetry::log_panics();
        let metrics = telemetry::install_metrics()?;
        let signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
        let directory = DataDirectory::open(&settings.data_directory())?;
        let layout = directory.layout().clone();
        let listen = settings.server.listen;
        let public = http_server::listen(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let address = axum::serve::Listener::local_addr(&public)?;
        let socket = layout.admin_socket();
        let local = admin::listen(&socket).with_context(|| format!("cannot listen at {}", socket.display()))?;
        let (seam, stopping) = (Seam::system(), CancellationToken::new());
        Ok((Self { layout, address, metrics, seam, stopping, public, local, signals }, directory))
    }

    /// Serves everybody, and the tools beside it; answers with what does and with who may end it.
    pub fn serve(self, settings: &Settings, api: Router, admin: Router) -> (Served, Asked) {
        let serving = |router| (router, settings.http_server(), self.stopping.clone());
        let ((api, limits, stop), (admin, limits_too, stop_too)) = (serving(api), serving(admin));
        let servers = [
            tokio::spawn(http_server::serve(self.public, api, limits, stop)),
            tokio::spawn(http_server::serve(self.local, admin, limits_too, stop_too)),
        ];
        let socket = self.layout.admin_socket();
        (Served { servers, socket, stopping: self.stopping }, Asked(self.signals))
    }
}

/// SIGTERM or Ctrl-C.
pub struct Asked([Signal; 2]);

impl Asked {
    /// Returns when the process is asked to end.
    pub async fn to_end(&mut self) {
        let [terminate, interrupt] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

impl Served {
    /// From now on nothing more is taken on.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Answers the requests at hand.
    pub async fn drain(self) -> anyhow::Result<()> {
        self.stop();
        tracing::info!("stopping: answering the requests at hand");
        for server in self.servers {
            server.await?;
        }
        // Tools that find no socket know at once that nobody serves. While the directory is held, it is ours to remove.
        let _ = std::fs::remove_file(self.socket);
        Ok(())
    }
}
