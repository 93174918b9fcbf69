//! Projections: workers that fold the bus's events into the rows of views.
//!
//! Nothing here causes anything outside: replaying events through it any number of times leaves the same rows.

pub mod any_view;
pub mod as_of;
pub mod bestseller;
pub mod book;
pub mod dead_letters;
pub mod health;
pub mod order;
pub mod projector;
pub mod purchase;
pub mod rebuild;
pub mod reconciliation;
pub mod search;
pub mod stock;
#[cfg(test)]
mod test_history;
pub mod view;
pub mod worker;
