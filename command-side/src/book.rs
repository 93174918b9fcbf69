//! Write routes of the catalogue.

use crate::routes::{CommandApi, Sender, answer, optional, peek_one, required};
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use domain::Command;
use domain::book::{self, Book, BookId};
use platform::event_log::{Revision, StreamId};
use schemas::api;
use schemas::api::book::{RegisterBook, RegisteredBook, RetireBook, ReviseBook};
use schemas::http::{Body, Id, IdempotencyKey, IfMatch};
use schemas::problems::{Problem, Rule};

/// Register a book.
///
/// One book per ISBN, however it is written: a second registration is refused with 409, also under concurrency.
#[utoipa::path(
    post, path = "/v1/books", tag = "books", request_body = RegisterBook,
    params(IdempotencyKey),
    responses(
        (status = 201, body = RegisteredBook, description = "`Location`, `ETag` and `Colophon-Position` are set"),
        (status = 409, body = schemas::problems::Body, description = "`isbn_taken`"),
        (status = 422, body = schemas::problems::Body, description = "A value breaks the rule that `type` names"),
    )
)]
pub(crate) async fn register(
    State(api): State<CommandApi>,
    sender: Sender,
    Body(body): Body<RegisterBook>,
) -> Result<Response, Problem> {
    let listing = book::Listing::try_from(body.clone())?;
    let (id, isbn) = (BookId::of(&listing.isbn), listing.isbn.to_string());
    let command = Command::Book(book::Command::Register(listing));
    let request = sender.request(&api, "POST /v1/books", &body, stream_of(id), None, command);
    let (loaded, position) = api.commands.send(request).await?.accepted()?;
    let registered = RegisteredBook { id: id.into(), isbn, revision: loaded.revision.0 };
    let mut response = answer(StatusCode::CREATED, registered, loaded.revision, position);
    let location = HeaderValue::try_from(format!("/v1/books/{id}")).expect("an id is visible ASCII");
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// Revise a book.
///
/// The fields that are sent replace those of the book; `null` clears one that may be absent.
#[utoipa::path(
    patch, path = "/v1/books/{id}", tag = "books", request_body = ReviseBook,
    params(
        ("id" = uuid::Uuid, Path, description = "The book"),
        ("If-Match" = String, Header, description = "The entity tag that was read, such as `\"3\"`"),
        IdempotencyKey,
    ),
    responses(
        (status = 200, body = api::book::Book, description = "The book as it is now"),
        (status = 404, body = schemas::problems::Body, description = "`not_found`"),
        (status = 409, body = schemas::problems::Body, description = "`book_retired`"),
        (status = 412, body = schemas::problems::Body, description = "`precondition_failed`: the book was changed meanwhile"),
        (status = 422, body = schemas::problems::Body, description = "A value breaks the rule that `type` names"),
        (status = 428, body = schemas::problems::Body, description = "`precondition_required`"),
    )
)]
pub(crate) async fn revise(
    State(api): State<CommandApi>,
    sender: Sender,
    Id(id): Id,
    if_match: IfMatch,
    Body(body): Body<ReviseBook>,
) -> Result<Response, Problem> {
    let id = BookId::from(id);
    let current = registered(&api, id).await?;
    let if_match = required(if_match, current)?;
    let command = Command::Book(book::Command::Revise(body.clone().try_into()?));
    let request = sender.request(&api, &format!("PATCH /v1/books/{id}"), &body, stream_of(id), Some(if_match), command);
    changed(&api, id, request).await
}

/// Retire a book.
///
/// It leaves the catalogue for good: it can no longer be changed or ordered, and can still be read. Retiring it again changes nothing.
#[utoipa::path(
    post, path = "/v1/books/{id}/retirement", tag = "books", request_body = RetireBook,
    params(
        ("id" = uuid::Uuid, Path, description = "The book"),
        ("If-Match" = Option<String>, Header, description = "The entity tag that was read, such as `\"3\"`"),
        IdempotencyKey,
    ),
    responses(
        (status = 200, body = api::book::Book, description = "The book as it is now"),
        (status = 404, body = schemas::problems::Body, description = "`not_found`"),
    )
)]
pub(crate) async fn retire(
    State(api): State<CommandApi>,
    sender: Sender,
    Id(id): Id,
    if_match: IfMatch,
    Body(body): Body<RetireBook>,
) -> Result<Response, Problem> {
    let id = BookId::from(id);
    let current = registered(&api, id).await?;
    let if_match = optional(if_match, current)?;
    let command = Command::Book(book::Command::Retire);
    let operation = format!("POST /v1/books/{id}/retirement");
    let request = sender.request(&api, &operation, &body, stream_of(id), if_match, command);
    changed(&api, id, request).await
}

/// The book's revision; an id that no book has is 404, before anything else about it is judged.
pub(crate) async fn registered(api: &CommandApi, id: BookId) -> Result<Revision, Problem> {
    let loaded = peek_one(api, stream_of(id)).await?;
    match loaded.state.as_ref() {
        domain::State::Book(Book::Listed(_) | Book::Retired(_)) => Ok(loaded.revision),
        _ => Err(Problem::new(Rule::NotFound, format!("no book has the id {id}"))),
    }
}

pub(crate) fn stream_of(id: BookId) -> StreamId {
    StreamId::new(&schemas::stream::book(id))
}

async fn changed(api: &CommandApi, id: BookId, request: crate::commands::Request) -> Result<Response, Problem> {
    let (loaded, position) = api.commands.send(request).await?.accepted()?;
    let domain::State::Book(book) = loaded.state.as_ref() else { return Err(Problem::internal()) };
    let body = api::book::Book::new(id, book, loaded.revision.0).ok_or_else(Problem::internal)?;
    Ok(answer(StatusCode::OK, body, loaded.revision, position))
}
