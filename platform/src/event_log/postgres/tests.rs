//! The Postgres engine: conformance, leases, commits that are not answered, damage.

use super::*;
use crate::event_log::conformance;
use crate::postgres::scratch::Scratch;

/// A log in a database of its own; none without a server.
async fn scratch() -> Option<Scratch> {
    let scratch = Scratch::new().await;
    if scratch.is_none() {
        println!("skipped: no DATABASE_URL");
    }
    scratch
}

async fn opened(scratch: &Scratch) -> PostgresLog {
    PostgresLog::open(&scratch.url, &Seam::system()).await.unwrap()
}

#[tokio::test]
async fn conforms() {
    if scratch().await.is_none() {
        return;
    }
    conformance::run(async |_: &str| {
        let scratch = scratch().await.unwrap();
        Arc::new(opened(&scratch).await.writing_alone()) as Arc<dyn EventLog>
    })
    .await;
}
