//! Read routes of the inventory.

use crate::book::BY_ID;
use crate::cursor::{PageQuery, PageStart};
use crate::routes::{QueryApi, not_found, object, page, unavailable};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use domain::book::BookId;
use domain::stock::{Figures, Location};
use platform::event_log::Position;
use platform::read_store::{Param, Select};
use schemas::api::page::Ledger;
use schemas::api::stock::Stock;
use schemas::http::{Id, MinPosition, Params};
use schemas::problems::Problem;
use schemas::views::Row;
use schemas::views::book::BookRow;
use schemas::views::stock::{MovementRow, StockRow};

const OF_BOOK: Select = Select { from: None, filter: "book_id = ?1 AND location = ?2", order: "book_id", limit: 1 };

/// Read a stock.
///
/// A registered book that never had copies has a stock of zeros, with revision 0.
#[utoipa::path(
    get, path = "/v1/stock/{book_id}", tag = "stock",
    params(
        ("book_id" = uuid::Uuid, Path, description = "The book"),
        ("If-None-Match" = Option<String>, Header, description = "The entity tag that is known already"),
        MinPosition,
    ),
    responses(
        (status = 200, body = Stock, description = "The figures; `ETag` and `Colophon-Position` are set"),
        (status = 304, description = "The stock is as the entity tag says"),
        (status = 404, body = schemas::problems::Body, description = "`not_found`"),
        (status = 503, body = schemas::problems::Body, description = "`not_yet`: the position was not reached in time"),
    )
)]
pub(crate) async fn figures(
    State(api): State<QueryApi>,
    Id(id): Id,
    min_position: MinPosition,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    api.reach(StockRow::NAME, min_position).await?;
    let params = [Param::Text(BookId::from(id).to_string()), Param::Text(Location::main().as_str().to_owned())];
    let read = api.store.read::<StockRow>(StockRow::NAME, OF_BOOK, &params).await.map_err(unavailable)?;
    let (stock, position) = match read.rows.first() {
        Some(row) => (row.body(), read.position),
        None => (Stock::new(Figures::default(), 0), registered(&api, id.into(), min_position, read.position).await?),
    };
    let body = Bytes::from(serde_json::to_vec(&stock).map_err(|error| unavailable(error.into()))?);
    let answer = object(&headers, body, stock.revision, position);
    Ok(api.marked(answer, StockRow::NAME, &schemas::stream::stock(id.into(), &Location::main())))
}

/// Read the ledger of a stock.
///
/// Every movement with the figures after it, oldest first.
#[utoipa::path(
    get, path = "/v1/stock/{book_id}/ledger", tag = "stock",
    params(
        ("book_id" = uuid::Uuid, Path, description = "The book"),
        PageQuery,
        MinPosition,
    ),
    responses(
        (status = 200, body = Ledger, description = "`Link` with `rel=\"next\"` leads to the next page"),
        (status = 404, body = schemas::problems::Body, description = "`not_found`"),
        (status = 503, body = schemas::problems::Body, description = "`not_yet`: the position was not reached in time"),
    )
)]
pub(crate) async fn ledger(
    State(api): State<QueryApi>,
    Id(id): Id,
    Params(query): Params<PageQuery>,
    min_position: MinPosition,
) -> Result<Response, Problem> {
    let id = BookId::from(id);
    let start = PageStart::try_from(query)?;
    api.reach(MovementRow::NAME, min_position).await?;
    let filter = "book_id = ?1 AND location = ?2 AND revision > ?3";
    let select = Select { from: None, filter, order: "revision", limit: start.rows() };
    let location = Location::main().as_str().to_owned();
    let params = [Param::Text(id.to_string()), Param::Text(location), Param::Integer(start.after)];
    let mut read = api.store.read::<MovementRow>(MovementRow::NAME, select, &params).await.map_err(unavailable)?;
    let position = match read.rows.is_empty() {
        true => registered(&api, id, min_position, read.position).await?,
        false => read.position,
    };
    let next_cursor = start.cut(&mut read.rows, |row| row.revision);
    let items = read.rows.into_iter().map(MovementRow::body).collect();
    let next =
        next_cursor.as_ref().map(|cursor| format!("/v1/stock/{id}/ledger?cursor={cursor}&limit={}", start.limit));
    let answer = page(Ledger { items, next_cursor }, next.as_deref(), position);
    Ok(api.marked(answer, MovementRow::NAME, &schemas::stream::stock(id, &Location::main())))
}

/// Demands that there is such a book; with the position up to which the answer is true.
async fn registered(
    api: &QueryApi,
    id: BookId,
    min_position: MinPosition,
    position: Position,
) -> Result<Position, Problem> {
    api.reach(BookRow::NAME, min_position).await?;
    let read = api.store.read::<BookRow>(BookRow::NAME, BY_ID, &[Param::Text(id.to_string())]).await;
    let read = read.map_err(unavailable)?;
    let position = position.min(read.position);
    if read.rows.is_empty() { Err(not_found("no book has this id", position)) } else { Ok(position) }
}
