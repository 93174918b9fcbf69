//! Write routes of the inventory.

use crate::book::registered;
use crate::commands::Request;
use crate::routes::{CommandApi, Sender, answer, optional, peek_one, required};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::Command;
use domain::book::BookId;
use domain::stock::{self, Copies, Location};
use platform::event_log::StreamId;
use schemas::api;
use schemas::api::stock::{AdjustStock, CountStock};
use schemas::http::{Body, Id, IdempotencyKey, IfMatch};
use schemas::problems::Problem;

/// Adjust a stock.
///
/// Copies came or went outside orders. No more can go than are available.
#[utoipa::path(
    post, path = "/v1/stock/{book_id}/adjustments", tag = "stock", request_body = AdjustStock,
    params(
        ("book_id" = uuid::Uuid, Path, description = "The book"),
        ("If-Match" = Option<String>, Header, description = "The entity tag that was read, such as `\"3\"`"),
        IdempotencyKey,
    ),
    responses(
        (status = 200, body = api::stock::Stock, description = "The stock as it is now"),
        (status = 404, body = schemas::problems::Body, description = "`not_found`"),
        (status = 409, body = schemas::problems::Body, description = "`not_enough_stock` or `too_many_copies`"),
        (status = 422, body = schemas::problems::Body, description = "A value breaks the rule that `type` names"),
    )
)]
pub(crate) async fn adjust(
    State(api): State<CommandApi>,
    sender: Sender,
    Id(id): Id,
    if_match: IfMatch,
    Body(body): Body<AdjustStock>,
) -> Result<Response, Problem> {
    let id = BookId::from(id);
    registered(&api, id).await?;
    let stream = stream_of(id);
    let current = peek_one(&api, stream.clone()).await?.revision;
    let if_match = optional(if_match, current)?;
    let command = Command::Stock(body.clone().try_into()?);
    let operation = format!("POST /v1/stock/{id}/adjustments");
    changed(&api, sender.request(&api, &operation, &body, stream, if_match, command)).await
}

/// Count a stock.
///
/// Sets the copies on hand, if the stock is still as it was when they were counted. Copies that orders hold cannot be counted away.
#[utoipa::path(
    put, path = "/v1/stock/{book_id}", tag = "stock", request_body = CountStock,
    params(
        ("book_id" = uuid::Uuid, Path, description = "The book"),
        ("If-Match" = String, Header, description = "The entity tag that was read when the copies were counted; `\"0\"` for a book without stock"),
        IdempotencyKey,
    ),
    responses(
        (status = 200, body = api::stock::Stock, description = "The stock as it is now"),
        (status = 404, body = schemas::problems::Body, description = "`not_found`"),
        (status = 409, body = schemas::problems::Body, description = "`below_reserved`"),
        (status = 412, body = schemas::problems::Body, description = "`precondition_failed`: the stock moved meanwhile"),
        (status = 422, body = schemas::problems::Body, description = "A value breaks the rule that `type` names"),
        (status = 428, body = schemas::problems::Body, description = "`precondition_required`"),
    )
)]
pub(crate) async fn count(
    State(api): State<CommandApi>,
    sender: Sender,
    Id(id): Id,
    if_match: IfMatch,
    Body(body): Body<CountStock>,
) -> Result<Response, Problem> {
    let id = BookId::from(id);
    registered(&api, id).await?;
    let stream = stream_of(id);
    let current = peek_one(&api, stream.clone()).await?.revision;
    let taken_at = required(if_match, current)?;
    let on_hand = Copies::new(body.on_hand)?;
    let command = Command::Stock(stock::Command::Count { on_hand, taken_at: taken_at.0 });
    let operation = format!("PUT /v1/stock/{id}");
    changed(&api, sender.request(&api, &operation, &body, stream, Some(taken_at), command)).await
}

pub(crate) fn stream_of(id: BookId) -> StreamId {
    StreamId::new(&schemas::stream::stock(id, &Location::main()))
}

async fn changed(api: &CommandApi, request: Request) -> Result<Response, Problem> {
    let (loaded, position) = api.commands.send(request).await?.accepted()?;
    let domain::State::Stock(stock) = loaded.state.as_ref() else { return Err(Problem::internal()) };
    let body = api::stock::Stock::new(stock.figures(), loaded.revision.0);
    Ok(answer(StatusCode::OK, body, loaded.revision, position))
}
