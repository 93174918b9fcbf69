//! Events of another log into an empty one: all in one transaction, so that a crash half-way leaves it empty.

use super::rows::{self, unavailable};
use crate::event_log::intake::{self, Intake};
use crate::event_log::{LogError, Position};
use crate::postgres::lock_log;
use sqlx::postgres::PgPool;

/// Takes in all that comes, or nothing.
pub(super) async fn import(pool: &PgPool, mut events: Intake) -> Result<(), LogError> {
    let mut transaction = pool.begin().await.map_err(unavailable)?;
    lock_log(&mut transaction).await.map_err(unavailable)?;
    let head: i64 = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM events")
        .fetch_one(&mut *transaction)
        .await
        .map_err(unavailable)?;
    if head != 0 {
        return Err(intake::not_empty(Position(head.cast_unsigned())));
    }
    while let Some(page) = events.next().await? {
        rows::insert(&mut *transaction, &page).await.map_err(|error| match error.as_database_error() {
            // Positions and revisions are in order: what is there already is an id.
            Some(error) if error.is_unique_violation() => intake::repeated_id(),
            _ => unavailable(error),
        })?;
    }
    transaction.commit().await.map_err(unavailable)
}
