//! The command side: write routes, the dispatcher that decides all commands, and imports.
//!
//! Nothing here reads a view: a decision rests on the log alone.

pub mod aggregates;
mod book;
pub mod commands;
pub mod dispatcher;
#[cfg(feature = "grpc")]
mod folded;
#[cfg(feature = "grpc")]
pub mod grpc_server;
mod idempotency;
pub mod imports;
#[cfg(feature = "grpc")]
pub mod node;
mod order;
mod payment;
#[cfg(feature = "grpc")]
pub mod remote;
pub mod routes;
#[cfg(feature = "grpc")]
pub mod secret;
mod stock;
pub mod stream;
#[cfg(feature = "grpc")]
mod wire;
