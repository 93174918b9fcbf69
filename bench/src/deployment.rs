//! The distributed form on this machine: one process per role, on a database and a topic of its own.

use crate::server::Server;
use anyhow::Context;
use platform::seam::Seam;
use sqlx::AssertSqlSafe;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Its processes, each with its roles; the first one is asked.
const PROCESSES: [(&str, &[&str]); 4] =
    [("node", &["command", "query"]), ("relay", &["relay"]), ("projector", &["projector"]), ("reactor", &["reactor"])];

/// Running processes.
pub(crate) struct Deployment {
    servers: Vec<Server>,
    keys: PathBuf,
    _directory: TempDir,
}

impl Deployment {
    /// Starts one on a server of Postgres and brokers of Kafka.
    pub(crate) async fn start(binary: &Path, logs: &Path, postgres: &str, kafka: &str) -> anyhow::Result<Self> {
        let name = format!("bench_{}", Seam::system().random_uuid().simple());
        let pool = platform::postgres::connect(postgres, 1).await?;
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&pool).await?;
        let (server, _) = postgres.rsplit_once('/').context("DATABASE_URL names no database")?;
        let directory = tempfile::tempdir_in(logs)?;
        let keys = directory.path().join("keys-of-all");
        let made = Command::new(binary)
            .env_clear()
            .args(["token", "--subject", "nobody", "--role", "user", "--data-dir"])
            .arg(&keys)
            .output()?;
        anyhow::ensure!(made.status.success(), "no key: {}", String::from_utf8_lossy(&made.stderr));
        let key = keys.join("keys").join("signing.pem");
        let environment = [
            ("COLOPHON_POSTGRES__URL", format!("{server}/{name}")),
            ("COLOPHON_KAFKA__BROKERS", kafka.to_owned()),
            ("COLOPHON_KAFKA__TOPIC", name),
            ("COLOPHON_CLUSTER__LISTEN", "127.0.0.1:0".to_owned()),
            ("COLOPHON_CLUSTER__SECRET", "a-secret-that-only-the-nodes-of-this-test-know".to_owned()),
            ("COLOPHON_AUTH__SIGNING_KEY_FILE", key.to_str().context("the path is not UTF-8")?.to_owned()),
        ];
        let mut servers = Vec::new();
        // Whoever builds the views first, so that whoever reads them need not wait.
        for (name, roles) in PROCESSES.iter().rev() {
            let log = logs.join(format!("freshness-{name}.log"));
            servers.push(Server::start_roles(binary, &directory.path().join(name), &log, roles, &environment)?);
        }
        Ok(Self { servers, keys, _directory: directory })
    }

    /// Where it is asked.
    pub(crate) fn url(&self) -> &str {
        self.servers.last().expect("it has processes").url()
    }

    /// The directory with its keys.
    pub(crate) fn keys(&self) -> &Path {
        &self.keys
    }

    /// Ends all processes.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        self.servers.into_iter().rev().try_for_each(Server::stop)
    }
}
