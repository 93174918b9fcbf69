//! Where the log ends, as all processes put it there: they tell each other, and look where that fails.

use super::rows;
use super::session::Server;
use crate::event_log::Position;
use sqlx::postgres::{PgListener, PgPool};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The channel on which the log's last position is told.
const CHANNEL: &str = "colophon_log";

/// Tells a position, by a commit that is not flushed. It is none of the log's own commits: of those that tell anything,
/// Postgres makes one after the other, in the whole server, so each view's would wait for the log's flush, and the log's
/// for all of theirs.
const TELL: &str = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)";

/// How often it is looked for what was not told, while somebody waits.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long a connection may be silent until it is asked whether it is still there.
const SILENT: Duration = Duration::from_secs(10);

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How long a server that does not answer is left alone.
const RECONNECT_AFTER: Duration = Duration::from_millis(500);

/// The log's last position, as far as it is known here; it never goes back.
pub(super) struct Tail {
    announced: watch::Sender<Position>,
    /// How far this process has put it.
    put: watch::Sender<Position>,
    tasks: std::sync::Mutex<JoinSet<()>>,
}

impl Tail {
    /// Follows the log from now on, as long as this lives.
    pub(super) fn follow(server: Server, readers: PgPool, head: Position) -> Self {
        let (announced, put) = (watch::Sender::new(head), watch::Sender::new(head));
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(server, announced.clone()));
        tasks.spawn(look(readers.clone(), announced.clone()));
        tasks.spawn(tell(readers, put.subscribe()));
        Self { announced, put, tasks: std::sync::Mutex::new(tasks) }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Position> {
        self.announced.subscribe()
    }

    /// This process has put it there.
    pub(super) fn announce(&self, position: Position) {
        announce(&self.announced, position);
        announce(&self.put, position);
    }

    pub(super) fn close(&self) {
        self.tasks.lock().expect("nothing panics while it holds the tasks").abort_all();
    }
}

fn announce(announced: &watch::Sender<Position>, position: Position) {
    announced.send_if_modified(|head| {
        let further = position > *head;
        *head = position.max(*head);
        further
    });
}

/// Tells the other processes, as long as it is polled.
async fn tell(readers: PgPool, mut put: watch::Receiver<Position>) {
    while put.changed().await.is_ok() {
        let position = put.borrow_and_update().0.to_string();
        let tell = async |connection: &mut _| sqlx::query(TELL).bind(CHANNEL).bind(position).execute(connection).await;
        if let Err(error) = super::read(&readers, tell).await {
            tracing::debug!(%error, "the other processes are not told where the event log ends; they look for it");
        }
    }
}

/// Announces what the server tells, as long as it is polled.
pub(super) async fn listen(server: Server, announced: watch::Sender<Position>) {
    let mut told = false;
    loop {
        let error = hear(&server, &announced, &mut told).await;
        if !std::mem::replace(&mut told, true) {
            tracing::warn!(%error, "the event log's announcements are not heard; it is looked for what is new");
        }
        sleep(RECONNECT_AFTER).await;
    }
}

/// Announces what is heard, until it fails.
async fn hear(server: &Server, announced: &watch::Sender<Position>, told: &mut bool) -> sqlx::Error {
    let hear = async {
        let late = |_| sqlx::Error::PoolTimedOut;
        // A pool of its own each time: a connection that does not answer is not given back either.
        let mut listener = timeout(ANSWER_WITHIN, PgListener::connect_with(&server.pool(1))).await.map_err(late)??;
        listener.eager_reconnect(false);
        timeout(ANSWER_WITHIN, listener.listen(CHANNEL)).await.map_err(late)??;
        *told = false;
        loop {
            // What was appended before the first word, too.
            let head = async { rows::head(sqlx::Acquire::acquire(&mut listener).await?).await };
            announce(announced, timeout(ANSWER_WITHIN, head).await.map_err(late)??);
            while let Ok(heard) = timeout(SILENT, listener.try_recv()).await {
                let Some(notification) = heard? else { return Err(sqlx::Error::WorkerCrashed) };
                // Whoever may connect may notify: what is no number is none of ours.
                if let Ok(position) = notification.payload().parse() {
                    announce(announced, Position(position));
                }
            }
        }
    };
    let Err::<std::convert::Infallible, _>(error) = hear.await;
    error
}

/// Announces what is there while somebody waits, as long as it is polled.
pub(super) async fn look(readers: PgPool, announced: watch::Sender<Position>) {
    loop {
        sleep(LOOK_EVERY).await;
        if announced.receiver_count() == 0 {
            continue;
        }
        match super::read(&readers, async |connection| rows::head(connection).await).await {
            Ok(head) => announce(&announced, head),
            Err(error) => tracing::debug!(%error, "it could not be looked for what is new in the event log"),
        }
    }
}
