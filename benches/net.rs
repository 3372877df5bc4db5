//! Replication over loopback TCP between two logs in memory, each with a runtime of its own as in an emitter:
//! how fast an empty peer catches up, how soon a live event arrives, and how many live events pass per second.
//!
//! Plain timing instead of Criterion: each figure is one run over fresh logs.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "measured code is not the product"
)]

#[path = "../tests/net_support/mod.rs"]
mod net_support;

use std::time::{Duration, Instant};

use net_support::{options, Peer};
use tokio::runtime::{Builder, Runtime};

/// Events in the log that is caught up with, and in the live stream.
const EVENTS: usize = 200_000;
/// Lone live events whose latency is taken.
const PINGS: u64 = 2_000;

struct Pair {
    a: Peer,
    b: Peer,
    at_a: Runtime,
    at_b: Runtime,
}

impl Pair {
    fn new(history: usize) -> Pair {
        let runtime = || Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (at_a, at_b) = (runtime(), runtime());
        let a = at_a.block_on(Peer::listening());
        a.emit_many(history);
        let b = at_b.block_on(async { Peer::new(options()) });
        Pair { a, b, at_a, at_b }
    }

    fn close(self) {
        self.at_b.block_on(self.b.close());
        self.at_a.block_on(self.a.close());
    }
}

fn catch_up(events: usize) -> f64 {
    let pair = Pair::new(events);
    let start = Instant::now();
    pair.at_b.block_on(async {
        pair.b.dial(pair.a.port);
        pair.b.holds(events as u64).await;
    });
    let rate = events as f64 / start.elapsed().as_secs_f64();
    pair.close();
    rate
}

fn live_stream(events: usize) -> f64 {
    let pair = Pair::new(0);
    pair.at_b.block_on(async {
        pair.b.dial(pair.a.port);
        pair.b.live(1).await;
    });
    let start = Instant::now();
    for _ in 0..events / 100 {
        pair.a.emit_many(100);
    }
    pair.at_b.block_on(pair.b.holds(events as u64));
    let rate = events as f64 / start.elapsed().as_secs_f64();
    pair.close();
    rate
}

fn latencies(pings: u64) -> Vec<Duration> {
    let pair = Pair::new(0);
    let mut latencies = pair.at_b.block_on(async {
        pair.b.dial(pair.a.port);
        pair.b.live(1).await;
        let mut latencies = Vec::new();
        let mut end = pair.b.log.watch();
        for n in 1..=pings {
            let start = Instant::now();
            pair.a.emit("ping");
            end.wait_for(|end| end.change >= n).await.unwrap();
            latencies.push(start.elapsed());
        }
        latencies
    });
    pair.close();
    latencies.sort_unstable();
    latencies
}

fn main() {
    // `cargo test --benches` only asks whether it runs.
    let full = std::env::args().any(|argument| argument == "--bench");
    let (events, pings, runs) = if full { (EVENTS, PINGS, 5) } else { (1_000, 10, 1) };
    let median = |mut rates: Vec<f64>| {
        rates.sort_unstable_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    println!("catch-up of {events} events: {:.0} events/s", median((0..runs).map(|_| catch_up(events)).collect()));
    println!(
        "live stream of {events} events: {:.0} events/s",
        median((0..runs).map(|_| live_stream(events)).collect())
    );
    let latencies = latencies(pings);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!("a lone live event: median {:?}, 99% {:?}, worst {:?}", at(0.5), at(0.99), at(1.0));
}
