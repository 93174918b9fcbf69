//! The outside world, each backend once, moving bytes: nothing here knows what a bookstore is.

pub mod bus;
pub mod configuration;
pub mod data_directory;
mod derived_file;
pub mod event_log;
pub mod http_server;
pub mod identity;
pub mod postgres;
pub mod read_store;
#[cfg(feature = "kafka")]
pub mod relay;
pub mod seam;
pub mod search_index;
mod secret_file;
pub mod snapshot_store;
mod sqlite_code;
mod sqlite_file;
pub mod telemetry;
pub mod trace;
pub mod vault;
pub mod view_store;
pub mod webhook;
