//! The engine on a real server: the conformance suite, its writer's lease, and commits whose outcome is not known.

use super::*;
use crate::event_log::conformance;
use crate::postgres::scratch::Scratch;
use crate::seam::Timestamp;

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let mut scratches = Vec::new();
    for _ in 0..10 {
        let Some(scratch) = Scratch::new().await else { return };
        scratches.push(scratch);
    }
    let left = std::sync::Mutex::new(scratches);
    conformance::run(async |_| {
        let scratch = left.lock().unwrap().pop().expect("there is a database for each case");
        let log = PostgresLog::open(&scratch.url, &Seam::seeded(1, Timestamp(0)).0).await.unwrap();
        Arc::new(log.writing_alone()) as Arc<dyn EventLog>
    })
    .await;
}
