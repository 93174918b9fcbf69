//! Replays the invoices, so many at once, and tells how it goes.

use super::client::Client;
use super::errand::{Errand, Outcome, orders};
use super::file::Invoice;
use super::ledger::{Book, Ledger, Purchase};
use super::queue::Queue;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Replays all invoices. Fails when the server stays away.
pub(crate) async fn run(
    client: &Arc<Client>,
    books: Vec<Book>,
    invoices: &[Invoice],
    clients: usize,
) -> anyhow::Result<Ledger> {
    let books = Arc::new(books);
    let planned = invoices.iter().flat_map(orders).map(|(key, _)| key).collect();
    let mut ledger = Ledger { adjusted: vec![0; books.len()], books: Arc::clone(&books), planned, ..Ledger::default() };
    let mut queue = Queue::new(invoices);
    let mut under_way = JoinSet::new();
    let mut progress = Progress { begun: Instant::now(), all: invoices.len(), done: 0, orders: 0 };
    let mut ticks = interval_at(progress.begun + PROGRESS_EVERY, PROGRESS_EVERY);
    loop {
        while under_way.len() < clients.max(1)
            && let Some((place, bought)) = queue.begin()
        {
            let errand = Errand::run(Arc::clone(client), Arc::clone(&books), invoices[place].clone(), bought);
            under_way.spawn(async move { anyhow::Ok((place, errand.await?)) });
        }
        tokio::select! {
            ended = under_way.join_next() => {
                let Some(ended) = ended else { break };
                let (place, outcome) = ended??;
                progress.done += 1;
                progress.orders += outcome.orders;
                let bought = enter(&mut ledger, outcome);
                queue.end(place, bought);
            }
            _ = ticks.tick() => progress.print(),
        }
    }
    ledger.purchases = queue.into_purchases();
    Ok(ledger)
}

/// Enters all but the purchases, which may still change; they are handed back.
fn enter(ledger: &mut Ledger, outcome: Outcome) -> Vec<Purchase> {
    for (book, copies) in outcome.adjusted {
        ledger.adjusted[book] += copies;
    }
    ledger.complaints.extend(outcome.complaints);
    ledger.unmatched += outcome.unmatched;
    ledger.unmapped += outcome.unmapped;
    ledger.refused += outcome.refused;
    outcome.bought
}

/// How far the replay is.
struct Progress {
    begun: Instant,
    all: usize,
    done: usize,
    orders: u64,
}

impl Progress {
    fn print(&self) {
        let Self { all, done, .. } = self;
        let elapsed_s = self.begun.elapsed().as_secs_f64();
        let orders_per_s = self.orders as f64 / elapsed_s;
        if *done == 0 {
            println!("0 of {all} invoices");
        } else {
            let left_s = elapsed_s / *done as f64 * (all - done) as f64;
            println!("{done} of {all} invoices, {orders_per_s:.1} orders/s, {left_s:.0} s left");
        }
    }
}
