//! The demo's small catalogue: invented books, so that there is something to read on the first start.

use anyhow::bail;
use command_side::commands::{Answer, Commands, Refusal, Request};
use domain::book::description::{Authors, Description, Format, Language, PublicationDate, Subject, Subjects, Title};
use domain::book::isbn::Isbn;
use domain::book::{self, BookId, Listing};
use domain::invalid::Invalid;
use domain::money::{Currency, Money};
use domain::stock::{self, Copies, Location};
use domain::{Command, Rejection};
use platform::event_log::{Position, StreamId};
use platform::seam::Seam;

/// ISBN (of a group that is assigned to nobody), title, authors, language, Thema subject, year, price in fen, copies.
type Entry = (&'static str, &'static str, &'static [&'static str], &'static str, &'static str, &'static str, u64, u64);

const BOOKS: [Entry; 12] = [
    ("9799000000011", "The Typesetter's Daughter", &["Ada Quill"], "en", "FBA", "2019-03", 4_200, 12),
    ("9799000001025", "Ledgers and Lanterns", &["Ira Folio", "Ada Quill"], "en", "FBA", "2021", 3_850, 7),
    ("9799000002039", "A Short History of Margins", &["Nell Octavo"], "en", "NHTB", "2016-10-04", 6_900, 3),
    ("9799000003043", "The Append-Only Garden", &["Wim Vellum"], "en", "WMP", "2023", 5_500, 20),
    ("9799000004057", "Letters from the Night Printer", &["Rosa Codex"], "en-GB", "FBA", "2012-05", 2_990, 0),
    ("9799000005061", "墨与灯", &["林素简"], "zh-Hans", "FBA", "2020-09", 4_800, 15),
    ("9799000006075", "書頁之間", &["沈芸書"], "zh-Hant", "FBA", "2018", 5_200, 9),
    ("9799000007089", "印刷史小札", &["林素简", "周版"], "zh-Hans", "NHTB", "2022-01-15", 6_600, 4),
    ("9799000008093", "Das Setzkastenhaus", &["Jorn Letter"], "de", "FBA", "2017-11", 4_450, 6),
    ("9799000009106", "La marge et le trait", &["Odile Feuillet"], "fr", "AKL", "2015", 7_100, 2),
    ("9799000010119", "Type, Measured", &["Nell Octavo"], "en", "AKL", "2024-02", 8_800, 11),
    ("9799000011123", "One Book Too Many", &["Ira Folio"], "en", "FBA", "2025", 3_300, 1),
];

/// Registers and stocks what of the catalogue is not there yet; answers with the position that shows it all.
pub async fn fill(commands: &dyn Commands, seam: &Seam) -> anyhow::Result<Position> {
    let mut reached = Position(0);
    for entry in &BOOKS {
        let listing = listing(entry)?;
        let (id, copies) = (BookId::of(&listing.isbn), Copies::new(entry.7)?);
        let register = Command::Book(book::Command::Register(listing));
        let count = Command::Stock(stock::Command::Count { on_hand: copies, taken_at: 0 });
        for (stream, command) in
            [(schemas::stream::book(id), register), (schemas::stream::stock(id, &Location::main()), count)]
        {
            let request = Request::unkeyed(StreamId::new(&stream), command, seam);
            reached = reached.max(taken(commands.send(request).await?)?);
        }
    }
    Ok(reached)
}

/// The id of the book that the demo suggests.
pub fn first_book() -> BookId {
    BookId::of(&Isbn::parse(BOOKS[0].0).expect("every entry is valid, as a test says"))
}

/// What an earlier start put there may have been changed since, and stays.
fn taken(Answer { outcome, position }: Answer) -> anyhow::Result<Position> {
    match outcome {
        Ok(_)
        | Err(Refusal::Rejected(
            Rejection::Book(book::Rejection::IsbnTaken) | Rejection::Stock(stock::Rejection::CountOutdated { .. }),
        )) => Ok(position),
        Err(refusal) => bail!("the demo's catalogue is refused: {refusal}"),
    }
}

fn listing((isbn, title, authors, language, subject, published_on, price, _): &Entry) -> Result<Listing, Invalid> {
    Ok(Listing {
        isbn: Isbn::parse(isbn)?,
        description: Description {
            title: Title::parse(title)?,
            authors: Authors::parse(authors)?,
            language: Language::parse(language)?,
            subjects: Subjects::parse(vec![Subject::parse("thema", Some("1.5"), subject)?])?,
            published_on: Some(PublicationDate::parse(published_on)?),
            edition: None,
            format: Some(Format::Paperback),
        },
        price: Some(Money::new(*price, Currency::parse("CNY")?)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_valid() {
        for entry in &BOOKS {
            assert!(listing(entry).is_ok(), "{}", entry.0);
        }
        assert_eq!(Isbn::parse("979-9-0000-0001-1").unwrap().as_str(), BOOKS[0].0, "which the demo suggests to read");
    }
}
