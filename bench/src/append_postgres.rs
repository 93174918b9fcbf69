//! `bench append-postgres`: durable commands of one event each in Postgres, many to a commit beside one to a commit.

use crate::append::{rate, request};
use anyhow::Context;
use command_side::commands::Commands;
use command_side::dispatcher::{Dispatcher, Settings};
use platform::event_log::postgres::PostgresLog;
use platform::event_log::{
    Append, BodyHash, CommandId, Decision, Envelope, EventId, EventLog, NewEvent, Revision, StreamId, Verdict,
};
use platform::postgres::scratch::Scratch;
use platform::seam::Seam;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Measures both sides in turns, each round in a database of its own, and prints their rates.
pub(crate) async fn run(rounds: usize, seconds: f64, writers: usize) -> anyhow::Result<()> {
    let duration = Duration::from_secs_f64(seconds);
    println!("durable appends of one event to Postgres, {writers} writers, {rounds} rounds of {seconds} s in turns");
    println!(
        "{:>5}  {:>26}  {:>26}  {:>5}",
        "round", "one to a commit, appends/s", "many to a commit, appends/s", "ratio"
    );
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        let single = measure_single(duration, writers).await?;
        let shared = measure_shared(duration, writers).await?;
        println!("{round:>5}  {single:>26.0}  {shared:>26.0}  {:>5.1}", shared / single);
        ratios.push(shared / single);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.1}", ratios.get(rounds / 2).context("at least one round is needed")?);
    Ok(())
}

async fn log() -> anyhow::Result<(Scratch, Arc<PostgresLog>)> {
    let scratch = Scratch::new().await.context("DATABASE_URL has to name a server")?;
    let log = PostgresLog::open(&scratch.url, &Seam::system()).await?.writing_alone();
    Ok((scratch, Arc::new(log)))
}

/// The writers through the dispatcher.
async fn measure_shared(duration: Duration, writers: usize) -> anyhow::Result<f64> {
    let ((_scratch, log), seam, stop) = (log().await?, Seam::system(), CancellationToken::new());
    let (dispatcher, deciding) = Dispatcher::start(log, seam.clone(), Settings::default(), stop.clone());
    let rate = rate(writers, duration, |writer| {
        let (dispatcher, seam) = (dispatcher.clone(), seam.clone());
        move || {
            let (dispatcher, request) = (dispatcher.clone(), request(writer, &seam));
            async move {
                dispatcher.send(request).await?.outcome?;
                Ok(())
            }
        }
    })
    .await;
    stop.cancel();
    deciding.await??;
    rate
}

/// The writers on the log itself, each event in a transaction of its own.
async fn measure_single(duration: Duration, writers: usize) -> anyhow::Result<f64> {
    let ((_scratch, log), seam) = (log().await?, Seam::system());
    rate(writers, duration, |writer| {
        let (log, seam, revision) = (Arc::clone(&log), seam.clone(), Arc::new(AtomicU64::new(0)));
        move || {
            let (log, append) = (Arc::clone(&log), append(writer, revision.fetch_add(1, Ordering::SeqCst), &seam));
            async move {
                let verdicts = log.append(vec![append]).await?;
                anyhow::ensure!(matches!(verdicts[..], [Verdict::Appended { .. }]), "{verdicts:?}");
                Ok(())
            }
        }
    })
    .await
}

/// One event of about the bytes that the dispatcher's have.
fn append(writer: usize, expected: u64, seam: &Seam) -> Append {
    let command_id = CommandId(seam.uuid());
    let envelope = Envelope {
        id: EventId::of(command_id, 0),
        command_id,
        body_hash: BodyHash([0; 32]),
        event_type: "StockAdjusted".to_owned(),
        version: 1,
        recorded_at: seam.clock.now(),
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
    };
    let data = br#"{"delta":1,"reason":"delivery of the morning"}"#.as_slice().into();
    let decisions = vec![Decision { command_id, events: vec![NewEvent { envelope, data }] }];
    Append { stream: StreamId::new(&format!("stock-{writer}")), expected: Revision(expected), decisions }
}
