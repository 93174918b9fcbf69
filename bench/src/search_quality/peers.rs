//! Who answers queries: Colophon, and the full-text search of databases.

use super::cluster::Cluster;
use super::colophon::Colophon;
use super::library::Library;
use super::{postgres, sqlite};
use anyhow::Context;
use sqlx::{PgPool, SqlitePool};

/// Something that can be asked.
pub(crate) enum Engine {
    /// The server.
    Colophon(Colophon),
    /// A table of FTS5.
    Sqlite(SqlitePool, sqlite::Table),
    /// A way to search in Postgres.
    Postgres(PgPool, postgres::Way),
    /// What is not at hand.
    Absent,
}

impl Engine {
    /// The places of its ten best books, the best first; none where it cannot be asked.
    pub(crate) async fn ask(&self, query: &str, library: &Library) -> anyhow::Result<Option<Vec<usize>>> {
        let words: Vec<_> = query.split_whitespace().collect();
        let numbers = match self {
            Self::Colophon(server) => {
                let place = |isbn: String| library.place(&isbn).with_context(|| format!("no list has the book {isbn}"));
                return server.search(query).await?.into_iter().map(place).collect::<anyhow::Result<_>>().map(Some);
            }
            Self::Sqlite(pool, table) => table.search(pool, &words).await?,
            Self::Postgres(pool, way) => way.search(pool, &words).await?,
            Self::Absent => return Ok(None),
        };
        Ok(Some(numbers.into_iter().map(usize::try_from).collect::<Result<_, _>>()?))
    }
}

/// The databases, with the books in them.
pub(crate) struct Peers {
    /// In the order of the table, by name.
    pub(crate) engines: Vec<(&'static str, Engine)>,
    cluster: Option<Cluster>,
}

/// Fills what is at hand: SQLite always; Postgres at `DATABASE_URL`, or else where its programs are.
pub(crate) async fn open(library: &Library) -> anyhow::Result<Peers> {
    let sqlite = sqlite::open(library).await.context("SQLite")?;
    let (postgres, cluster) = match std::env::var("DATABASE_URL").ok().filter(|url| url.starts_with("postgres")) {
        Some(url) => (Some(postgres::connect(url.parse()?).await?), None),
        None => match Cluster::start().await? {
            Some(cluster) => (Some(postgres::connect(cluster.options()).await?), Some(cluster)),
            None => (None, None),
        },
    };
    let similar = match &postgres {
        Some(pool) => postgres::fill(pool, library).await.context("Postgres")?,
        None => false,
    };
    let way = |way: postgres::Way| match &postgres {
        Some(pool) if similar || way != postgres::Way::Similar => Engine::Postgres(pool.clone(), way),
        _ => Engine::Absent,
    };
    let engines = vec![
        ("FTS5 porter", Engine::Sqlite(sqlite.clone(), sqlite::Table::Porter)),
        ("FTS5 trigram", Engine::Sqlite(sqlite, sqlite::Table::Trigram)),
        ("PG english", way(postgres::Way::English)),
        ("PG simple", way(postgres::Way::Simple)),
        ("pg_trgm", way(postgres::Way::Similar)),
    ];
    Ok(Peers { engines, cluster })
}

impl Peers {
    /// Ends what was started.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        self.cluster.map_or(Ok(()), Cluster::stop)
    }
}
