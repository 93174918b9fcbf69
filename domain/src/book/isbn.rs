//! The International Standard Book Number (ISO 2108), kept in its 13-digit form.

use crate::invalid::Invalid;
use isbn::{Isbn10, Isbn13, IsbnError};

/// A valid ISBN with prefix 978 or 979, as 13 digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Isbn(String);

impl Isbn {
    /// Reads an ISBN-10 or ISBN-13; hyphens and spaces are ignored.
    pub fn parse(input: &str) -> Result<Self, Invalid> {
        let characters = input.chars().filter(|c| !matches!(c, '-' | ' ')).take(14);
        let digits: Vec<u8> = characters.map(digit).collect::<Option<_>>().ok_or(Invalid::IsbnShape)?;
        let isbn_13 = match digits.len() {
            10 if digits == [0; 10] => return Err(Invalid::IsbnBlank),
            10 => Isbn13::from(Isbn10::new(array(&digits)).map_err(rule)?),
            13 => Isbn13::new(array(&digits)).map_err(rule)?,
            _ => return Err(Invalid::IsbnShape),
        };
        let digits = isbn_13.to_string().replace('-', "");
        if digits.starts_with("978") || digits.starts_with("979") { Ok(Self(digits)) } else { Err(Invalid::IsbnPrefix) }
    }

    /// The ten characters of the ISBN-10, the last a digit or X; only what begins with 978 has one.
    pub fn isbn_10(&self) -> Option<String> {
        let digits: Vec<u8> = self.0.chars().map(digit).collect::<Option<_>>()?;
        let isbn_10 = Isbn10::try_from(Isbn13::new(array(&digits)).ok()?).ok()?;
        Some(isbn_10.to_string().replace('-', ""))
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

/// The value of a digit; X stands for 10, and only the last digit of an ISBN-10 can be it.
fn digit(character: char) -> Option<u8> {
    match character {
        'X' | 'x' => Some(10),
        _ => character.to_digit(10).map(|digit| digit as u8),
    }
}

fn array<const N: usize>(digits: &[u8]) -> [u8; N] {
    digits.try_into().expect("the length was matched")
}

fn rule(error: IsbnError) -> Invalid {
    match error {
        IsbnError::InvalidChecksum => Invalid::IsbnChecksum,
        _ => Invalid::IsbnShape,
    }
}
