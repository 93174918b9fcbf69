//! Ctrl-C and SIGTERM: what a tool holds half done is removed before it ends.

use crate::cli::Command;
use crate::log::options::LogCommand;
use std::process::{ExitCode, exit};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How long what is under way may take to be let go of; then the process ends without that.
const GRACE: Duration = Duration::from_secs(10);

/// What Ctrl-C is to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// It sees to that itself, and to SIGTERM.
    OwnAffair,
    /// That is how it ends.
    GoodEnd,
    /// It is broken off.
    BrokenOff,
}

impl Interrupt {
    /// To this command.
    pub fn to(command: &Command) -> Self {
        match command {
            Command::Serve(_) | Command::Run(_) => Self::OwnAffair,
            Command::Log { command: LogCommand::Tail(options) } if options.follow => Self::GoodEnd,
            _ => Self::BrokenOff,
        }
    }
}

/// Does `work`. At a signal it is dropped, with the files that it has not finished, and the process ends with the status
/// that shells expect: 128 and the signal's number.
pub async fn heed(interrupt: Interrupt, work: impl Future<Output = ExitCode>) -> ExitCode {
    if interrupt == Interrupt::OwnAffair {
        return work.await;
    }
    let (Ok(mut interrupted), Ok(mut terminated)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // It ends at them as any process does.
        return work.await;
    };
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let status = tokio::select! {
            _ = interrupted.recv() => if interrupt == Interrupt::GoodEnd { 0 } else { 130 },
            _ = terminated.recv() => 143,
        };
        let _ = tell.send(status);
        // The work may be where it cannot be dropped, such as in a write that nobody takes.
        tokio::time::sleep(GRACE).await;
        exit(status)
    });
    let status = tokio::select! {
        biased;
        done = work => return done,
        Ok(status) = told => status,
    };
    // What reads ahead on threads of its own is not waited for.
    exit(status)
}
