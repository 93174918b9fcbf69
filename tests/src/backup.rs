//! `colophon backup` and `restore`.
