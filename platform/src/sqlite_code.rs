//! SQLite's primary result codes, as far as they are told apart (<https://www.sqlite.org/rescode.html>).

pub(crate) const BUSY: i32 = 5;
pub(crate) const LOCKED: i32 = 6;
const READ_ONLY: i32 = 8;
pub(crate) const CORRUPT: i32 = 11;
const FULL: i32 = 13;
pub(crate) const NOT_A_DATABASE: i32 = 26;

/// Extended codes of input and output that failed while something was written: a page, a journal's end, or the memory that
/// processes share, which is a file that has to be made (`IOERR_WRITE`, `FSYNC`, `TRUNCATE`, `SHMOPEN`, `SHMSIZE`, `SHMMAP`).
const NOT_WRITTEN: [i32; 6] = [778, 1_034, 1_546, 4_618, 4_874, 5_386];

/// The primary result code of an error, if it is SQLite's.
pub(crate) fn of(error: &sqlx::Error) -> Option<i32> {
    Some(extended(error)? & 0xff)
}

fn extended(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// What an error says, and what it means where SQLite's own words do not tell.
pub(crate) fn told(error: &sqlx::Error) -> String {
    let is_of_writing = extended(error).is_some_and(|code| NOT_WRITTEN.contains(&code));
    if is_of_writing || matches!(of(error), Some(READ_ONLY | FULL)) {
        return format!("{error}: the disk is full or read-only, or its directory is");
    }
    error.to_string()
}

/// Whether the file is damaged, or not SQLite's.
pub(crate) fn is_damaged(error: &sqlx::Error) -> bool {
    matches!(of(error), Some(CORRUPT | NOT_A_DATABASE))
}
