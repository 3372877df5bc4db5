//! Replication over loopback TCP between two logs, each with its own runtime, as in an emitter: how fast an empty peer catches up,
//! how soon a live event arrives, and how many live events pass per second. Runs in memory, and on embedded stores, whose commits
//! wait for the disk.
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

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyperemitter::hyperlog::Log;
use hyperemitter::store::embedded::{EmbeddedOptions, EmbeddedStore};
use hyperemitter::store::memory::MemoryStore;
use net_support::{open, options, Peer};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Events in the log before the link, and events in the live stream.
const EVENTS: usize = 200_000;
/// Live events that are sent one at a time to measure their latency.
const PINGS: u64 = 2_000;

struct Pair {
    a: Peer,
    b: Peer,
    at_a: Runtime,
    at_b: Runtime,
    _folder: TempDir,
}

/// Where the logs are kept.
#[derive(Clone, Copy)]
enum On {
    Memory,
    Disk,
}

impl On {
    fn open(self, folder: &TempDir, name: &str) -> Arc<Log> {
        match self {
            On::Memory => open(Arc::new(MemoryStore::default())),
            On::Disk => {
                let path = folder.path().join(name);
                let store = EmbeddedStore::open(&path, &EmbeddedOptions::default(), &mut |_, _| {}).unwrap();
                let log = open(Arc::new(store));
                let writer = Arc::clone(&log);
                std::thread::spawn(move || writer.run());
                log
            }
        }
    }
}

impl Pair {
    fn new(on: On, history: usize) -> Pair {
        let runtime = || Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (at_a, at_b) = (runtime(), runtime());
        let folder = TempDir::new().unwrap();
        let (from, to) = (on.open(&folder, "a"), on.open(&folder, "b"));
        let a = at_a.block_on(async { Peer::on(from, options()).listen(0).await });
        a.emit_many(history);
        at_a.block_on(a.holds(history as u64));
        let b = at_b.block_on(async { Peer::on(to, options()) });
        Pair { a, b, at_a, at_b, _folder: folder }
    }

    fn close(self) {
        self.at_b.block_on(self.b.close());
        self.at_a.block_on(self.a.close());
        self.a.log.close();
        self.b.log.close();
    }
}

fn catch_up(on: On, events: usize) -> f64 {
    let pair = Pair::new(on, events);
    let start = Instant::now();
    pair.at_b.block_on(async {
        pair.b.dial(pair.a.port);
        pair.b.holds(events as u64).await;
    });
    let rate = events as f64 / start.elapsed().as_secs_f64();
    pair.close();
    rate
}

fn live_stream(on: On, events: usize) -> f64 {
    let pair = Pair::new(on, 0);
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

fn latencies(on: On, pings: u64) -> Vec<Duration> {
    let pair = Pair::new(on, 0);
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
    // `cargo test --benches` only checks that it runs.
    let full = std::env::args().any(|argument| argument == "--bench");
    let (events, pings, runs) = if full { (EVENTS, PINGS, 5) } else { (1_000, 10, 1) };
    let median = |mut rates: Vec<f64>| {
        rates.sort_unstable_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    for (name, on) in [("memory", On::Memory), ("disk", On::Disk)] {
        let rates = |run: fn(On, usize) -> f64| median((0..runs).map(|_| run(on, events)).collect());
        println!("{name}: catch-up of {events} events: {:.0} events/s", rates(catch_up));
        println!("{name}: live stream of {events} events: {:.0} events/s", rates(live_stream));
        let latencies = latencies(on, pings);
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
        println!("{name}: a lone live event: median {:?}, 99% {:?}, worst {:?}", at(0.5), at(0.99), at(1.0));
    }
}
