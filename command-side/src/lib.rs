//! The command side: write routes, the dispatcher that decides all commands, and imports.
//!
//! Nothing here reads a view: a decision rests on the log alone.

pub mod aggregates;
mod book;
pub mod commands;
pub mod dispatcher;
mod idempotency;
pub mod imports;
#[cfg(feature = "grpc")]
pub mod node;
mod order;
mod payment;
pub mod routes;
mod stock;
pub mod stream;
