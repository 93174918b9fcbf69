//! Snapshots: the state of an aggregate whose stream grows without bound, kept so that only the stream's end need be folded.
//!
//! Stocks are such aggregates: a book that sells gets two events for each order. Books and orders stay short.

mod stock;
#[cfg(test)]
mod tests;

use crate::stream::Owner;
use domain::State;

/// A state as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Which fold the state is of: another one may come to another state from the same events.
    pub fold_version: u16,
    /// JSON.
    pub state: Vec<u8>,
}

/// Whether snapshots of this aggregate are kept.
pub fn are_kept(owner: &Owner) -> bool {
    match owner {
        Owner::Stock(..) => true,
        Owner::Book(_) | Owner::Order(_) => false,
    }
}

/// Writes a state; none if no snapshots of such aggregates are kept.
pub fn encode(state: &State) -> Option<Encoded> {
    match state {
        State::Stock(stock) => Some(Encoded { fold_version: stock::FOLD_VERSION, state: stock::encode(stock) }),
        State::Book(_) | State::Order(_) => None,
    }
}

/// Reads a state; none if it is not of today's fold, or no such state: then the events have to tell it.
pub fn decode(owner: &Owner, snapshot: &Encoded) -> Option<State> {
    match owner {
        Owner::Stock(..) if snapshot.fold_version == stock::FOLD_VERSION => {
            stock::decode(&snapshot.state).map(State::Stock)
        }
        Owner::Stock(..) | Owner::Book(_) | Owner::Order(_) => None,
    }
}
