//! The binary: started on a fresh directory, told to import, and ended.

use anyhow::{Context, bail, ensure};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than a server may take to drain.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A running server; it is ended at the latest when this is dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts a server on a free port, and waits until it is ready.
    pub(crate) fn start(binary: &Path, data: &Path, log: &Path) -> anyhow::Result<Self> {
        Self::begin(command(binary, data, &["serve", "--listen", "127.0.0.1:0"]), log)
    }

    /// Starts a process of the distributed form with some roles, and waits until it is ready.
    pub(crate) fn start_roles(
        binary: &Path,
        data: &Path,
        log: &Path,
        roles: &[&str],
        environment: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let arguments: Vec<_> = ["run"].iter().chain(roles).copied().chain(["--listen", "127.0.0.1:0"]).collect();
        let mut command = command(binary, data, &arguments);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        Self::begin(command, log)
    }

    fn begin(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let stderr = File::create(log).with_context(|| log.display().to_string())?;
        let child = command.stdout(Stdio::piped()).stderr(stderr).spawn().context("the server does not start")?;
        let mut server = Self { child, url: String::new() };
        let stdout = server.child.stdout.take().context("the server has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address = address.with_context(|| format!("the server did not get ready; see {}", log.display()))?;
        server.url = format!("http://{address}");
        println!("server on {}, its log in {}", server.url, log.display());
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Asks the server to end, and demands that it does, well and in time.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(sent.success(), "the server ended before it was told to");
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the server ended with {status}");
                return Ok(());
            }
            ensure!(begun.elapsed() < STOP_TIMEOUT, "the server takes too long to stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both do nothing to a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Imports a file. Of a catalogue some rows may be refused, of the stock none.
pub(crate) fn import(binary: &Path, data: &Path, content: &str, file: &Path) -> anyhow::Result<()> {
    let file = file.to_str().context("the file's path is not UTF-8")?;
    let begun = Instant::now();
    let output = command(binary, data, &["import", content, file]).output()?;
    let report = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("importing {content} failed: {}\n{report}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let counts: Vec<_> = report.lines().take_while(|line| !line.starts_with("line ")).collect();
    println!("import of {content} in {:.1} s: {}", begun.elapsed().as_secs_f64(), counts.join(", "));
    ensure!(content != "stock" || counts.contains(&"refused: 0"), "the stock is not as it should be:\n{report}");
    Ok(())
}

/// A command of the binary, without this process's environment.
fn command(binary: &Path, data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().stdin(Stdio::null()).args(arguments).arg("--data-dir").arg(data);
    command
}
