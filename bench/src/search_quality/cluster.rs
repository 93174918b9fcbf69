//! A Postgres of our own, for as long as we need it.

use super::postgres;
use anyhow::{Context, bail, ensure};
use sqlx::postgres::PgConnectOptions;
use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::sleep;

const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);
/// Whom programs run as that root must not run, the first of them that the system knows.
const USERS: [&str; 2] = ["postgres", "nobody"];
/// Where packages put programs that are not in the path.
const PACKAGES: &str = "/usr/lib/postgresql";

/// A running server that listens at a socket in a directory of its own. It is ended at the latest when this is dropped.
pub(crate) struct Cluster {
    server: Child,
    /// Not below the benchmark's directory: another user must reach it, and the path of a socket is short.
    home: TempDir,
}

impl Cluster {
    /// Makes and starts a server if its programs are there.
    pub(crate) async fn start() -> anyhow::Result<Option<Self>> {
        let Some(programs) = programs() else { return Ok(None) };
        let home = tempfile::tempdir()?;
        let user = user(home.path())?;
        let data = home.path().join("data");
        let log = std::fs::File::create(home.path().join("log"))?;
        let initialised = command(&programs.join("initdb"), user)
            .args(["-A", "trust", "-U", "postgres", "--locale=C.UTF-8", "--encoding=UTF8", "-N", "-D"])
            .arg(&data)
            .output()?;
        ensure!(initialised.status.success(), "initdb: {}", String::from_utf8_lossy(&initialised.stderr).trim());
        let server = command(&programs.join("postgres"), user)
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(home.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .stderr(log)
            .spawn()?;
        let mut cluster = Self { server, home };
        cluster.wait_until_ready().await?;
        Ok(Some(cluster))
    }

    /// How to connect.
    pub(crate) fn options(&self) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass().socket(self.home.path()).port(5432);
        options.username("postgres").database("postgres")
    }

    /// Ends the server, and demands that it does in time.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.end().context("Postgres does not stop")
    }

    /// Connects, and adds what the distribution has to offer.
    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.server.try_wait()? {
                let log = std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
                bail!("Postgres ended with {status}: {}", log.trim());
            }
            match postgres::connect(self.options()).await {
                Ok(pool) => {
                    // Where the extension is not installed, its column stays empty.
                    let _ = sqlx::query("CREATE EXTENSION pg_trgm").execute(&pool).await;
                    pool.close().await;
                    return Ok(());
                }
                Err(error) if begun.elapsed() > START_TIMEOUT => return Err(error).context("Postgres does not start"),
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    fn end(&mut self) -> anyhow::Result<()> {
        // "Fast shutdown": clients are sent away.
        Command::new("kill").args(["-INT", &self.server.id().to_string()]).status()?;
        let begun = Instant::now();
        while self.server.try_wait()?.is_none() {
            ensure!(begun.elapsed() < STOP_TIMEOUT, "it takes longer than {STOP_TIMEOUT:?}");
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A number may belong to another process by now if ours has ended.
        if matches!(self.server.try_wait(), Ok(None)) && self.end().is_err() {
            let _ = self.server.kill();
            let _ = self.server.wait();
        }
    }
}

/// The directory of the programs: in the path, or else the newest version of a package.
fn programs() -> Option<PathBuf> {
    let complete = |directory: &Path| ["initdb", "postgres"].iter().all(|name| directory.join(name).is_file());
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(found) = std::env::split_paths(&path).find(|directory| complete(directory)) {
        return Some(found);
    }
    let versions = std::fs::read_dir(PACKAGES).ok()?.filter_map(Result::ok).map(|version| version.path());
    let number = |path: &PathBuf| path.file_name().and_then(OsStr::to_str).and_then(|name| name.parse::<u32>().ok());
    let newest = versions.filter(|version| complete(&version.join("bin"))).max_by_key(number)?;
    Some(newest.join("bin"))
}

/// Hands a directory to the user that programs are to run as, if we are root: Postgres refuses root.
fn user(home: &Path) -> anyhow::Result<Option<(u32, u32)>> {
    if std::fs::metadata(home)?.uid() != 0 {
        return Ok(None);
    }
    let known = std::fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let line = known.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map_while(|field| field.parse().ok());
        Some((fields.next()?, fields.next()?))
    };
    let (user, group) = USERS.into_iter().find_map(ids).context("there is no user that Postgres could run as")?;
    chown(home, Some(user), Some(group))?;
    Ok(Some((user, group)))
}

fn command(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = match user {
        None => Command::new(program),
        Some((user, group)) => {
            let mut command = Command::new("setpriv");
            command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
            command.arg(program);
            command
        }
    };
    // In our process group: Ctrl-C, which ends us without a last word, is a "fast shutdown" to it as well.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    command
}
