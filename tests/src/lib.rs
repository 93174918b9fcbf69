//! Tests of the whole: the real binary over HTTP, its crashes, its files, and the rules of the code itself.

#![cfg(test)]

mod api;
mod architecture;
mod asyncapi;
mod auth;
mod backup;
mod cluster;
mod colophon;
mod concurrency;
mod consumer;
mod crash;
mod data_directory;
mod dead_letters;
mod distributed;
mod evolution;
mod faults;
mod import;
mod log_import;
mod log_tools;
mod manners;
mod operations;
mod orders;
mod payments;
mod python;
mod replay;
mod saga;
mod search;
mod shared;
mod shop;
mod simulation;
