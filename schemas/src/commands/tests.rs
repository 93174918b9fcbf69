//! What one node writes the other reads.
