//! Copies and prices from files: a file sets, it does not add.

use super::Import;
use super::format::{Format, Need, Outcome};
use super::table::Fields;
use crate::commands::{Loaded, Refusal, Unavailable};
use domain::book::description::Changes;
use domain::book::isbn::Isbn;
use domain::book::{self, Book, BookId};
use domain::money::{Currency, Money};
use domain::stock::{self, Copies};
use domain::{Command, Rejection, State};
use futures_util::future::{BoxFuture, FutureExt};

/// How often a count is taken anew because the stock moved meanwhile.
const COUNTS: u32 = 10;

/// Rows of ISBN, copies on hand and price.
pub(crate) struct Counts {
    pub(crate) currency: Currency,
}

/// What a row says; a blank field says nothing.
pub(crate) struct Row {
    isbn: Isbn,
    on_hand: Option<Copies>,
    price: Option<Money>,
}

impl Format for Counts {
    type Row = Row;

    const COLUMNS: &'static [(&'static str, Need)] =
        &[("isbn", Need::Required), ("on_hand", Need::Required), ("price", Need::Optional)];

    fn parse(&self, fields: &Fields<'_>) -> Result<Row, String> {
        let (isbn, on_hand, price) = (fields.get("isbn")?, fields.get("on_hand")?, fields.get("price")?);
        let of_row = |invalid: domain::invalid::Invalid| format!("{invalid} (ISBN {isbn:?})");
        let isbn_13 = Isbn::parse(isbn).map_err(of_row)?;
        let on_hand = given(on_hand).map(|text| copies(text).map_err(of_row)).transpose()?;
        let in_units = |text| {
            let (decimals, code) = (self.currency.decimals(), self.currency.code());
            Money::parse_decimal(text, self.currency).map_err(|_| {
                format!("a price is a number of {code} with at most {decimals} decimals, such as 42: {text:?}")
            })
        };
        Ok(Row { isbn: isbn_13, on_hand, price: given(price).map(in_units).transpose()? })
    }

    fn key(row: &Row) -> BookId {
        BookId::of(&row.isbn)
    }

    fn take<'a>(&'a self, row: Row, import: &'a Import) -> BoxFuture<'a, Result<Outcome, Unavailable>> {
        async move {
            let id = BookId::of(&row.isbn);
            let state = import.peek(vec![crate::book::stream_of(id)]).await?.pop().map(|loaded| loaded.state);
            let current_price = match state.as_deref() {
                Some(State::Book(Book::Listed(listing))) => listing.price,
                Some(State::Book(Book::Retired(_))) => return Ok(refused(&row, "the book with this ISBN is retired")),
                _ => return Ok(refused(&row, "no book with this ISBN is registered")),
            };
            let counted = match row.on_hand {
                Some(on_hand) => count(import, id, on_hand).await?,
                None => Outcome::ThereAlready,
            };
            if matches!(counted, Outcome::Refused(_)) || row.price.is_none() || row.price == current_price {
                return Ok(counted);
            }
            let changes = Changes { price: Some(row.price), ..Changes::default() };
            let command = Command::Book(book::Command::Revise(changes));
            Ok(match import.send(crate::book::stream_of(id), command).await? {
                Ok(_) => Outcome::Accepted,
                Err(refusal) => refused(&row, &refusal.to_string()),
            })
        }
        .boxed()
    }
}

/// Sets the copies on hand, at the revision that the stock has now.
async fn count(import: &Import, id: BookId, on_hand: Copies) -> Result<Outcome, Unavailable> {
    let stream = crate::stock::stream_of(id);
    for _ in 0..COUNTS {
        let Some(Loaded { state, revision }) = import.peek(vec![stream.clone()]).await?.pop() else { break };
        let State::Stock(stock) = state.as_ref() else { break };
        if stock.figures().on_hand == on_hand.get() {
            return Ok(Outcome::ThereAlready);
        }
        let command = Command::Stock(stock::Command::Count { on_hand, taken_at: revision.0 });
        match import.send(stream.clone(), command).await? {
            Ok(_) => return Ok(Outcome::Accepted),
            Err(Refusal::Rejected(Rejection::Stock(stock::Rejection::CountOutdated { .. }))) => {}
            Err(refusal) => return Ok(Outcome::Refused(refusal.to_string())),
        }
    }
    Ok(Outcome::Refused("the stock moves all the time; import this row again".to_owned()))
}

fn refused(row: &Row, reason: &str) -> Outcome {
    Outcome::Refused(format!("{reason} (ISBN {})", row.isbn))
}

fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn copies(text: &str) -> Result<Copies, domain::invalid::Invalid> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let copies = text.parse().ok().filter(|_| digits);
    Copies::new(copies.ok_or(domain::invalid::Invalid::Copies)?)
}
