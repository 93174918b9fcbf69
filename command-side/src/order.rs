//! Write routes of orders. Placing one appends that it was placed, and nothing else: the saga does the rest.

use crate::commands::{Answer, Lane, Loaded};
use crate::idempotency::command_id;
use crate::routes::{CommandApi, Sender, answer, optional, peek_one};
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use domain::Command;
use domain::invalid::Invalid;
use domain::order::lines::{LINES_MAX, Lines, Quantity, Wanted};
use domain::order::placed::Placed;
use domain::order::{self, CancellationReason, CustomerId, OrderId, Placement};
use domain::timestamp::Timestamp;
use platform::event_log::{Position, Revision, StreamId};
use platform::identity::Reach;
use platform::vault::VaultError;
use schemas::api;
use schemas::api::order::{CancelOrder, OrderedLine, PlaceOrder, PlacedOrder, RefundOrder, ReturnCopies, ShipOrder};
use schemas::http::{Body, Id, IdempotencyKey, IfMatch};
use schemas::problems::{Problem, Rule};
use serde::Serialize;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long an answer may be held back for its sender's sake (RFC 7240 section 4.3).
const WAIT_MAX: Duration = Duration::from_secs(10);

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Place an order.
///
/// The answer says that it is placed; whether there are enough copies is decided right after. With `Prefer: wait=N` the
/// answer waits up to N seconds (at most 10) for that. Titles and prices are those of this moment.
#[utoipa::path(
    post, path = "/v1/orders", tag = "orders", request_body = PlaceOrder,
    params(
        ("Idempotency-Key" = String, Header, description = "1–255 visible characters: a repeat has no second effect"),
        ("Prefer" = Option<String>, Header, description = "`wait=5`: answer once the stocks have answered"),
    ),
    responses(
        (status = 201, body = PlacedOrder, description = "`Location`, `ETag` and `Colophon-Position` are set"),
        (status = 400, body = schemas::problems::Body, description = "`idempotency_key_required`, `malformed`"),
        (status = 422, body = schemas::problems::Body, description = "A line or the order breaks the rule that `type` names"),
    )
)]
pub(crate) async fn place(
    State(api): State<CommandApi>,
    sender: Sender,
    headers: HeaderMap,
    Body(body): Body<PlaceOrder>,
) -> Result<Response, Problem> {
    const OPERATION: &str = "POST /v1/orders";
    let until = preferred_wait(&headers).map(|wait| Instant::now() + wait);
    if sender.key.is_none() {
        let detail = "placing an order needs an `Idempotency-Key`, so that a repeat does not order twice";
        return Err(Problem::new(Rule::IdempotencyKeyRequired, detail));
    }
    // An order's id is its command's, so that a repeat finds the order.
    let command = command_id(&sender.principal, OPERATION, sender.key.as_deref(), &api.seam);
    let id = OrderId::from(command.0);
    let placement = placement(&api, &sender, id, &body).await?;
    let command = Command::Order(order::Command::Place(placement));
    let request = sender.request(&api, OPERATION, &body, stream_of(id), None, command);
    let (loaded, position) = api.commands.send(request).await?.accepted()?;
    let placed = PlacedAnswer::of(&loaded, position)?;
    let decided = match until {
        Some(until) => decided(&api, id, loaded.revision, until).await?,
        None => None,
    };
    Ok(decided.unwrap_or(placed).render(id))
}

/// What was placed, as the answer tells it.
struct PlacedAnswer {
    status: order::Status,
    total: domain::money::Money,
    revision: Revision,
    position: Position,
}

impl PlacedAnswer {
    fn of(loaded: &Loaded, position: Position) -> Result<Self, Problem> {
        let placed = placed(loaded).ok_or_else(Problem::internal)?;
        let total = placed.placement.lines.total();
        Ok(Self { status: placed.status, total, revision: loaded.revision, position })
    }

    fn render(self, id: OrderId) -> Response {
        let body = PlacedOrder { id: id.into(), status: self.status.into(), total: (&self.total).into() };
        let mut response = answer(StatusCode::CREATED, body, self.revision, self.position);
        let location = HeaderValue::try_from(format!("/v1/orders/{id}")).expect("an id is visible ASCII");
        response.headers_mut().insert(LOCATION, location);
        response
    }
}

/// The order as it left `pending`, whatever became of it since: a repeat is answered the same.
async fn decided(
    api: &CommandApi,
    id: OrderId,
    mut after: Revision,
    until: Instant,
) -> Result<Option<PlacedAnswer>, Problem> {
    loop {
        // Who prefers to wait is not refused for it: what is not decided in time is answered as placed.
        let Ok(Ok(Answer { outcome: Ok(loaded), position })) =
            timeout_at(until, api.commands.follow(stream_of(id), after)).await
        else {
            return Ok(None);
        };
        let order = placed(&loaded).ok_or_else(Problem::internal)?;
        if let Some((status, revision)) = order.decided {
            let total = order.placement.lines.total();
            return Ok(Some(PlacedAnswer { status, total, revision: Revision(revision), position }));
        }
        after = loaded.revision;
    }
}

/// What is ordered, at the titles and prices of this moment; of a repeat, what was ordered then.
async fn placement(api: &CommandApi, sender: &Sender, id: OrderId, body: &PlaceOrder) -> Result<Placement, Problem> {
    let quantities = body.lines.iter().map(|line| Quantity::new(line.quantity)).collect::<Result<Vec<_>, _>>()?;
    if quantities.len() > LINES_MAX {
        return Err(Invalid::LineCount.into());
    }
    let book_stream = |line: &OrderedLine| crate::book::stream_of(line.book_id.into());
    let streams = std::iter::once(stream_of(id)).chain(body.lines.iter().map(book_stream)).collect();
    let found = api.commands.peek(Lane::Customer, streams).await?;
    let (existing, books) = found.split_first().expect("a peek answers once per stream");
    if let Some(existing) = placed(existing) {
        return Ok(existing.placement.clone());
    }
    let wanted = body.lines.iter().zip(quantities).zip(books).map(|((line, quantity), loaded)| {
        let domain::State::Book(book) = loaded.state.as_ref() else { return Err(Problem::internal()) };
        Ok(Wanted { id: line.book_id.into(), book, revision: loaded.revision.0, quantity })
    });
    let lines = Lines::of(&wanted.collect::<Result<Vec<_>, _>>()?)?;
    let customer =
        api.vault.find_or_add(&sender.principal, api.seam.random_uuid()).await.map_err(|error| silent(&error))?;
    let hold = i64::try_from(api.hold.as_micros()).unwrap_or(i64::MAX);
    let pay_by = Timestamp(api.seam.clock.now().0.saturating_add(hold));
    Ok(Placement { customer: CustomerId(customer), lines, pay_by })
}

/// `wait` of the `Prefer` header; preferences that are not understood are ignored (RFC 7240 section 2).
fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split([',', ';']));
    let seconds = preferences.find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        let seconds: u64 = value.trim().trim_matches('"').parse().ok()?;
        name.trim().eq_ignore_ascii_case("wait").then_some(seconds)
    })?;
    Some(Duration::from_secs(seconds).min(WAIT_MAX))
}

/// Cancel an order.
///
/// An unpaid order ends; a paid one is undone: its money goes back, and its copies. A shipped one stays.
#[utoipa::path(
    post, path = "/v1/orders/{id}/cancellation", tag = "orders", request_body = CancelOrder,
    params(
        ("id" = uuid::Uuid, Path, description = "The order"),
        ("If-Match" = Option<String>, Header, description = "The entity tag that was read, such as `\"3\"`"),
        IdempotencyKey,
    ),
    responses(
        (status = 200, body = api::order::Order, description = "The order as it is now"),
        (status = 404, body = schemas::problems::Body, description = "`not_found`"),
        (status = 409, body = schemas::problems::Body, description = "`order_shipped` or `order_ended`"),
        (status = 412, body = schemas::problems::Body, description = "`precondition_failed`"),
    )
)]
pub(crate) async fn cancel(
    State(api): State<CommandApi>,
    sender: Sender,
    Id(id): Id,
    if_match: IfMatch,
    Body(body): Body<CancelOrder>,
) -> Result<Response, Problem> {
    let reason = body.reason.map_or(CancellationReason::Other, CancellationReason::from);
    change(&api, sender, id.into(), "cancellation", if_match, &body, Ok(order::Command::Cancel { reason })).await
}

/// Ship an order.
#[utoipa::path(
    post, path = "/v1/orders/{id}/shipment", tag = "orders", request_body = ShipOrder,
    params(
        ("id" = uuid::Uuid, Path, description = "The order"),
        ("If-Match" = Option<String>, Header, description = "The entity tag that was read, such as `\"3\"`"),
        IdempotencyKey,
    ),
    responses(
        (status = 200, body = api::order::Order, description = "The order as it is now"),
        (status = 404, body = schemas::problems::Body, description = "`not_found`"),
        (status = 409, body = schemas::problems::Body, description = "`order_not_paid`, `order_shipped` or `order_ended`"),
    )
)]
pub(crate) async fn ship(
    State(api): State<CommandApi>,
    sender: Sender,
    Id(id): Id,
    if_match: IfMatch,
    Body(body): Body<ShipOrder>,
) -> Result<Response, Problem> {
    change(&api, sender, id.into(), "shipment", if_match, &body, Ok(order::Command::Ship)).await
}

/// Refund an order, or a part of it.
///
/// Never more goes back than was paid; once all has, the order is `refunded`. No copies move: those are returned.
#[utoipa::path(
    post, path = "/v1/orders/{id}/refunds", tag = "orders", request_body = RefundOrder,
    params(
        ("id" = uuid::Uuid, Path, description = "The order"),
        ("If-Match" = Option<String>, Header, description = "The entity tag that was read, such as `\"3\"`"),
        IdempotencyKey,
    ),
    responses(
        (status = 200, body = api::order::Order, description = "The order as it is now"),
        (status = 404, body = schemas::problems::Body, description = "`not_found`"),
        (status = 409, body = schemas::problems::Body, description = "`order_not_paid` or `refund_too_large`"),
        (status = 422, body = schemas::problems::Body, description = "`refund_amount`, `amount` or `currency`"),
    )
)]
pub(crate) async fn refund(
    State(api): State<CommandApi>,
    sender: Sender,
    Id(id): Id,
    if_match: IfMatch,
    Body(body): Body<RefundOrder>,
) -> Result<Response, Problem> {
    let command = body.amount.clone().try_into().map(|amount| order::Command::Refund { amount });
    change(&api, sender, id.into(), "refunds", if_match, &body, command).await
}

/// Take copies of an order back.
///
/// Those with `restock` can be sold again. No money moves: that is refunded.
#[utoipa::path(
    post, path = "/v1/orders/{id}/returns", tag = "orders", request_body = ReturnCopies,
    params(
        ("id" = uuid::Uuid, Path, description = "The order"),
        ("If-Match" = Option<String>, Header, description = "The entity tag that was read, such as `\"3\"`"),
        IdempotencyKey,
    ),
    responses(
        (status = 200, body = api::order::Order, description = "The order as it is now"),
        (status = 404, body = schemas::problems::Body, description = "`not_found`"),
        (status = 409, body = schemas::problems::Body, description = "`order_not_paid` or `return_too_large`"),
        (status = 422, body = schemas::problems::Body, description = "`line_count` or `quantity`"),
    )
)]
pub(crate) async fn take_back(
    State(api): State<CommandApi>,
    sender: Sender,
    Id(id): Id,
    if_match: IfMatch,
    Body(body): Body<ReturnCopies>,
) -> Result<Response, Problem> {
    let command = body.clone().try_into().map(|lines| order::Command::Return { lines });
    change(&api, sender, id.into(), "returns", if_match, &body, command).await
}

async fn change(
    api: &CommandApi,
    sender: Sender,
    id: OrderId,
    action: &str,
    if_match: IfMatch,
    body: &impl Serialize,
    command: Result<order::Command, Invalid>,
) -> Result<Response, Problem> {
    // An unknown order is 404 before anything else about the request is judged.
    let current = owned(api, &sender, id).await?;
    let command = command?;
    let if_match = optional(if_match, current)?;
    let operation = format!("POST /v1/orders/{id}/{action}");
    let request = sender.request(api, &operation, body, stream_of(id), if_match, Command::Order(command));
    let (loaded, position) = api.commands.send(request).await?.accepted()?;
    let placed = placed(&loaded).ok_or_else(Problem::internal)?;
    let body = api::order::Order::new(id, placed, loaded.revision.0);
    Ok(answer(StatusCode::OK, body, loaded.revision, position))
}

/// The order's revision; an order that is unknown, or another's, is 404.
async fn owned(api: &CommandApi, sender: &Sender, id: OrderId) -> Result<Revision, Problem> {
    let loaded = peek_one(api, stream_of(id)).await?;
    let owner = placed(&loaded).map(|placed| placed.placement.customer);
    let may = match (owner, sender.reach) {
        (None, _) => false,
        (Some(_), Reach::All) => true,
        (Some(CustomerId(owner)), Reach::Own) => {
            api.vault.find(&sender.principal).await.map_err(|error| silent(&error))? == Some(owner)
        }
    };
    if may { Ok(loaded.revision) } else { Err(unknown(id)) }
}

pub(crate) fn unknown(id: OrderId) -> Problem {
    Problem::new(Rule::NotFound, format!("no order has the id {id}"))
}

pub(crate) fn placed(loaded: &Loaded) -> Option<&Placed> {
    match loaded.state.as_ref() {
        domain::State::Order(order) => order.placed(),
        _ => None,
    }
}

pub(crate) fn stream_of(id: OrderId) -> StreamId {
    StreamId::new(&schemas::stream::order(id))
}

/// The vault failed: its reasons are for the log, not for the sender.
fn silent(error: &VaultError) -> Problem {
    tracing::error!(%error, "the vault cannot be read");
    Problem {
        retry_after_s: Some(1),
        ..Problem::new(Rule::Unavailable, "who ordered cannot be looked up at the moment")
    }
}
