//! Read routes of the catalogue.

use crate::book_cache::CachedBook;
use crate::cursor::{PageQuery, PageStart};
use crate::routes::{QueryApi, not_found, object, page, unavailable};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use domain::book::BookId;
use domain::book::isbn::Isbn;
use platform::read_store::{Param, Select};
use schemas::api::book::Book;
use schemas::api::page::BookPage;
use schemas::http::{Id, MinPosition, Params};
use schemas::problems::{Problem, Rule};
use schemas::views::Row;
use schemas::views::book::BookRow;

pub(crate) const BY_ID: Select = Select { from: None, filter: "id = ?1", order: "id", limit: 1 };

/// Read a book.
#[utoipa::path(
    get, path = "/v1/books/{id}", tag = "books",
    params(
        ("id" = uuid::Uuid, Path, description = "The book"),
        ("If-None-Match" = Option<String>, Header, description = "The entity tag that is known already"),
        MinPosition,
    ),
    responses(
        (status = 200, body = Book, description = "The book; `ETag` and `Colophon-Position` are set"),
        (status = 304, description = "The book is as the entity tag says"),
        (status = 404, body = schemas::problems::Body, description = "`not_found`"),
        (status = 503, body = schemas::problems::Body, description = "`not_yet`: the position was not reached in time"),
    )
)]
pub(crate) async fn by_id(
    State(api): State<QueryApi>,
    Id(id): Id,
    min_position: MinPosition,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    one(&api, BookId::from(id), min_position, &headers).await
}

/// Read a book by its ISBN.
#[utoipa::path(
    get, path = "/v1/books/isbn/{isbn}", tag = "books",
    params(
        ("isbn" = String, Path, description = "ISBN-10 or ISBN-13; hyphens and spaces are ignored"),
        ("If-None-Match" = Option<String>, Header, description = "The entity tag that is known already"),
        MinPosition,
    ),
    responses(
        (status = 200, body = Book, description = "The book; `ETag` and `Colophon-Position` are set"),
        (status = 304, description = "The book is as the entity tag says"),
        (status = 404, body = schemas::problems::Body, description = "`not_found`"),
        (status = 503, body = schemas::problems::Body, description = "`not_yet`: the position was not reached in time"),
    )
)]
pub(crate) async fn by_isbn(
    State(api): State<QueryApi>,
    Path(isbn): Path<String>,
    min_position: MinPosition,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let isbn = Isbn::parse(&isbn)
        .map_err(|invalid| Problem::new(Rule::NotFound, format!("no book has this ISBN: {invalid}")))?;
    one(&api, BookId::of(&isbn), min_position, &headers).await
}

async fn one(api: &QueryApi, id: BookId, min_position: MinPosition, headers: &HeaderMap) -> Result<Response, Problem> {
    api.reach(BookRow::NAME, min_position).await?;
    let CachedBook { body, revision, position, .. } = current(api, &id.to_string()).await?;
    let answer = object(headers, body, revision, position);
    Ok(api.marked(answer, BookRow::NAME, &schemas::stream::book(id)))
}

/// The book's body, from the cache or the view.
async fn current(api: &QueryApi, id: &str) -> Result<CachedBook, Problem> {
    if let Some(book) = api.books.get(id, &api.store) {
        return Ok(book);
    }
    let mut read =
        api.store.read::<BookRow>(BookRow::NAME, BY_ID, &[Param::Text(id.to_owned())]).await.map_err(unavailable)?;
    let (position, generation) = (read.position, read.generation);
    let row = read.rows.pop().ok_or_else(|| not_found("no book has this id", position))?;
    let book = body(row)?;
    let revision = book.revision;
    let body = axum::body::Bytes::from(serde_json::to_vec(&book).map_err(|error| unavailable(error.into()))?);
    let book = CachedBook { body, revision, position, generation };
    api.books.put(id, book.clone());
    Ok(book)
}

/// List the books.
///
/// In the order of their registration, retired ones too: a page never changes its place.
#[utoipa::path(
    get, path = "/v1/books", tag = "books",
    params(
        PageQuery,
        MinPosition,
    ),
    responses(
        (status = 200, body = BookPage, description = "`Link` with `rel=\"next\"` leads to the next page"),
        (status = 503, body = schemas::problems::Body, description = "`not_yet`: the position was not reached in time"),
    )
)]
pub(crate) async fn list(
    State(api): State<QueryApi>,
    Params(query): Params<PageQuery>,
    min_position: MinPosition,
) -> Result<Response, Problem> {
    let start = PageStart::try_from(query)?;
    api.reach(BookRow::NAME, min_position).await?;
    let select = Select { from: None, filter: "registered_at > ?1", order: "registered_at", limit: start.rows() };
    let read = api.store.read::<BookRow>(BookRow::NAME, select, &[Param::Integer(start.after)]).await;
    let mut read = read.map_err(unavailable)?;
    let next_cursor = start.cut(&mut read.rows, |row| row.registered_at);
    let items = read.rows.into_iter().map(body).collect::<Result<_, _>>()?;
    let next = next_cursor.as_ref().map(|cursor| format!("/v1/books?cursor={cursor}&limit={}", start.limit));
    Ok(page(BookPage { items, next_cursor }, next.as_deref(), read.position))
}

pub(crate) fn body(row: BookRow) -> Result<Book, Problem> {
    row.body().map_err(|error| unavailable(error.into()))
}
