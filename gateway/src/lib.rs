//! The gateway: who sends a request, what it may do, how much is taken on, and what a refusal looks like.
//!
//! Nothing here knows a business rule.

pub mod front_door;
pub mod policy;
