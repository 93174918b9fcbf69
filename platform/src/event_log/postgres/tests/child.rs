//! Processes of their own for tests: this very program, told to run one test.

use std::process::{Child, Command};
use std::time::Duration;
use tokio::time::Instant;

/// It is killed when it is dropped.
pub(super) struct Process(Child);

impl Process {
    /// Runs a test (its path without the crate) with variables that tell it what to do.
    pub(super) fn run(test: &str, variables: &[(&str, String)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture"]).envs(variables.iter().map(|(name, value)| (name, value)));
        Self(command.stdout(std::process::Stdio::null()).spawn().unwrap())
    }

    /// Sends a signal, such as `STOP`.
    pub(super) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([format!("-{signal}"), self.0.id().to_string()]).status().unwrap();
        assert!(sent.success(), "{signal}");
    }

    /// Waits until it has ended well.
    pub(super) async fn end(mut self, within: Duration) {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                assert!(status.success(), "the process ended with {status}");
                return;
            }
            assert!(Instant::now() < deadline, "the process did not end within {within:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
