//! Reactors: what events cause. They send commands; they never append to the log themselves.

pub mod agenda;
pub mod purchase;
