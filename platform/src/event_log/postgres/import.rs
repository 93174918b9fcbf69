//! Events of another log into an empty one: all in one transaction under the log's lock.

use super::rows::{self, unavailable};
use super::session::Server;
use crate::event_log::LogError;
use crate::event_log::intake::{self, Intake};
use crate::postgres::lock_log;
use sqlx::{Connection, PgConnection};

/// What an import asks of its transaction: pages come from outside, and the intake bounds how long one may take.
const PATIENT: &str = "
    SET LOCAL idle_in_transaction_session_timeout = '40s';
    SET LOCAL synchronous_commit = on";

/// Takes in all that comes, or nothing.
pub(super) async fn import(server: &Server, mut events: Intake) -> Result<(), LogError> {
    let mut connection = server.connect().await.map_err(unavailable)?;
    let mut transaction = connection.begin().await.map_err(unavailable)?;
    lock_log(&mut transaction).await.map_err(unavailable)?;
    sqlx::raw_sql(PATIENT).execute(&mut *transaction).await.map_err(unavailable)?;
    take(&mut transaction, &mut events).await?;
    // Whoever asks for an import of what did not seem to be taken is told that the log has events.
    transaction.commit().await.map_err(unavailable)
}

async fn take(transaction: &mut PgConnection, events: &mut Intake) -> Result<(), LogError> {
    let head = rows::head(transaction).await.map_err(unavailable)?;
    if head.0 != 0 {
        return Err(intake::not_empty(head));
    }
    while let Some(page) = events.next().await? {
        rows::insert(transaction, &page).await.map_err(|error| match error.as_database_error() {
            // Positions and revisions are in order: what is there already is an id.
            Some(error) if error.is_unique_violation() => intake::repeated_id(),
            _ => unavailable(error),
        })?;
    }
    Ok(())
}
