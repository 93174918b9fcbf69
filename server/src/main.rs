//! `colophon`: reads the command line and hands over.

use clap::Parser;
use server::cli::{Cli, Command, ConfigCommand};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // What is written holds secrets, orders and customers, whatever directory it is written in.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let done = match cli.command {
        Command::Serve(options) => server::serve::run(&cli.global, options).await,
        Command::Token(options) => server::token::run(&cli.global, &options),
        Command::Import { content } => server::import::run(&cli.global, content).await,
        Command::Log { command } => server::log::run(&cli.global, command).await,
        Command::Replay { command } => server::replay::run(&cli.global, command).await,
        Command::DeadLetters { command } => server::dead_letters::run(&cli.global, command).await,
        Command::Backup(options) => server::backup::run(&cli.global, options).await,
        Command::Restore(options) => server::backup::restore::run(&cli.global, options).await,
        Command::Sandbox { command } => server::sandbox::run(&cli.global, command).await,
        Command::Config { command: ConfigCommand::Check } => server::settings::check(&cli.global),
        Command::Config { command: ConfigCommand::Example } => server::settings::print_example(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            server::cli::complain(&error);
            ExitCode::FAILURE
        }
    }
}
