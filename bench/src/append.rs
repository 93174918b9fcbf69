//! `bench append`: durable commands of one event each, beside as many bytes in a plain file.

use crate::file_log::FileLog;
use anyhow::Context;
use command_side::commands::{Commands, Request};
use command_side::dispatcher::{Dispatcher, Settings};
use domain::Command;
use domain::book::BookId;
use domain::stock::{self, Delta, Location, Reason};
use platform::event_log::sqlite::SqliteLog;
use platform::event_log::{EventLog, Position, StreamId};
use platform::seam::Seam;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Measures both sides in turns and prints their rates.
pub(crate) async fn run(directory: &Path, rounds: usize, seconds: f64, writers: usize) -> anyhow::Result<()> {
    let duration = Duration::from_secs_f64(seconds);
    let record_bytes = record_bytes(directory).await?;
    println!(
        "durable appends of one event ({record_bytes} bytes), {writers} writers, {rounds} rounds of {seconds} s in turns, in {}",
        directory.display()
    );
    println!("{:>5}  {:>22}  {:>22}  {:>5}", "round", "plain file, appends/s", "event log, appends/s", "ratio");
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        let file = measure_file(directory, duration, writers, record_bytes).await?;
        let log = measure_log(directory, duration, writers).await?;
        let ratio = log / file;
        println!("{round:>5}  {file:>22.0}  {log:>22.0}  {ratio:>5.2}");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(rounds / 2).context("at least one round is needed")?;
    println!("median ratio {median:.2} (goal: at least 0.70)");
    Ok(())
}

async fn measure_file(directory: &Path, duration: Duration, writers: usize, bytes: usize) -> anyhow::Result<f64> {
    let fresh = tempfile::tempdir_in(directory)?;
    let log = FileLog::create(&fresh.path().join("log"), writers)?;
    rate(writers, duration, |_| {
        let log = log.clone();
        move || {
            let log = log.clone();
            async move { log.append(vec![b'x'; bytes]).await }
        }
    })
    .await
}

async fn measure_log(directory: &Path, duration: Duration, writers: usize) -> anyhow::Result<f64> {
    let fresh = tempfile::tempdir_in(directory)?;
    let seam = Seam::system();
    let log = Arc::new(SqliteLog::open(&fresh.path().join("log"), &seam).await?);
    let stop = CancellationToken::new();
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

/// How many operations per second so many writers complete, each waiting for its own.
pub(crate) async fn rate<W, O>(writers: usize, duration: Duration, writer: impl Fn(usize) -> W) -> anyhow::Result<f64>
where
    W: Fn() -> O + Send + 'static,
    O: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let begun = Instant::now();
    let mut writing = JoinSet::new();
    for number in 0..writers {
        let write = writer(number);
        writing.spawn(async move {
            let mut done = 0_u64;
            while begun.elapsed() < duration {
                write().await?;
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    let mut done = 0;
    while let Some(counted) = writing.join_next().await {
        done += counted??;
    }
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

/// A delivery of one copy, to a book of the writer's own.
pub(crate) fn request(writer: usize, seam: &Seam) -> Request {
    let book = BookId::from(Uuid::from_u128(writer as u128));
    let delta = Delta::new(1).expect("one is a delta");
    let reason = Reason::parse("delivery of the morning").expect("the reason is short");
    let stream = StreamId::new(&schemas::stream::stock(book, &Location::main()));
    let command = Command::Stock(stock::Command::Adjust { delta, reason });
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned();
    Request { traceparent, ..Request::unkeyed(stream, command, seam) }
}

/// The bytes of one such event with all that is recorded of it: what the plain file has to write for each.
async fn record_bytes(directory: &Path) -> anyhow::Result<usize> {
    let fresh = tempfile::tempdir_in(directory)?;
    let seam = Seam::system();
    let log = Arc::new(SqliteLog::open(&fresh.path().join("log"), &seam).await?);
    let (dispatcher, _) = Dispatcher::start(
        Arc::clone(&log) as Arc<dyn EventLog>,
        seam.clone(),
        Settings::default(),
        CancellationToken::new(),
    );
    dispatcher.send(request(0, &seam)).await?;
    let event = log.read_all(Position(0), 1).await?.pop().context("the event is there")?;
    let texts = [event.stream.as_str(), &event.envelope.event_type, &event.envelope.traceparent];
    // Two ids of 16 bytes, a digest of 32, and seven numbers of up to 8.
    Ok(event.data.len() + texts.map(str::len).iter().sum::<usize>() + 2 * 16 + 32 + 7 * 8)
}
