//! Commands as they go from node to node: as the event that they ask for, where there is one, in its stored form. So they
//! need no other schemas, and a node reads those of an older one as it reads the older one's events.

mod book;
mod order;
pub mod rejection;
mod stock;
#[cfg(test)]
mod tests;

use crate::events::{self, DecodeError, Encoded, Unreadable};
use domain::{Command, Event};

/// Writes a command.
pub fn encode(command: &Command) -> Encoded {
    match command {
        Command::Book(command) => book::encode(command),
        Command::Stock(command) => events::encode(&Event::Stock(stock::asked(command))),
        Command::Order(command) => order::encode(command),
    }
}

/// Reads a command.
pub fn decode(name: &str, version: u16, data: &[u8]) -> Result<Command, DecodeError> {
    if let Some(own) = book::decode(name, version, data)
        .map(|read| read.map(Command::Book))
        .or_else(|| order::decode(name, version, data).map(|read| read.map(Command::Order)))
    {
        return own.map_err(|error| error.of(name, version));
    }
    let command = match events::decode(name, version, data)? {
        Event::Book(event) => book::asking(event).map(Command::Book),
        Event::Stock(event) => Some(Command::Stock(stock::asking(event))),
        Event::Order(event) => order::asking(event).map(Command::Order),
    };
    command.ok_or_else(|| DecodeError::Unknown { event_type: name.to_owned(), version })
}

/// Reads data of a schema that is no event's.
fn read<S: serde::de::DeserializeOwned, C>(
    data: &[u8],
    command: impl FnOnce(S) -> Result<C, domain::invalid::Invalid>,
) -> Result<C, Unreadable> {
    Ok(command(serde_json::from_slice(data)?)?)
}
