//! ONIX messages: what becomes of records, updates and deletions, and of messages that are none.
