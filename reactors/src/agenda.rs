//! What a reactor has to look at, and when: the rows of a view.

use domain::order::OrderId;
use domain::timestamp::Timestamp;
use futures_util::future::{BoxFuture, FutureExt};
use platform::event_log::Position;
use platform::read_store::{ReadStore, Select};
use platform::view_store::StoreError;
use schemas::views::Row;
use schemas::views::purchase::PurchaseRow;
use thiserror::Error;
use uuid::Uuid;

/// Why the agenda does not answer.
#[derive(Debug, Error)]
pub enum AgendaError {
    /// The view cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row is not what its view writes.
    #[error("`{0}` is not an order's id")]
    Row(String),
}

/// A purchase to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Which order's.
    pub order: OrderId,
    /// When.
    pub at: Timestamp,
}

/// Purchases by when they are due, as far as the view has come.
pub trait Agenda: Send + Sync {
    /// The first so many, with the position at which that was so.
    fn first(&self, limit: u32) -> BoxFuture<'_, Result<(Vec<Due>, Position), AgendaError>>;

    /// Returns once it has come as far as `position`.
    fn reached(&self, position: Position) -> BoxFuture<'_, ()>;
}

impl Agenda for ReadStore {
    fn first(&self, limit: u32) -> BoxFuture<'_, Result<(Vec<Due>, Position), AgendaError>> {
        async move {
            let select = Select { from: None, filter: "true", order: "due_at", limit };
            let read = self.read::<PurchaseRow>(PurchaseRow::NAME, select, &[]).await?;
            let due = |row: &PurchaseRow| match Uuid::try_parse(&row.order_id) {
                Ok(id) => Ok(Due { order: id.into(), at: row.due_at() }),
                Err(_) => Err(AgendaError::Row(row.order_id.clone())),
            };
            Ok((read.rows.iter().map(due).collect::<Result<_, _>>()?, read.position))
        }
        .boxed()
    }

    fn reached(&self, position: Position) -> BoxFuture<'_, ()> {
        async move {
            self.wait_for(PurchaseRow::NAME, position).await;
        }
        .boxed()
    }
}
