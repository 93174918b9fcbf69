//! The rules of single values: why a text or a number is not what it claims to be.

/// Which rule a value breaks. Its text is written for the person who sent the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Neither 10 nor 13 characters once hyphens and spaces are gone, or a character that no ISBN has.
    #[error("an ISBN has 10 digits (the last may be X) or 13 digits; hyphens and spaces are ignored")]
    IsbnShape,
    /// The check digit does not match (ISO 2108).
    #[error("the ISBN's check digit does not match its other digits")]
    IsbnChecksum,
    /// A 13-digit number outside the book prefixes (ISO 2108).
    #[error("an ISBN-13 begins with 978 or 979")]
    IsbnPrefix,
    /// The ISBN-10 made of zeros passes the checksum and names nothing.
    #[error("an ISBN of zeros only names no book")]
    IsbnBlank,
    /// A title is 1–200 characters.
    #[error("a title has 1 to 200 characters and is not blank")]
    TitleLength,
    /// A book has 1–100 authors.
    #[error("a book has 1 to 100 authors")]
    AuthorCount,
    /// An author's name is 1–200 characters.
    #[error("an author's name has 1 to 200 characters and is not blank")]
    AuthorLength,
    /// Text holds a control character.
    #[error("text holds no control characters")]
    ControlCharacter,
    /// Not a well-formed BCP 47 language tag of at most 35 characters.
    #[error("a language is a well-formed BCP 47 tag of at most 35 characters, such as `en`, `zh-Hant` or `und`")]
    Language,
    /// A book has at most 100 subjects.
    #[error("a book has at most 100 subjects")]
    SubjectCount,
    /// The parts of a subject are 1–100 characters each.
    #[error("a subject's scheme, version and code have 1 to 100 characters each")]
    SubjectLength,
    /// An edition statement is 1–100 characters.
    #[error("an edition has 1 to 100 characters")]
    EditionLength,
    /// Not `YYYY`, `YYYY-MM` or a calendar date.
    #[error("a publication date is `YYYY`, `YYYY-MM` or `YYYY-MM-DD`, from year 1 on, and in the calendar")]
    PublicationDate,
    /// Not an ISO 4217 code.
    #[error("a currency is an ISO 4217 code in capitals, such as `CNY`")]
    Currency,
    /// An amount of money is 0 … 2^53−1 minor units.
    #[error("an amount is a whole number of minor units from 0 to 9007199254740991")]
    Amount,
    /// An adjustment is −10^9 … 10^9 and not 0.
    #[error("a delta is a whole number from -1000000000 to 1000000000, and not 0")]
    Delta,
    /// A number of copies on hand is 0 … 10^9.
    #[error("a number of copies is a whole number from 0 to 1000000000")]
    Copies,
    /// A reason is 1–200 characters.
    #[error("a reason has 1 to 200 characters and is not blank")]
    ReasonLength,
    /// A location's name is 1–40 of `a-z`, `0-9` and `_`.
    #[error("a location is 1 to 40 characters of a-z, 0-9 and _")]
    Location,
    /// An order has 1–1,000 lines; so has a return.
    #[error("there are 1 to 1000 lines")]
    LineCount,
    /// A line is of 1 … 10^6 copies.
    #[error("a quantity is a whole number from 1 to 1000000; the same book on several lines is summed")]
    Quantity,
    /// A payment's id is 1–128 printable ASCII characters.
    #[error("a payment's id has 1 to 128 printable ASCII characters")]
    PaymentId,
}

/// A text of `1..=most` characters that is not blank and holds no control characters, without the white space around it.
pub(crate) fn text(input: &str, most: usize, length: Invalid) -> Result<String, Invalid> {
    let trimmed = input.trim();
    if trimmed.chars().any(char::is_control) {
        return Err(Invalid::ControlCharacter);
    }
    if trimmed.is_empty() || trimmed.chars().count() > most {
        return Err(length);
    }
    Ok(trimmed.to_owned())
}
