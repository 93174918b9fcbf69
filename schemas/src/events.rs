//! Stored events: each type and version has its codec here, and a frozen golden file in `golden/`.
//!
//! All versions ever written are read; only the newest is written.

pub(crate) mod book;
pub(crate) mod money;
pub(crate) mod order;
pub(crate) mod stock;
#[cfg(test)]
pub(crate) mod tests;

use domain::Event;
use domain::invalid::Invalid;

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Such as `BookRegistered`.
    pub event_type: &'static str,
    /// The version of the type's schema.
    pub version: u16,
    /// JSON.
    pub data: Vec<u8>,
}

/// Why stored data are not an event.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by something else, or by a later version of this program.
    #[error("event type {event_type} version {version} is not known to this version of the program")]
    Unknown {
        /// The type.
        event_type: String,
        /// Its version.
        version: u16,
    },
    /// The data do not follow the schema.
    #[error("the data do not follow the schema of {event_type} version {version}: {source}")]
    Malformed {
        /// The type.
        event_type: String,
        /// Its version.
        version: u16,
        /// Where they differ.
        source: serde_json::Error,
    },
    /// A value breaks a rule that held when the event was written.
    #[error("a value in {event_type} version {version} breaks a rule: {source}")]
    Invalid {
        /// The type.
        event_type: String,
        /// Its version.
        version: u16,
        /// Which rule.
        source: Invalid,
    },
}

/// Writes an event in the newest version of its schema.
pub fn encode(event: &Event) -> Encoded {
    match event {
        Event::Book(event) => book::encode(event),
        Event::Stock(event) => stock::encode(event),
        Event::Order(event) => order::encode(event),
    }
}

/// Reads an event of any version.
pub fn decode(event_type: &str, version: u16, data: &[u8]) -> Result<Event, DecodeError> {
    let decoded = match event_type {
        _ if event_type.starts_with("Book") => {
            book::decode(event_type, version, data).map(|event| event.map(Event::Book))
        }
        _ if event_type.starts_with("Stock") => {
            stock::decode(event_type, version, data).map(|event| event.map(Event::Stock))
        }
        _ if event_type.starts_with("Order") => {
            order::decode(event_type, version, data).map(|event| event.map(Event::Order))
        }
        _ => None,
    };
    let event_type = event_type.to_owned();
    match decoded {
        Some(Ok(event)) => Ok(event),
        Some(Err(Unreadable::Malformed(source))) => Err(DecodeError::Malformed { event_type, version, source }),
        Some(Err(Unreadable::Invalid(source))) => Err(DecodeError::Invalid { event_type, version, source }),
        None => Err(DecodeError::Unknown { event_type, version }),
    }
}

/// Why the data of a known type and version cannot be read.
enum Unreadable {
    Malformed(serde_json::Error),
    Invalid(Invalid),
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error)
    }
}

impl From<Invalid> for Unreadable {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

fn encoded(event_type: &'static str, version: u16, data: &impl serde::Serialize) -> Encoded {
    Encoded { event_type, version, data: serde_json::to_vec(data).expect("strings and numbers can be written as JSON") }
}
