//! The International Standard Book Number (ISO 2108), kept in its 13-digit form.

use crate::invalid::Invalid;
use isbn::{Isbn10, Isbn13, IsbnError};

/// A valid ISBN with prefix 978 or 979, as 13 digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Isbn(String);

impl Isbn {
    /// Reads an ISBN-10 or ISBN-13; hyphens and spaces are ignored.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        let compact: String =
            input.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_uppercase()).take(14).collect();
        let isbn_13 = match compact.len() {
            10 => Isbn13::from(compact.parse::<Isbn10>().map_err(rule)?),
            13 => compact.parse::<Isbn13>().map_err(rule)?,
            _ => return Err(Invalid::IsbnShape),
        };
        if compact == "0000000000" {
            return Err(Invalid::IsbnBlank);
        }
        let digits = isbn_13.to_string().replace('-', "");
        if digits.starts_with("978") || digits.starts_with("979") { Ok(Self(digits)) } else { Err(Invalid::IsbnPrefix) }
    }

    /// The 13 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Isbn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn rule(error: IsbnError) -> Invalid {
    match error {
        IsbnError::InvalidChecksum => Invalid::IsbnChecksum,
        _ => Invalid::IsbnShape,
    }
}
