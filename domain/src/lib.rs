//! The bookstore's rules: aggregates as pure deciders, and the value types they are written in.
//!
//! Nothing here waits, reads a clock, draws a random number or knows a wire format: times, new ids and
//! looked-up facts arrive in the command.

pub mod book;
pub mod decider;
#[cfg(test)]
mod given;
pub mod invalid;
pub mod money;
pub mod order;
pub mod purchase;
pub mod stock;
pub mod timestamp;

use book::Book;
use decider::Decider;
use order::Order;
use stock::Stock;

/// A command to any aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// To a book.
    Book(book::Command),
    /// To the stock of a book at a location.
    Stock(stock::Command),
    /// To an order.
    Order(order::Command),
}

/// An event of any aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Of a book.
    Book(book::Event),
    /// Of the stock of a book at a location.
    Stock(stock::Event),
    /// Of an order.
    Order(order::Event),
}

/// The state of any aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Of a book.
    Book(Book),
    /// Of the stock of a book at a location.
    Stock(Stock),
    /// Of an order.
    Order(Order),
}

/// A refusal by any aggregate: the rule said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// By a book.
    #[error(transparent)]
    Book(#[from] book::Rejection),
    /// By the stock of a book.
    #[error(transparent)]
    Stock(#[from] stock::Rejection),
    /// By an order.
    #[error(transparent)]
    Order(#[from] order::Rejection),
    /// The command was sent to a stream of another kind of aggregate.
    #[error("the command is meant for another kind of aggregate than this stream's")]
    Misdirected,
}

/// What follows from `command` in `state`: new events (none, if nothing changes) or the rule that refuses it.
pub fn decide(state: &State, command: Command) -> Result<Vec<Event>, Rejection> {
    match (state, command) {
        (State::Book(book), Command::Book(command)) => {
            Ok(Book::decide(book, command)?.into_iter().map(Event::Book).collect())
        }
        (State::Stock(stock), Command::Stock(command)) => {
            Ok(Stock::decide(stock, command)?.into_iter().map(Event::Stock).collect())
        }
        (State::Order(order), Command::Order(command)) => {
            Ok(Order::decide(order, command)?.into_iter().map(Event::Order).collect())
        }
        (State::Book(_) | State::Stock(_) | State::Order(_), _) => Err(Rejection::Misdirected),
    }
}

/// The state after `event`. An event of another kind of aggregate changes nothing: no stream holds one.
pub fn evolve(state: State, event: &Event) -> State {
    match (state, event) {
        (State::Book(book), Event::Book(event)) => State::Book(Book::evolve(book, event)),
        (State::Stock(stock), Event::Stock(event)) => State::Stock(Stock::evolve(stock, event)),
        (State::Order(order), Event::Order(event)) => State::Order(Order::evolve(order, event)),
        (state @ (State::Book(_) | State::Stock(_) | State::Order(_)), _) => state,
    }
}
