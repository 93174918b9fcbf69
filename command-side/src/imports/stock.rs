//! Copies and prices from files: a file sets, it does not add.

use super::row::Outcome;
use super::{Halt, Import, reason};
use crate::commands::{Loaded, Refusal};
use domain::book::description::Changes;
use domain::book::isbn::Isbn;
use domain::book::{self, Book, BookId};
use domain::invalid::Invalid;
use domain::money::{Currency, Money};
use domain::stock::{self, Copies};
use domain::{Command, Rejection, State};

/// How often a count is taken anew because the stock moved meanwhile.
const COUNTS: u32 = 10;

/// What a row says; a blank field says nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) isbn: Isbn,
    pub(crate) on_hand: Option<Copies>,
    pub(crate) price: Option<Money>,
}

impl Count {
    /// Sets copies and price.
    pub(crate) async fn take(self, import: &Import) -> Result<Outcome, Halt> {
        let id = BookId::of(&self.isbn);
        let state = import.peek(vec![crate::book::stream_of(id)]).await?.pop().map(|loaded| loaded.state);
        let current_price = match state.as_deref() {
            Some(State::Book(Book::Listed(listing))) => listing.price,
            Some(State::Book(Book::Retired(_))) => return Ok(self.refused("the book with this ISBN is retired")),
            _ => return Ok(self.refused("no book with this ISBN is registered")),
        };
        let counted = match self.on_hand {
            Some(on_hand) => self.count(import, id, on_hand).await?,
            None => Outcome::ThereAlready,
        };
        if matches!(counted, Outcome::Refused(_)) || self.price.is_none() || self.price == current_price {
            return Ok(counted);
        }
        let changes = Changes { price: Some(self.price), ..Changes::default() };
        let command = Command::Book(book::Command::Revise(changes));
        Ok(match import.send(crate::book::stream_of(id), command).await? {
            Ok(_) => Outcome::Accepted,
            Err(refusal) => Outcome::Refused(reason::refusal(self.isbn.as_str(), &refusal)),
        })
    }

    /// Sets the copies on hand, at the revision that the stock has now.
    async fn count(&self, import: &Import, id: BookId, on_hand: Copies) -> Result<Outcome, Halt> {
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
                Err(refusal) => return Ok(Outcome::Refused(reason::refusal(self.isbn.as_str(), &refusal))),
            }
        }
        Ok(self.refused("the stock moves all the time; import this row again"))
    }

    fn refused(&self, what: &str) -> Outcome {
        Outcome::Refused(reason::doubtful("isbn", self.isbn.as_str(), what))
    }
}

/// Reads a number of copies.
pub(crate) fn copies(text: &str) -> Result<Copies, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let copies = text.parse().ok().filter(|_| digits);
    let copies = copies.ok_or(Invalid::Copies).and_then(Copies::new);
    copies.map_err(|invalid| reason::invalid("on_hand", text, invalid))
}

/// Reads a price in the catalogue's currency.
pub(crate) fn price(text: &str, currency: Currency) -> Result<Money, String> {
    Money::parse_decimal(text, currency).map_err(|invalid| {
        let (decimals, code) = (currency.decimals(), currency.code());
        let what = format!("a price is a number of {code} with at most {decimals} decimals, such as 42");
        reason::broken("price", text, &what, invalid)
    })
}
