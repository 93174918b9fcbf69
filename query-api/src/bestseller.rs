//! The read route of bestsellers.

use crate::book::BY_ID;
use crate::cursor::{PageQuery, PageStart};
use crate::routes::{QueryApi, page, unavailable};
use axum::extract::State;
use axum::response::Response;
use platform::read_store::{Param, Select};
use schemas::api::page::{Bestseller, Bestsellers};
use schemas::http::{MinPosition, Params};
use schemas::problems::Problem;
use schemas::views::Row;
use schemas::views::bestseller::BestsellerRow;
use schemas::views::book::BookRow;

/// A book's copies, over all partitions.
const SUMS: &str = "(SELECT book_id, 0 AS partition, sum(sold) AS sold FROM bestsellers GROUP BY book_id)";

/// List the bestsellers.
///
/// Books by copies that were paid, whatever became of them then; the most first.
#[utoipa::path(
    get, path = "/v1/bestsellers", tag = "books",
    params(PageQuery, MinPosition),
    responses(
        (status = 200, body = Bestsellers, description = "At most `limit` books"),
        (status = 503, body = schemas::problems::Body, description = "`not_yet`: the position was not reached in time"),
    )
)]
pub(crate) async fn list(
    State(api): State<QueryApi>,
    Params(query): Params<PageQuery>,
    min_position: MinPosition,
) -> Result<Response, Problem> {
    let start = PageStart::try_from(query)?;
    api.reach(BestsellerRow::NAME, min_position).await?;
    api.reach(BookRow::NAME, min_position).await?;
    let select = Select { from: Some(SUMS), filter: "true", order: "sold DESC, book_id", limit: start.limit };
    let read = api.store.read::<BestsellerRow>(BestsellerRow::NAME, select, &[]).await.map_err(unavailable)?;
    let mut position = read.position;
    let mut items = Vec::with_capacity(read.rows.len());
    for BestsellerRow { book_id, sold, .. } in read.rows {
        let mut books =
            api.store.read::<BookRow>(BookRow::NAME, BY_ID, &[Param::Text(book_id)]).await.map_err(unavailable)?;
        position = position.min(books.position);
        // A book that its view set aside cannot be shown.
        if let Some(row) = books.rows.pop() {
            items.push(Bestseller { book: crate::book::body(row)?, sold: sold.cast_unsigned() });
        }
    }
    Ok(page(Bestsellers { items }, None, position))
}
