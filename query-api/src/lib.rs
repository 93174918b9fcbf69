//! The query API: reads of views, as fresh as they are asked to be.
//!
//! Nothing here reads the log, and nothing here changes anything.

mod book;
mod book_cache;
mod cursor;
pub mod routes;
mod stock;
