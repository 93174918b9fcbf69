//! command-side
