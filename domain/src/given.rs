//! Given, when, then: how aggregates are tested, through one function.

use crate::decider::{Decider, fold};

/// What `command` comes to after these events.
pub(crate) fn given<D: Decider>(events: &[D::Event], command: D::Command) -> Result<Vec<D::Event>, D::Rejection> {
    D::decide(&fold::<D>(events), command)
}
