//! How long requests took, by kind.

use std::time::Duration;

/// What a request asks for.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Place an order, and wait for the stock.
    Order,
    /// Tell that it is paid.
    Callback,
    /// Ship it.
    Shipment,
    /// Take copies back.
    Return,
    /// Give money back.
    Refund,
    /// Change a stock.
    Adjustment,
    /// Look whether an order is decided now.
    Poll,
    /// List the catalogue before the replay.
    Catalogue,
}

impl Kind {
    /// Those that are reported.
    const REPORTED: [(Self, &'static str); 7] = [
        (Self::Order, "order"),
        (Self::Callback, "callback"),
        (Self::Shipment, "shipment"),
        (Self::Return, "return"),
        (Self::Refund, "refund"),
        (Self::Adjustment, "adjustment"),
        (Self::Poll, "poll"),
    ];

    /// Whether it changes anything at the server.
    pub(crate) fn writes(self) -> bool {
        !matches!(self, Self::Poll | Self::Catalogue)
    }
}

/// Every duration, by kind, from the first attempt to the answer.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    took: [Vec<Duration>; Kind::REPORTED.len() + 1],
    retries: u64,
}

impl Tally {
    /// Adds an answered request.
    pub(crate) fn add(&mut self, kind: Kind, took: Duration, retries: u64) {
        self.took[kind as usize].push(took);
        self.retries += retries;
    }

    /// Prints rates over the whole time, and latencies.
    pub(crate) fn print(mut self, lasted: Duration) {
        println!(
            "\n{:<10} {:>7} {:>8} {:>9} {:>9} {:>9} {:>9}",
            "request", "count", "per s", "p50 ms", "p95 ms", "p99 ms", "max ms"
        );
        for (kind, name) in Kind::REPORTED {
            let took = &mut self.took[kind as usize];
            took.sort_unstable();
            let rate = took.len() as f64 / lasted.as_secs_f64();
            let [p50, p95, p99, max] = [50, 95, 99, 100].map(|percent| percentile_ms(took, percent));
            println!("{name:<10} {:>7} {rate:>8.1} {p50:>9.2} {p95:>9.2} {p99:>9.2} {max:>9.2}", took.len());
        }
        println!("attempts that were repeated: {}", self.retries);
    }
}

/// The smallest duration that so many percent do not exceed, of sorted ones; 0 of none.
fn percentile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).map_or(0.0, |took| took.as_secs_f64() * 1e3)
}
