//! `colophon`: reads the command line and hands over.

use clap::Parser;
use server::cli::{Cli, Command, ConfigCommand};
use server::interruption::{self, Interrupt};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // What is written holds secrets, orders and customers, whatever directory it is written in.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    interruption::heed(Interrupt::to(&cli.command), run(cli)).await
}

async fn run(Cli { global, command }: Cli) -> ExitCode {
    let done = match command {
        Command::Serve(options) => server::serve::run(&global, options).await,
        Command::Run(options) => server::run::run(&global, options).await,
        Command::Token(options) => server::token::run(&global, &options),
        Command::Import { content } => server::import::run(&global, content).await,
        Command::Log { command } => server::log::run(&global, command).await,
        Command::Replay { command } => server::replay::run(&global, command).await,
        Command::DeadLetters { command } => server::dead_letters::run(&global, command).await,
        Command::Backup(options) => server::backup::run(&global, options).await,
        Command::Restore(options) => server::backup::restore::run(&global, options).await,
        Command::Sandbox { command } => server::sandbox::run(&global, command).await,
        Command::Config { command: ConfigCommand::Check } => server::settings::check(&global),
        Command::Config { command: ConfigCommand::Example } => server::settings::print_example(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if server::stdout::ends_at_reader(&error) => ExitCode::SUCCESS,
        Err(error) => {
            server::cli::complain(&error);
            ExitCode::FAILURE
        }
    }
}
