//! Events of another log into an empty one: all in one transaction, so that a crash half-way leaves it empty.

use super::rows::unavailable;
use super::writer::{Writer, insert_within};
use crate::event_log::intake::{self, Intake};
use crate::event_log::{LogError, Position};
use crate::sqlite_code;
use sqlx::{Connection, SqliteConnection};

impl Writer {
    /// Takes in all that comes, or nothing.
    pub(super) async fn import(&mut self, mut events: Intake) -> Result<(), LogError> {
        if let Some(reason) = &self.failed {
            return Err(LogError::Fatal(reason.clone()));
        }
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)?;
        let taken = take(&mut transaction, &mut events).await;
        let ended = match &taken {
            Ok(_) => transaction.commit().await,
            Err(_) => transaction.rollback().await,
        };
        if let Err(error) = ended {
            // As after any commit that failed, nobody knows what is on the disk. Where SQLite has rolled back by itself, a
            // second time fails, and it is the first error that tells why.
            return Err(self.fail(taken.err().map_or_else(|| sqlite_code::told(&error), |error| error.to_string())));
        }
        self.position = taken?;
        self.heads.clear();
        Ok(())
    }
}

async fn take(transaction: &mut SqliteConnection, events: &mut Intake) -> Result<Position, LogError> {
    let head: i64 = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM events")
        .fetch_one(&mut *transaction)
        .await
        .map_err(unavailable)?;
    if head != 0 {
        return Err(intake::not_empty(Position(head.cast_unsigned())));
    }
    let mut last = Position(0);
    while let Some(page) = events.next().await? {
        let Some(event) = page.last() else { continue };
        last = event.position;
        insert_within(transaction, &page).await.map_err(|error| match error.as_database_error() {
            // Positions and revisions are in order: what is there already is an id.
            Some(error) if error.is_unique_violation() => intake::repeated_id(),
            _ => unavailable(error),
        })?;
    }
    Ok(last)
}
