//! The command line.

use crate::backup::options::{BackupOptions, RestoreOptions};
use crate::dead_letters::DeadLettersCommand;
use crate::log::options::LogCommand;
use crate::replay::options::ReplayCommand;
use crate::stdout::{Out, Unread};
use clap::{Args, Parser, Subcommand, ValueEnum};
use command_side::imports::Field;
use gateway::policy::Role;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// Event-sourced backend of a bookstore.
///
/// Commands go in over HTTP, are decided by aggregates and appended to a log of events; views are built from the log
/// and answer the reads. Everything lies in one data directory.
#[derive(Debug, Parser)]
#[command(name = "colophon", version, max_term_width = 120)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Configuration file, TOML or YAML; `colophon config example` prints one. Environment variables such as
    /// COLOPHON_SERVER__LISTEN override it
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data directory; made if it is not there [default: `data_dir` of the configuration, else colophon-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run every role in this process; SIGTERM or Ctrl-C ends it once the requests at hand are answered
    Serve(ServeOptions),
    /// Run some of the roles in this process, beside other processes that share its Postgres and Kafka
    ///
    /// `command` takes writes and may become the log's one writer; `relay` brings the log to Kafka; `projector` builds the
    /// views in Postgres from there; `reactor` runs the purchase saga; `query` answers reads, and searches from an index of
    /// its own. Several processes may have the same role. The sections `postgres`, `kafka` and `cluster` of the
    /// configuration say what they share; the data directory is the process's own.
    Run(RunOptions),
    /// Print a signed token: `Authorization: Bearer <token>`
    Token(TokenOptions),
    /// Take in a file: each row that can be is taken in, each other one is reported with its line and reason
    ///
    /// An import may be run again at any time: rows that are in already change nothing. It works beside a running server.
    /// It ends with 0 if any row was accepted or there already.
    Import {
        /// What the file holds.
        #[command(subcommand)]
        content: ImportContent,
    },
    /// Look into the event log, check it, and carry it elsewhere
    ///
    /// All but `import` only read the log, without its server's help: they work beside a running server, on a directory
    /// that nobody serves, and on a log that a server refuses. They change nothing.
    Log {
        /// What of it.
        #[command(subcommand)]
        command: LogCommand,
    },
    /// Build views anew from the log beside the live ones, compare, switch and roll back; see what they were
    ///
    /// All of it works beside a running server and on a directory that nobody serves. Nothing of it acts on the outside:
    /// views are folded, and no reactor hears of it.
    Replay {
        /// What to do.
        #[command(subcommand)]
        command: ReplayCommand,
    },
    /// See which streams views have set aside because they cannot take an event, and take them up again
    DeadLetters {
        /// What to do.
        #[command(subcommand)]
        command: DeadLettersCommand,
    },
    /// Write log, vault and keys into a new directory, while serving or not, and check what was written
    Backup(BackupOptions),
    /// Make a data directory out of a backup
    Restore(RestoreOptions),
    /// Play the payment provider
    Sandbox {
        /// What it does.
        #[command(subcommand)]
        command: SandboxCommand,
    },
    /// Check the configuration, or print an example
    Config {
        /// Which of both.
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

/// How to serve.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// Address to listen on [default: `server.listen` of the configuration, else 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Begin with a small catalogue, in the data directory colophon-demo, and say what to try
    #[arg(long)]
    pub demo: bool,
}

/// Which roles to run.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// The roles of this process
    #[arg(required = true, value_enum, value_name = "ROLE")]
    pub roles: Vec<RoleName>,
    /// Address to listen on [default: `server.listen` of the configuration, else 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
}

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Takes writes, and may become the log's one writer
    Command,
    /// Brings the log to Kafka
    Relay,
    /// Builds the views from Kafka
    Projector,
    /// Does what events cause: the purchase saga and its deadlines
    Reactor,
    /// Answers reads and searches
    Query,
}

impl RoleName {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Relay => "relay",
            Self::Projector => "projector",
            Self::Reactor => "reactor",
            Self::Query => "query",
        }
    }
}

/// What the token says.
#[derive(Debug, Args)]
pub struct TokenOptions {
    /// Whose token it is
    #[arg(long, value_name = "NAME")]
    pub subject: String,
    /// What its bearer may do; may be given several times
    #[arg(long = "role", value_name = "ROLE", required = true, value_parser = role())]
    pub roles: Vec<String>,
    /// How long it is valid, such as 90s, 15m, 1h or 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = lifetime)]
    pub ttl: Duration,
}

/// What a file holds.
#[derive(Debug, Subcommand)]
pub enum ImportContent {
    /// Books: a table of suppliers, an ONIX 3.0 message, or the goodbooks-10k data set
    ///
    /// A table is CSV whose first line names the columns. Separator, encoding and columns are told from the file:
    ///
    ///   isbn (needed), title, authors, language, price, currency, published_on, subjects, format, edition
    ///
    /// are known by their usual names in English, Chinese, German, French and Spanish, such as ISBN-13, EAN, 书名 or Preis;
    /// `--map` names others. What has one meaning only is put right and counted, such as an ISBN whose leading zeros a
    /// spreadsheet has taken; what is in doubt is refused or left out. A row about a registered book changes nothing.
    ///
    /// An ONIX record registers its book, or revises what differs; a deletion retires it.
    Books(BookImport),
    /// Copies on hand and prices of registered books: columns isbn, on_hand and, if wanted, price (such as 42.00, in
    /// the configuration's `catalogue.currency`). A row sets, it does not add; a blank field leaves things as they are
    Stock(ImportFile),
}

/// A file to import.
#[derive(Debug, Args)]
pub struct ImportFile {
    /// The file, plain or gzip
    pub file: PathBuf,
    /// The file's encoding, such as utf-8, gb18030, big5 or windows-1252 [default: told from the file, or asked for]
    #[arg(long, value_name = "NAME")]
    pub encoding: Option<String>,
    /// Judge every row as an import would, report, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write the refused rows here, each with its reason, so that they can be mended and imported again; a file that is
    /// there is replaced
    #[arg(long, value_name = "FILE")]
    pub refused: Option<PathBuf>,
}

/// A file of books to import.
#[derive(Debug, Args)]
pub struct BookImport {
    /// The file.
    #[command(flatten)]
    pub file: ImportFile,
    /// How the file writes books [default: told from the file's beginning]
    #[arg(long, value_enum)]
    pub format: Option<BookFormat>,
    /// Which column of a table holds a field, such as `--map isbn=Artikelnummer`; may be given several times
    #[arg(long = "map", value_name = "FIELD=COLUMN", value_parser = mapping)]
    pub columns: Vec<(Field, String)>,
}

/// Formats of book files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BookFormat {
    /// The goodbooks-10k data set: isbn, authors, title, original_publication_year, language_code
    Goodbooks,
    /// ONIX for Books 3.0, with reference names or short tags
    Onix,
    /// A table with a header, as suppliers send them
    Csv,
}

/// What the payment provider does.
#[derive(Debug, Subcommand)]
pub enum SandboxCommand {
    /// Sign and send the callback of a payment: the order's whole total, as if its customer had paid it
    Pay {
        /// Which order
        order: Uuid,
        /// Say that the payment failed
        #[arg(long)]
        fail: bool,
    },
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether the configuration is valid, and if not, which key is wrong
    Check,
    /// Print every key with its default and unit
    Example,
}

fn role() -> clap::builder::PossibleValuesParser {
    Role::ALL.map(Role::name).into()
}

fn mapping(text: &str) -> Result<(Field, String), String> {
    let names = || Field::OF_BOOKS.map(Field::name).join(", ");
    let (name, column) =
        text.split_once('=').ok_or_else(|| format!("expected FIELD=COLUMN; fields are {}", names()))?;
    let field = Field::OF_BOOKS.into_iter().find(|field| field.name() == name);
    let field = field.ok_or_else(|| format!("no field is called {name:?}; fields are {}", names()))?;
    if column.trim().is_empty() {
        return Err("the name of the column is missing".to_owned());
    }
    Ok((field, column.to_owned()))
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let expected = || "expected a time of at least one second, such as 90s, 15m, 1h or 7d".to_owned();
    let span: jiff::Span = text.parse().map_err(|_| expected())?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| expected())?;
    Duration::try_from(duration).ok().filter(|duration| duration.as_secs() > 0).ok_or_else(expected)
}

/// Prints a line of a command's answer. Whoever reads no further does not want the rest.
pub fn say(line: impl std::fmt::Display) -> io::Result<()> {
    writeln!(Out::new(Unread::GoesOn), "{line}")
}

/// Prints what a command did, but perhaps not as wished.
pub fn warn(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "warning: {line}");
}

/// Prints why a command failed.
pub fn complain(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "error: {}", told(error));
}

/// An error with its causes, each of them once: many errors name theirs themselves.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        said if said.contains(&cause) => told,
        said => format!("{said}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn columns_are_mapped_by_name() {
        assert_eq!(mapping("isbn=Artikel=Nr"), Ok((Field::Isbn, "Artikel=Nr".to_owned())));
        for text in ["isbn", "isbn=", "on_hand=Stock", "ISBN=x", "=x"] {
            assert!(mapping(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow::anyhow!("disk").context("file: disk, which is full").context("nothing was done");
        assert_eq!(told(&error), "nothing was done: file: disk, which is full");
    }

    #[test]
    fn lifetimes_are_read() {
        for (text, seconds) in [("1h", 3_600), ("90s", 90), ("7d", 604_800), ("1h 30m", 5_400)] {
            assert_eq!(lifetime(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0s", "10ms", "-1h", "1", "soon", "1 month"] {
            assert!(lifetime(text).is_err(), "{text}");
        }
    }
}
