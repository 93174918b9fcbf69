//! SQLite's primary result codes, as far as they are told apart (<https://www.sqlite.org/rescode.html>).

pub(crate) const BUSY: i32 = 5;
pub(crate) const LOCKED: i32 = 6;
pub(crate) const CORRUPT: i32 = 11;
pub(crate) const NOT_A_DATABASE: i32 = 26;

/// The primary result code of an error, if it is SQLite's.
pub(crate) fn of(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// Whether the file is damaged, or not SQLite's.
pub(crate) fn is_damaged(error: &sqlx::Error) -> bool {
    matches!(of(error), Some(CORRUPT | NOT_A_DATABASE))
}
