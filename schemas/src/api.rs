//! Bodies of the HTTP API.

pub mod book;
pub mod money;
pub mod page;
pub mod stock;
