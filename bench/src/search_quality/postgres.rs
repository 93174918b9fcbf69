//! The full-text search of Postgres, in a temporary table.

use super::library::Library;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

const TABLE: &str = "CREATE TEMPORARY TABLE books (
    place int PRIMARY KEY,
    title text NOT NULL,
    authors text NOT NULL,
    english tsvector GENERATED ALWAYS AS
        (setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', authors), 'B')) STORED,
    simple tsvector GENERATED ALWAYS AS
        (setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', authors), 'B')) STORED)";

/// Books with few trigrams of the query are not worth comparing; but the extension's own threshold, 0.6, loses typos and
/// the other script.
const SIMILAR: [&str; 3] = [
    "CREATE INDEX ON books USING gin ((title || ' ' || authors) gin_trgm_ops)",
    "SET pg_trgm.word_similarity_threshold = 0.15",
    "ANALYZE books",
];

/// How to search. The first two take all words but the last as `websearch_to_tsquery` does, the last as a beginning,
/// and order by `ts_rank_cd`, the title before the authors, divided by the logarithm of the length.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Words by their English stems, without the most common ones.
    English,
    /// Words as they are.
    Simple,
    /// By the trigrams that query and book have in common: the extension `pg_trgm`.
    Similar,
}

/// Opens the one connection that sees the table.
pub(crate) async fn connect(options: PgConnectOptions) -> sqlx::Result<PgPool> {
    PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None).connect_with(options).await
}

/// Fills the table; answers whether `pg_trgm` is there.
pub(crate) async fn fill(pool: &PgPool, library: &Library) -> anyhow::Result<bool> {
    sqlx::query(TABLE).execute(pool).await?;
    let places = (0..library.books.len()).map(i32::try_from).collect::<Result<Vec<_>, _>>()?;
    let titles: Vec<_> = library.books.iter().map(|book| book.title.clone()).collect();
    let authors: Vec<_> = library.books.iter().map(|book| book.authors.join(", ")).collect();
    let insert = sqlx::query(
        "INSERT INTO books (place, title, authors) SELECT * FROM unnest($1::int[], $2::text[], $3::text[])",
    );
    insert.bind(places).bind(titles).bind(authors).execute(pool).await?;
    let similar = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm')");
    let similar = similar.fetch_one(pool).await?;
    if similar {
        for statement in SIMILAR {
            sqlx::query(statement).execute(pool).await?;
        }
    }
    Ok(similar)
}

impl Way {
    /// The rows of the ten best books.
    pub(crate) async fn search(self, pool: &PgPool, words: &[&str]) -> sqlx::Result<Vec<i64>> {
        if let Self::Similar = self {
            let found = sqlx::query_scalar(
                "SELECT place::bigint FROM books WHERE $1 <% (title || ' ' || authors)
                 ORDER BY $1 <<-> (title || ' ' || authors), place LIMIT 10",
            );
            return found.bind(words.join(" ")).fetch_all(pool).await;
        }
        let found = sqlx::query_scalar(match self {
            Self::Simple => {
                "SELECT place::bigint FROM books, LATERAL
                     (SELECT websearch_to_tsquery('simple', $1) && to_tsquery('simple', $2)) asked (query)
                 WHERE simple @@ query ORDER BY ts_rank_cd(simple, query, 1) DESC, place LIMIT 10"
            }
            _ => {
                "SELECT place::bigint FROM books, LATERAL
                     (SELECT websearch_to_tsquery('english', $1) && to_tsquery('english', $2)) asked (query)
                 WHERE english @@ query ORDER BY ts_rank_cd(english, query, 1) DESC, place LIMIT 10"
            }
        });
        let (last, others) = words.split_last().unwrap_or((&"", &[]));
        let last = last.replace('\\', "\\\\").replace('\'', "''");
        found.bind(others.join(" ")).bind(format!("'{last}':*")).fetch_all(pool).await
    }
}
