//! Read routes of orders: one's own, and everybody's for the staff.

use crate::cursor::{PageQuery, PageStart};
use crate::routes::{QueryApi, not_found, object, page, unavailable};
use axum::body::Bytes;
use axum::extract::{FromRequestParts, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use domain::order::OrderId;
use platform::event_log::Position;
use platform::identity::{Principal, Reach};
use platform::read_store::{Param, Select};
use schemas::api::order::{Order, Status};
use schemas::api::page::{History, OrderPage};
use schemas::http::{Id, MinPosition, Params};
use schemas::problems::{Problem, Rule};
use schemas::views::Row;
use schemas::views::order::{HistoryRow, OrderRow};
use serde::Deserialize;
use std::convert::Infallible;
use utoipa::IntoParams;

/// Events of an order that are shown at once, unless fewer are asked for.
const HISTORY_MAX: u32 = 1_000;

/// Who reads.
pub(crate) struct Reader {
    principal: Option<Principal>,
    reach: Reach,
}

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let reach = parts.extensions.get::<Reach>().copied().unwrap_or(Reach::Own);
        Ok(Self { principal: parts.extensions.get::<Principal>().cloned(), reach })
    }
}

impl Reader {
    /// The customer whose orders alone may be read; none if anybody's may. Who never ordered is the customer without a name,
    /// who has no orders.
    async fn customer(&self, api: &QueryApi) -> Result<Option<String>, Problem> {
        if self.reach == Reach::All {
            return Ok(None);
        }
        let Some(principal) = &self.principal else { return Ok(Some(String::new())) };
        let customer = api.vault.find(principal).await.map_err(|error| {
            tracing::error!(%error, "the vault cannot be read");
            Problem::new(Rule::Unavailable, "whose orders are whose cannot be looked up at the moment")
        })?;
        Ok(Some(customer.map(|id| id.to_string()).unwrap_or_default()))
    }

    /// The order, if it is there and this reader's; with the position at which that was so.
    async fn order(&self, api: &QueryApi, id: OrderId) -> Result<(OrderRow, Position), Problem> {
        let select = Select { from: None, filter: "id = ?1", order: "id", limit: 1 };
        let read = api.store.read::<OrderRow>(OrderRow::NAME, select, &[Param::Text(id.to_string())]).await;
        let mut read = read.map_err(unavailable)?;
        let customer = self.customer(api).await?;
        let may = |row: &OrderRow| customer.as_ref().is_none_or(|own| *own == row.customer_id);
        let row = read.rows.pop().filter(may).ok_or_else(|| not_found("no order has this id", read.position))?;
        Ok((row, read.position))
    }
}

/// Read an order.
#[utoipa::path(
    get, path = "/v1/orders/{id}", tag = "orders",
    params(
        ("id" = uuid::Uuid, Path, description = "The order"),
        ("If-None-Match" = Option<String>, Header, description = "The entity tag that is known already"),
        MinPosition,
    ),
    responses(
        (status = 200, body = Order, description = "The order; `ETag` and `Colophon-Position` are set"),
        (status = 304, description = "The order is as the entity tag says"),
        (status = 404, body = schemas::problems::Body, description = "`not_found`, also of somebody else's order"),
        (status = 503, body = schemas::problems::Body, description = "`not_yet`: the position was not reached in time"),
    )
)]
pub(crate) async fn by_id(
    State(api): State<QueryApi>,
    reader: Reader,
    Id(id): Id,
    min_position: MinPosition,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    api.reach(OrderRow::NAME, min_position).await?;
    let (row, position) = reader.order(&api, id.into()).await?;
    let order = body(row)?;
    let bytes = Bytes::from(serde_json::to_vec(&order).map_err(|error| unavailable(error.into()))?);
    let answer = object(&headers, bytes, order.revision, position);
    Ok(api.marked(answer, OrderRow::NAME, &schemas::stream::order(id.into())))
}

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrdersQuery {
    /// Only those that stand there now.
    status: Option<Status>,
}

/// List orders.
///
/// The newest first: one's own, or everybody's for the staff.
#[utoipa::path(
    get, path = "/v1/orders", tag = "orders",
    params(OrdersQuery, PageQuery, MinPosition),
    responses(
        (status = 200, body = OrderPage, description = "`Link` with `rel=\"next\"` leads to the next page"),
        (status = 503, body = schemas::problems::Body, description = "`not_yet`: the position was not reached in time"),
    )
)]
pub(crate) async fn list(
    State(api): State<QueryApi>,
    reader: Reader,
    Params(OrdersQuery { status }): Params<OrdersQuery>,
    Params(query): Params<PageQuery>,
    min_position: MinPosition,
) -> Result<Response, Problem> {
    let start = PageStart::try_from(query)?;
    api.reach(OrderRow::NAME, min_position).await?;
    let customer = reader.customer(&api).await?;
    let status = status.map(Status::name);
    let filter = match (&customer, status) {
        (None, None) => "placed_at < ?1",
        (None, Some(_)) => "placed_at < ?1 AND status = ?2",
        (Some(_), None) => "placed_at < ?1 AND customer_id = ?2",
        (Some(_), Some(_)) => "placed_at < ?1 AND customer_id = ?2 AND status = ?3",
    };
    let texts = customer.into_iter().chain(status.map(str::to_owned)).map(Param::Text);
    let params: Vec<_> = std::iter::once(Param::Integer(start.before())).chain(texts).collect();
    let select = Select { from: None, filter, order: "placed_at DESC", limit: start.rows() };
    let mut read = api.store.read::<OrderRow>(OrderRow::NAME, select, &params).await.map_err(unavailable)?;
    let next_cursor = start.cut(&mut read.rows, |row| row.placed_at);
    let items = read.rows.into_iter().map(body).collect::<Result<_, _>>()?;
    let of_status = status.map(|status| format!("&status={status}")).unwrap_or_default();
    let next =
        next_cursor.as_ref().map(|cursor| format!("/v1/orders?cursor={cursor}&limit={}{of_status}", start.limit));
    Ok(page(OrderPage { items, next_cursor }, next.as_deref(), read.position))
}

/// Read the history of an order.
///
/// Its events, oldest first.
#[utoipa::path(
    get, path = "/v1/orders/{id}/history", tag = "orders",
    params(("id" = uuid::Uuid, Path, description = "The order"), PageQuery, MinPosition),
    responses(
        (status = 200, body = History, description = "`Link` with `rel=\"next\"` leads to the next page"),
        (status = 404, body = schemas::problems::Body, description = "`not_found`, also of somebody else's order"),
        (status = 503, body = schemas::problems::Body, description = "`not_yet`: the position was not reached in time"),
    )
)]
pub(crate) async fn history(
    State(api): State<QueryApi>,
    reader: Reader,
    Id(id): Id,
    Params(query): Params<PageQuery>,
    min_position: MinPosition,
) -> Result<Response, Problem> {
    let start = PageStart::with_default(query, HISTORY_MAX)?;
    api.reach(OrderRow::NAME, min_position).await?;
    api.reach(HistoryRow::NAME, min_position).await?;
    let id = OrderId::from(id);
    let (_, position) = reader.order(&api, id).await?;
    let filter = "order_id = ?1 AND revision > ?2";
    let select = Select { from: None, filter, order: "revision", limit: start.rows() };
    let params = [Param::Text(id.to_string()), Param::Integer(start.after)];
    let mut read = api.store.read::<HistoryRow>(HistoryRow::NAME, select, &params).await.map_err(unavailable)?;
    let next_cursor = start.cut(&mut read.rows, |row| row.revision);
    let items = read.rows.into_iter().map(HistoryRow::body).collect::<Result<_, _>>();
    let items = items.map_err(|error| unavailable(error.into()))?;
    let next = next_cursor.as_ref().map(|cursor| format!("/v1/orders/{id}/history?cursor={cursor}"));
    let answer = page(History { items, next_cursor }, next.as_deref(), position.min(read.position));
    Ok(api.marked(answer, HistoryRow::NAME, &schemas::stream::order(id)))
}

fn body(row: OrderRow) -> Result<Order, Problem> {
    row.body().map_err(|error| unavailable(error.into()))
}
