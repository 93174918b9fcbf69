//! The query API: reads of views, as fresh as they are asked to be.
//!
//! Nothing here reads the log, and nothing here changes anything.

mod bestseller;
mod book;
mod book_cache;
mod cursor;
mod order;
pub mod routes;
mod search;
mod stock;
