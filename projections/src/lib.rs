//! Projections: workers that fold the bus's events into the rows of views.
//!
//! Nothing here causes anything outside: replaying events through it any number of times leaves the same rows.

pub mod bestseller;
pub mod book;
pub mod order;
pub mod purchase;
pub mod search;
pub mod stock;
pub mod view;
pub mod worker;
