//! Hears what other processes, and this one, commit to views, in the order in which they do.

use super::generations::TableGenerations;
use super::notice::{CHANNEL, Notice};
use crate::event_log::Position;
use crate::postgres;
use crate::view_store::StoreError;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;
use thiserror::Error;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether something was missed, while somebody waits for a position.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// While nobody waits, every such look is done only.
const IDLE_LOOKS: u32 = 20;

/// How long to rest before listening anew.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// How far the live generation of each view is, and its number.
type Seen = HashMap<String, (u32, Position)>;

/// Why the listening ended.
#[derive(Debug, Error)]
enum Deaf {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the connection was lost")]
    Lost,
    #[error("something was committed and not heard of")]
    Missed,
}

impl From<sqlx::Error> for Deaf {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Listens from now on until it is stopped.
pub(super) async fn start(
    url: &str,
    views: &HashMap<&'static str, Arc<TableGenerations>>,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    // Those who use the views own them.
    let views = views.iter().map(|(name, view)| (*name, Arc::downgrade(view))).collect();
    let pool = postgres::connect(url, 2).await?;
    let mut listener = Listener { pool, views };
    let connection = listener.connect().await?;
    tokio::spawn(async move { stop.run_until_cancelled(listener.run(connection)).await });
    Ok(())
}

struct Listener {
    /// One to listen, and one to look.
    pool: PgPool,
    views: HashMap<&'static str, Weak<TableGenerations>>,
}

impl Listener {
    /// Listens, and then takes in how everything is: what comes to be later is heard.
    async fn connect(&mut self) -> Result<PgListener, StoreError> {
        let mut connection = PgListener::connect_with(&self.pool).await?;
        connection.listen(CHANNEL).await?;
        self.refresh().await?;
        Ok(connection)
    }

    async fn run(&mut self, mut connection: PgListener) -> Infallible {
        loop {
            let Err(error) = self.listen(&mut connection).await;
            drop(connection);
            tracing::warn!(%error, "changes of views by other processes are not heard; listening anew");
            connection = loop {
                tokio::time::sleep(LISTEN_AGAIN_AFTER).await;
                match self.connect().await {
                    Ok(connection) => break connection,
                    Err(error) => tracing::warn!(%error, "changes of views by other processes cannot be heard"),
                }
            };
        }
    }

    async fn listen(&mut self, connection: &mut PgListener) -> Result<Infallible, Deaf> {
        connection.eager_reconnect(false);
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = 0_u32;
        // As they were known at the last look, and as they were seen then.
        let mut last: Option<(Seen, Seen)> = None;
        loop {
            tokio::select! {
                biased;
                heard = connection.try_recv() => match heard? {
                    Some(notice) => self.hear(notice.payload()).await?,
                    None => return Err(Deaf::Lost),
                },
                _ = ticks.tick() => {
                    looks = looks.wrapping_add(1);
                    if !self.is_waited_for() && !looks.is_multiple_of(IDLE_LOOKS) {
                        continue;
                    }
                    let known = self.known();
                    // What was seen a look ago must have been heard of meanwhile.
                    if last.is_some_and(|(then, seen)| then == known && seen != known) {
                        return Err(Deaf::Missed);
                    }
                    last = Some((known, self.look().await?));
                }
            }
        }
    }

    async fn hear(&self, payload: &str) -> Result<(), StoreError> {
        let Ok(Notice { view, news }) = serde_json::from_str(payload) else {
            // Another version of this program says something that this one does not understand.
            return self.refresh().await;
        };
        match self.views.get(view.as_str()).and_then(Weak::upgrade) {
            Some(view) => view.hear(news).await,
            None => Ok(()),
        }
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        for view in self.views.values().filter_map(Weak::upgrade) {
            view.refresh().await?;
        }
        Ok(())
    }

    fn is_waited_for(&self) -> bool {
        self.views.values().filter_map(Weak::upgrade).any(|view| view.shared.position.receiver_count() > 0)
    }

    /// What this process knows.
    fn known(&self) -> Seen {
        let views = self.views.values().filter_map(Weak::upgrade);
        let known = |view: Arc<TableGenerations>| {
            let position = *view.shared.position.borrow();
            (view.shared.table.name.to_owned(), (view.shared.live.load(Ordering::SeqCst), position))
        };
        views.map(known).collect()
    }

    /// What is.
    async fn look(&self) -> Result<Seen, sqlx::Error> {
        let views: Vec<_> = self.views.keys().map(|view| (*view).to_owned()).collect();
        let rows: Vec<(String, i64, Option<i64>)> = sqlx::query_as(
            "SELECT view, number, (SELECT min(position) FROM checkpoints WHERE table_name = view || '_' || number)
             FROM generations WHERE stage = 'live' AND view = ANY($1)",
        )
        .bind(views)
        .fetch_all(&self.pool)
        .await?;
        let seen = |(view, number, position): (String, i64, Option<i64>)| {
            let position = Position(position.unwrap_or_default().cast_unsigned());
            (view, (super::tables::counted(number), position))
        };
        Ok(rows.into_iter().map(seen).collect())
    }
}
