//! `bench cold-load`: orders for one hot book, then how long its stock takes to be read by a process that has just started.

use anyhow::Context;
use command_side::commands::{Commands, Lane, Request};
use command_side::dispatcher::{Dispatcher, Settings};
use domain::Command;
use domain::book::BookId;
use domain::order::OrderId;
use domain::stock::{self, Copies, Delta, Location, Reason};
use platform::event_log::sqlite::SqliteLog;
use platform::event_log::{EventLog, StreamId};
use platform::seam::Seam;
use platform::snapshot_store::SnapshotStore;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Writes the stream, without snapshots and with them, then reads it cold, and prints how long each took.
pub(crate) async fn run(directory: &Path, rounds: usize, events: usize, writers: usize) -> anyhow::Result<()> {
    println!("one hot book, {events} events by {writers} writers, {rounds} rounds of each in turns");
    println!("{:>5}  {:>26}  {:>26}", "", "without snapshots", "with snapshots");
    println!("{:>5}  {:>26}  {:>26}", "round", "events/s, cold load in ms", "events/s, cold load in ms");
    for round in 1..=rounds {
        let (rate, cold_ms) = measure(directory, events, writers, Kept::Nothing).await?;
        let (rate_kept, cold_kept_ms) = measure(directory, events, writers, Kept::Snapshots).await?;
        println!("{round:>5}  {rate:>13.0}, {cold_ms:>11.2}  {rate_kept:>13.0}, {cold_kept_ms:>11.2}");
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Kept {
    Nothing,
    Snapshots,
}

async fn measure(directory: &Path, events: usize, writers: usize, kept: Kept) -> anyhow::Result<(f64, f64)> {
    let fresh = tempfile::tempdir_in(directory)?;
    let seam = Seam::system();
    let log: Arc<dyn EventLog> = Arc::new(SqliteLog::open(&fresh.path().join("log"), &seam).await?);
    let start = async || {
        let (log, seam, settings) = (Arc::clone(&log), seam.clone(), Settings::default());
        anyhow::Ok(match kept {
            Kept::Nothing => Dispatcher::start(log, seam, settings, CancellationToken::new()).0,
            Kept::Snapshots => {
                let snapshots = SnapshotStore::open(&fresh.path().join("snapshots"), log.id()).await?;
                Dispatcher::start_with_snapshots(log, snapshots, seam, settings, CancellationToken::new()).0
            }
        })
    };
    let dispatcher = start().await?;
    let begun = Instant::now();
    sell(dispatcher, &seam, events, writers).await?;
    let rate = events as f64 / begun.elapsed().as_secs_f64();
    Ok((rate, peek(start().await?).await?))
}

fn stream() -> StreamId {
    StreamId::new(&schemas::stream::stock(BookId::from(Uuid::from_u128(1)), &Location::main()))
}

/// Copies are held for an order and leave with it, again and again.
async fn sell(dispatcher: Dispatcher, seam: &Seam, events: usize, writers: usize) -> anyhow::Result<()> {
    let send = async |dispatcher: &Dispatcher, seam: &Seam, command| {
        let request = Request::unkeyed(stream(), Command::Stock(command), seam);
        anyhow::Ok(dispatcher.send(request).await?.outcome?)
    };
    let reason = Reason::parse("delivery").expect("the reason is short");
    let delta = Delta::new(1_000_000).expect("so many are a delta");
    send(&dispatcher, seam, stock::Command::Adjust { delta, reason }).await?;
    let mut writing = JoinSet::new();
    for _ in 0..writers {
        let (dispatcher, seam) = (dispatcher.clone(), seam.clone());
        writing.spawn(async move {
            for _ in 0..events / writers / 2 {
                let order = OrderId::from(seam.uuid());
                let copies = Copies::new(1).expect("one is a number of copies");
                send(&dispatcher, &seam, stock::Command::Reserve { order, copies }).await?;
                send(&dispatcher, &seam, stock::Command::Commit { order }).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = writing.join_next().await {
        done??;
    }
    Ok(())
}

/// Milliseconds until the stock is there.
async fn peek(dispatcher: Dispatcher) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let loaded = dispatcher.peek(Lane::Customer, vec![stream()]).await?;
    loaded.first().context("one was asked for")?;
    Ok(begun.elapsed().as_secs_f64() * 1_000.0)
}
