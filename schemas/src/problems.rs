//! Problems (RFC 9457): the rules a request can break, and the one match from rejection to HTTP.

use crate::http::POSITION;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::invalid::Invalid;
use domain::order::lines::NotForSale;
use domain::{Rejection, book, order, stock};
use serde::Serialize;
use utoipa::ToSchema;

mod rule;

pub use rule::Rule;

/// What is wrong with a request, or with the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which rule was broken.
    pub rule: Rule,
    /// What about this request broke it, and the way out.
    pub detail: String,
    /// The position of the log that the judgement rests on, where one does.
    pub position: Option<u64>,
    /// When to try again, in seconds.
    pub retry_after_s: Option<u64>,
}

/// The body of a problem.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Body<'a> {
    /// Where the broken rule is described.
    #[serde(rename = "type")]
    #[schema(example = "/problems#isbn_taken")]
    pub kind: String,
    /// The rule in a few words.
    pub title: &'a str,
    /// The HTTP status.
    #[schema(example = 409)]
    pub status: u16,
    /// What about this request broke it, and the way out.
    pub detail: &'a str,
    /// Names this request in the server's log.
    #[schema(example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    pub trace_id: &'a str,
}

impl Problem {
    /// A broken rule, and what broke it.
    pub fn new(rule: Rule, detail: impl Into<String>) -> Self {
        Self { rule, detail: detail.into(), position: None, retry_after_s: None }
    }

    /// Something went wrong that is not the sender's fault, and whose cause stays in the log.
    pub fn internal() -> Self {
        Self::new(Rule::Internal, "the server failed to handle the request; its log names the cause by the trace id")
    }

    /// The problem of a response that has a status and nothing else, such as the router's 404.
    pub fn from_status(status: StatusCode) -> Self {
        let rule = Rule::ALL.into_iter().find(|rule| rule.is_of_status() && rule.status() == status.as_u16());
        let rule = rule.unwrap_or(if status.is_server_error() { Rule::Internal } else { Rule::Malformed });
        match rule {
            Rule::Internal => Self::internal(),
            rule => Self::new(rule, rule.meaning()),
        }
    }

    /// The JSON body.
    pub fn body(&self, trace_id: &str) -> Vec<u8> {
        let body = Body {
            kind: format!("/problems#{}", self.rule.slug()),
            title: self.rule.title(),
            status: self.rule.status(),
            detail: &self.detail,
            trace_id,
        };
        serde_json::to_vec(&body).expect("strings and numbers can be written as JSON")
    }
}

/// Status and headers; the gateway, which knows the trace id, renders the body from the problem in the extensions.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.rule.status()).expect("every rule has a valid status");
        let mut response = status.into_response();
        if let Some(position) = self.position {
            response.headers_mut().insert(POSITION, HeaderValue::from(position));
        }
        if let Some(retry_after_s) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let rule = match invalid {
            Invalid::IsbnShape => Rule::IsbnShape,
            Invalid::IsbnChecksum => Rule::IsbnChecksum,
            Invalid::IsbnPrefix => Rule::IsbnPrefix,
            Invalid::IsbnBlank => Rule::IsbnBlank,
            Invalid::TitleLength => Rule::TitleLength,
            Invalid::AuthorCount => Rule::AuthorCount,
            Invalid::AuthorLength => Rule::AuthorLength,
            Invalid::ControlCharacter => Rule::ControlCharacter,
            Invalid::Language => Rule::Language,
            Invalid::SubjectCount => Rule::SubjectCount,
            Invalid::SubjectLength => Rule::SubjectLength,
            Invalid::EditionLength => Rule::EditionLength,
            Invalid::PublicationDate => Rule::PublicationDate,
            Invalid::Currency => Rule::Currency,
            Invalid::Amount => Rule::Amount,
            Invalid::Delta => Rule::Delta,
            Invalid::Copies => Rule::Copies,
            Invalid::ReasonLength => Rule::ReasonLength,
            Invalid::Location => Rule::Location,
            Invalid::LineCount => Rule::LineCount,
            Invalid::Quantity => Rule::Quantity,
            Invalid::PaymentId => Rule::PaymentId,
        };
        Self::new(rule, invalid.to_string())
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let rule = match rejection {
            Rejection::Book(book::Rejection::IsbnTaken) => Rule::IsbnTaken,
            Rejection::Book(book::Rejection::NotRegistered) => Rule::NotFound,
            Rejection::Book(book::Rejection::Retired) => Rule::BookRetired,
            Rejection::Stock(stock::Rejection::NotEnoughStock { .. }) => Rule::NotEnoughStock,
            Rejection::Stock(stock::Rejection::BelowReserved { .. }) => Rule::BelowReserved,
            Rejection::Stock(stock::Rejection::TooManyCopies) => Rule::TooManyCopies,
            Rejection::Stock(stock::Rejection::CountOutdated { .. }) => Rule::PreconditionFailed,
            Rejection::Order(order::Rejection::NotPlaced) => Rule::NotFound,
            Rejection::Order(order::Rejection::NotPaid) => Rule::OrderNotPaid,
            Rejection::Order(order::Rejection::Shipped) => Rule::OrderShipped,
            Rejection::Order(order::Rejection::Ended) => Rule::OrderEnded,
            Rejection::Order(order::Rejection::EmptyRefund | order::Rejection::RefundCurrency(_)) => Rule::RefundAmount,
            Rejection::Order(order::Rejection::RefundTooLarge { .. }) => Rule::RefundTooLarge,
            Rejection::Order(order::Rejection::ReturnTooLarge { .. }) => Rule::ReturnTooLarge,
            // No route reserves, commits or releases: whoever holds copies for an order judges the rejection itself.
            Rejection::Stock(
                stock::Rejection::EmptyHold | stock::Rejection::HeldAlready | stock::Rejection::NoHold,
            )
            // An order's id is its command's: whoever places it twice repeats the command.
            | Rejection::Order(order::Rejection::PlacedAlready)
            | Rejection::Misdirected => return Self::internal(),
        };
        Self::new(rule, rejection.to_string())
    }
}

impl From<NotForSale> for Problem {
    fn from(not_for_sale: NotForSale) -> Self {
        let rule = match not_for_sale {
            NotForSale::Unknown(_) => Rule::UnknownBook,
            NotForSale::Retired(_) => Rule::BookNotForSale,
            NotForSale::Unpriced(_) => Rule::BookUnpriced,
            NotForSale::MixedCurrencies(..) => Rule::MixedCurrencies,
            NotForSale::Invalid(invalid) => return invalid.into(),
        };
        Self::new(rule, not_for_sale.to_string())
    }
}

#[cfg(test)]
mod tests;
