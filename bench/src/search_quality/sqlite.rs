//! SQLite's FTS5, in memory.

use super::library::Library;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{QueryBuilder, Sqlite, SqlitePool};

/// Shorter words make no trigram.
const TRIGRAM_CHARACTERS: usize = 3;

const TABLES: [&str; 2] = [
    r#"CREATE VIRTUAL TABLE porter USING fts5(title, authors, tokenize = "porter unicode61 remove_diacritics 2")"#,
    r#"CREATE VIRTUAL TABLE trigram USING fts5(title, authors, tokenize = "trigram remove_diacritics 1")"#,
];

/// How words are told apart. All words of a query must be there; the title counts twice, the order is that of BM25.
#[derive(Clone, Copy)]
pub(crate) enum Table {
    /// At blanks and marks, by their English stems; the last word is a beginning.
    Porter,
    /// Not at all: any three characters are one.
    Trigram,
}

/// Fills both tables; the number of a row is the place of its book.
pub(crate) async fn open(library: &Library) -> anyhow::Result<SqlitePool> {
    // One connection for all time: another one would have a memory of its own.
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let pool = pool.connect_with(SqliteConnectOptions::new().in_memory(true)).await?;
    for table in TABLES {
        sqlx::query(table).execute(&pool).await?;
    }
    let mut transaction = pool.begin().await?;
    for (place, book) in library.books.iter().enumerate() {
        for insert in [
            "INSERT INTO porter (rowid, title, authors) VALUES (?, ?, ?)",
            "INSERT INTO trigram (rowid, title, authors) VALUES (?, ?, ?)",
        ] {
            let row = sqlx::query(insert).bind(i64::try_from(place)?).bind(&book.title).bind(book.authors.join(", "));
            row.execute(&mut *transaction).await?;
        }
    }
    transaction.commit().await?;
    Ok(pool)
}

impl Table {
    /// The rows of the ten best books.
    pub(crate) async fn search(self, pool: &SqlitePool, words: &[&str]) -> sqlx::Result<Vec<i64>> {
        match self {
            Self::Porter => {
                let found = sqlx::query_scalar(
                    "SELECT rowid FROM porter WHERE porter MATCH ? ORDER BY bm25(porter, 2.0, 1.0), rowid LIMIT 10",
                );
                found.bind(format!("{}*", all_of(words))).fetch_all(pool).await
            }
            Self::Trigram => trigram(words).build_query_scalar().fetch_all(pool).await,
        }
    }
}

/// Words that are too short for the index are looked for in every book that has the others, as its documentation says.
fn trigram(words: &[&str]) -> QueryBuilder<Sqlite> {
    let (short, long): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|word| word.chars().count() < TRIGRAM_CHARACTERS);
    let mut query = QueryBuilder::new("SELECT rowid FROM trigram WHERE true");
    if !long.is_empty() {
        query.push(" AND trigram MATCH ").push_bind(all_of(&long));
    }
    for word in short {
        query.push(" AND title || ' ' || authors LIKE ").push_bind(format!("%{word}%"));
    }
    query.push(if long.is_empty() {
        " ORDER BY rowid LIMIT 10"
    } else {
        " ORDER BY bm25(trigram, 2.0, 1.0), rowid LIMIT 10"
    });
    query
}

fn all_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
    quoted.join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::super::library::tests::library;
    use super::*;

    #[tokio::test]
    async fn both_tables_find_what_they_can() {
        let library = library(&[
            ("9780000000001", "The Hunger Games", "Suzanne Collins"),
            ("9799000000002", "萬曆十五年", "黄仁宇"),
        ]);
        let pool = open(&library).await.unwrap();
        for (words, porter, trigram) in [
            (vec!["collins", "gam"], vec![0], vec![0]),
            (vec!["game"], vec![0], vec![0]),
            (vec!["曆十五"], vec![], vec![1]),
            (vec!["十五"], vec![], vec![1]),
            (vec!["黄仁宇", "十五"], vec![], vec![1]),
            (vec!["a\"b", "c*"], vec![], vec![]),
        ] {
            assert_eq!(Table::Porter.search(&pool, &words).await.unwrap(), porter, "{words:?}");
            assert_eq!(Table::Trigram.search(&pool, &words).await.unwrap(), trigram, "{words:?}");
        }
    }
}
