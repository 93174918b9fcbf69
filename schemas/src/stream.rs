//! Names of streams: the kind of aggregate, then its id.

use domain::State;
use domain::book::{Book, BookId};
use domain::order::{Order, OrderId};
use domain::stock::{Location, Stock};
use uuid::Uuid;

/// Whose events a stream holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A book.
    Book(BookId),
    /// The stock of a book at a location.
    Stock(BookId, Location),
    /// An order.
    Order(OrderId),
}

/// The stream of a book: `book-<uuid>`.
pub fn book(id: BookId) -> String {
    format!("book-{id}")
}

/// The stream of a book's stock at a location: `stock-<location>-<uuid>`.
pub fn stock(id: BookId, location: &Location) -> String {
    format!("stock-{}-{id}", location.as_str())
}

/// The stream of an order: `order-<uuid>`.
pub fn order(id: OrderId) -> String {
    format!("order-{id}")
}

/// Reads a stream's name; none if it is not exactly as [`book`], [`stock`] or [`order`] write it.
pub fn parse(stream: &str) -> Option<Owner> {
    let (kind, rest) = stream.split_once('-')?;
    let owner = match kind {
        "book" => Owner::Book(id(rest)?.into()),
        "order" => Owner::Order(id(rest)?.into()),
        "stock" => {
            let (location, rest) = rest.split_once('-')?;
            Owner::Stock(id(rest)?.into(), Location::parse(location).ok()?)
        }
        _ => return None,
    };
    (name(&owner) == stream).then_some(owner)
}

/// The state of a stream's aggregate before its first event.
pub fn empty(owner: &Owner) -> State {
    match owner {
        Owner::Book(_) => State::Book(Book::default()),
        Owner::Stock(..) => State::Stock(Stock::default()),
        Owner::Order(_) => State::Order(Order::default()),
    }
}

fn name(owner: &Owner) -> String {
    match owner {
        Owner::Book(id) => book(*id),
        Owner::Stock(id, location) => stock(*id, location),
        Owner::Order(id) => order(*id),
    }
}

fn id(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_as_its_owner() {
        let id = BookId::from(Uuid::from_u128(7));
        let location = Location::parse("west_2").unwrap();
        assert_eq!(parse(&book(id)), Some(Owner::Book(id)));
        assert_eq!(parse(&stock(id, &location)), Some(Owner::Stock(id, location)));
        let id = OrderId::from(Uuid::from_u128(8));
        assert_eq!(parse(&order(id)), Some(Owner::Order(id)));
    }

    #[test]
    fn only_the_exact_form_is_a_name() {
        let id = Uuid::from_u128(0xabc);
        for stream in [
            format!("book-{}", id.simple()),
            format!("book-{}", id.to_string().to_uppercase()),
            format!("Book-{id}"),
            format!("stock-{id}"),
            format!("stock-Main-{id}"),
            format!("orders-{id}"),
            "book-".to_owned(),
            String::new(),
        ] {
            assert_eq!(parse(&stream), None, "{stream}");
        }
    }
}
