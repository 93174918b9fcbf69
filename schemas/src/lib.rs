//! What crosses a wire or a disk: stored events, HTTP bodies and problems, rows of views.
//!
//! Everything here translates between bytes and the domain's types; nothing here decides.

pub mod api;
#[cfg(test)]
mod asyncapi;
pub mod commands;
pub mod events;
pub mod http;
pub mod problems;
#[cfg(test)]
mod published;
pub mod snapshots;
pub mod stream;
pub mod timestamp;
pub mod views;
