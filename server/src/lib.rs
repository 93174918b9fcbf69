//! The binary `colophon`: its command line, its configuration, and the wiring of the roles. No logic lives here.

pub mod admin;
pub mod backup;
pub mod cli;
pub mod dead_letters;
pub mod demo;
pub mod host;
pub mod import;
pub mod interruption;
pub mod lag;
pub mod log;
pub mod new_file;
pub mod openapi;
pub mod operations;
pub mod replay;
pub mod role;
pub mod run;
pub mod sandbox;
pub mod serve;
pub mod settings;
pub mod stdout;
pub mod stores;
pub mod token;
pub mod tools;
pub mod views;
pub mod work;
