//! The index as a store and as a search.
