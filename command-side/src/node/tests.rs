//! Two nodes on one log.
