//! Bodies of the HTTP API.

pub mod book;
pub mod money;
pub mod order;
pub mod page;
pub mod payment;
pub mod search;
pub mod stock;
