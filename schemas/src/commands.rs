//! Commands and rejections as they cross the wire from node to node, as JSON.
//!
//! Both ends run this program: what one writes the other reads back as it was, or refuses.

mod book;
mod order;
mod stock;
#[cfg(test)]
mod tests;

use domain::invalid::Invalid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Why bytes are no command, or no rejection.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// They do not follow the schema.
    #[error("it is none that this version of the program knows: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A value breaks a rule.
    #[error("a value in it breaks a rule: {0}")]
    Invalid(#[from] Invalid),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Command {
    Book(book::Command),
    Stock(stock::Command),
    Order(order::Command),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Rejection {
    Book(book::Rejection),
    Stock(stock::Rejection),
    Order(order::Rejection),
    Misdirected,
}

/// Writes a command.
pub fn encode(command: &domain::Command) -> Vec<u8> {
    write(&match command {
        domain::Command::Book(command) => Command::Book(command.into()),
        domain::Command::Stock(command) => Command::Stock(command.into()),
        domain::Command::Order(command) => Command::Order(command.into()),
    })
}

/// Reads a command.
pub fn decode(bytes: &[u8]) -> Result<domain::Command, DecodeError> {
    Ok(match read(bytes)? {
        Command::Book(command) => domain::Command::Book(command.read()?),
        Command::Stock(command) => domain::Command::Stock(command.read()?),
        Command::Order(command) => domain::Command::Order(command.read()?),
    })
}

/// Writes a rejection.
pub fn encode_rejection(rejection: &domain::Rejection) -> Vec<u8> {
    write(&match rejection {
        domain::Rejection::Book(rejection) => Rejection::Book(rejection.into()),
        domain::Rejection::Stock(rejection) => Rejection::Stock(rejection.into()),
        domain::Rejection::Order(rejection) => Rejection::Order(rejection.into()),
        domain::Rejection::Misdirected => Rejection::Misdirected,
    })
}

/// Reads a rejection.
pub fn decode_rejection(bytes: &[u8]) -> Result<domain::Rejection, DecodeError> {
    Ok(match read(bytes)? {
        Rejection::Book(rejection) => domain::Rejection::Book(rejection.into()),
        Rejection::Stock(rejection) => domain::Rejection::Stock(rejection.into()),
        Rejection::Order(rejection) => domain::Rejection::Order(rejection.read()?),
        Rejection::Misdirected => domain::Rejection::Misdirected,
    })
}

fn write(twin: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(twin).expect("strings and numbers can be written as JSON")
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    Ok(serde_json::from_slice(bytes)?)
}
