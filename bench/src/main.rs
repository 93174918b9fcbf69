//! Speed against limits and peers: one command each, peer and ours in turns within one run.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod append;
mod append_postgres;
mod cold_load;
mod deployment;
mod file_log;
mod freshness;
mod retail;
mod search_quality;
mod server;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Measures Colophon beside a limit or a peer.
#[derive(Parser)]
struct Cli {
    /// Rounds of each side; they take turns, since a machine is never equally busy.
    #[arg(long, global = true, default_value_t = 7)]
    rounds: usize,
    /// Seconds per round.
    #[arg(long, global = true, default_value_t = 3.0)]
    seconds: f64,
    /// Where files are written: on the disk that is to be measured.
    #[arg(long, global = true, default_value = "target/bench")]
    directory: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Durable appends: commands of one event each through dispatcher and SQLite log, beside group commit to a plain file.
    Append {
        /// Writers at once; each waits for its answer before it writes again.
        #[arg(long, default_value_t = 64)]
        writers: usize,
    },
    /// Durable appends to the Postgres that `DATABASE_URL` names: through the dispatcher, beside one event per transaction.
    AppendPostgres {
        /// Writers at once; each waits for its answer before it writes again.
        #[arg(long, default_value_t = 64)]
        writers: usize,
    },
    /// Orders for one hot book, without snapshots and with them, then how long its stock takes to be read cold.
    ColdLoad {
        /// Events of the book's stock.
        #[arg(long, default_value_t = 200_000)]
        events: usize,
        /// Writers at once; each waits for its answer before it writes again.
        #[arg(long, default_value_t = 64)]
        writers: usize,
    },
    /// A shop's half year over HTTP: orders, payments, shipments, returns, and a recount of copies and money at the end.
    Retail {
        /// How many of the copies that the file sells are in stock, in percent: fewer than 100 make some orders fail.
        #[arg(long, default_value_t = 98)]
        stock_percent: u64,
        /// Invoices at once.
        #[arg(long, default_value_t = 32)]
        clients: usize,
        /// Only the first so many invoices.
        #[arg(long)]
        invoices: Option<usize>,
        /// A fresh server that runs already; `--directory` is then its data directory. Without it, one is started.
        #[arg(long)]
        url: Option<String>,
    },
    /// From a command's answer to a read that shows it: in one process, and over Kafka where `DATABASE_URL` and
    /// `KAFKA_BROKERS` are set.
    Freshness,
    /// How long searches take: over HTTP, and in the index beside bare tantivy on the same documents and queries.
    Search {
        /// Queries of each kind.
        #[arg(long, default_value_t = 100)]
        queries: usize,
    },
    /// How well books are found that somebody has in mind, beside SQLite FTS5 and, where it is at hand, Postgres.
    SearchQuality {
        /// Queries of each kind; half of them are for tuning.
        #[arg(long, default_value_t = 200)]
        queries: usize,
        /// Which half to ask.
        #[arg(long, value_enum, default_value = "report")]
        half: search_quality::Half,
        /// Print so many queries of each kind that did not have their book first.
        #[arg(long, default_value_t = 0)]
        misses: usize,
        /// A server that runs already and holds these books and no others. Without it, one is started.
        #[arg(long)]
        url: Option<String>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { rounds, seconds, directory, what } = Cli::parse();
    std::fs::create_dir_all(&directory)?;
    match what {
        What::Append { writers } => append::run(&directory, rounds, seconds, writers).await,
        What::AppendPostgres { writers } => append_postgres::run(rounds, seconds, writers).await,
        What::ColdLoad { events, writers } => cold_load::run(&directory, rounds, events, writers).await,
        What::Retail { stock_percent, clients, invoices, url } => {
            let own = std::env::current_exe()?;
            let binary = own.with_file_name("colophon");
            retail::run(&binary, &directory, &retail::Options { stock_percent, clients, invoices, url }).await
        }
        What::Freshness => {
            let binary = std::env::current_exe()?.with_file_name("colophon");
            freshness::run(&binary, &directory).await
        }
        What::Search { queries } => {
            let binary = std::env::current_exe()?.with_file_name("colophon");
            search_quality::speed::run(&binary, &directory, rounds, queries).await
        }
        What::SearchQuality { queries, half, misses, url } => {
            let binary = std::env::current_exe()?.with_file_name("colophon");
            let options = search_quality::Options { queries, half, misses, url };
            search_quality::run(&binary, &directory, &options).await
        }
    }
}
