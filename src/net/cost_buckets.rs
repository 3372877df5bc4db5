//! Token buckets: one for each kind of cost, their sizes, and how fast they refill.

/// A kind of cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    /// Microseconds of the network's thread.
    Time,
    /// Rows read from the store, or what costs as much.
    Rows,
    /// Bytes received.
    Bytes,
    /// Nodes received.
    Nodes,
    /// Microseconds that the log's threads spent on verifying seals and on reading owners' keys.
    Seals,
}

/// The kinds of cost in the order of the buckets, with their names in messages.
pub(super) const COSTS: [(Cost, &str); 5] = [
    (Cost::Time, "processor time"),
    (Cost::Rows, "reads of the store"),
    (Cost::Bytes, "bytes received"),
    (Cost::Nodes, "nodes received"),
    (Cost::Seals, "seals verified"),
];

/// A bucket's size, and how much flows into it in a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) burst: i64,
    pub(super) per_second: i64,
}

/// What one link may cost in vain:
pub(super) const LINK: [Rate; 5] = [
    // A tenth of the network's thread, so that ten such links still leave time for the others. Comparing a hundred thousand logs
    // at the start takes less than the burst.
    Rate { burst: 1_000_000, per_second: 100_000 },
    // A tenth of what the store can read, after the 100,000 lookups for a peer with as many logs.
    Rate { burst: 12_500_000, per_second: 250_000 },
    // A line of 32 Mbit/s, after 64 MiB for the vectors and repetitions of a large mesh that has just come up.
    Rate { burst: 64 * 1024 * 1024, per_second: 4 * 1024 * 1024 },
    // A tenth of what the log can take, after a million nodes: two peers that have the same nodes both send them until they notice.
    Rate { burst: 1_000_000, per_second: 50_000 },
    // A second of a processor and then a tenth of one: 20,000 seals, and 2,000 a second. The seals of honest peers are checked in
    // vain only when several peers bring the same rows at the same time.
    Rate { burst: 1_000_000, per_second: 100_000 },
];

/// What all links together may cost in vain:
pub(super) const ALL: [Rate; 5] = [
    // A twentieth of a processor, so that many addresses that flood leave most of the network's thread to peers that are of use,
    // even where it shares a processor with the rest of the process.
    Rate { burst: 250_000, per_second: 50_000 },
    // Twice what a link may have: two peers with as many logs may compare them at the same time.
    Rate { burst: 25_000_000, per_second: 500_000 },
    Rate { burst: 64 * 1024 * 1024, per_second: 8 * 1024 * 1024 },
    // A quarter of what a link may have: the log's writer looks at them one by one.
    Rate { burst: 250_000, per_second: 50_000 },
    Rate { burst: 1_000_000, per_second: 200_000 },
];

/// How long it takes to verify a seal, in microseconds. It is not measured each time, because several threads verify seals.
pub(super) const SEAL_TIME_US: u64 = 50;

/// A lookup in the store costs as much as this many rows read in sequence (measured: 100 µs, or a third of that if the block is
/// cached, against 0.26 µs for a row).
pub(super) const LOOKUP_ROWS: u64 = 125;

/// How long a link may be paused without being of use before it is ended, in milliseconds. That is enough for a comparison of many
/// logs, after which nodes follow.
const PATIENCE_MS: u64 = 30_000;

/// How much links may cost.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    /// Percentage of the usual limits. Tests choose a smaller one.
    pub percent: u8,
    /// A link that was paused for this many milliseconds without being of use is ended.
    pub patience_ms: u64,
}

impl Default for Shares {
    fn default() -> Self {
        Shares { percent: 100, patience_ms: PATIENCE_MS }
    }
}

/// A bucket for each kind of cost.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    pub(super) rates: [Rate; 5],
    levels: [i64; 5],
    at_ms: u64,
}

impl Buckets {
    pub(super) fn new(rates: [Rate; 5], shares: Shares, factor: i64, now_ms: u64) -> Buckets {
        let part = |whole: i64| (whole * factor * i64::from(shares.percent) / 100).max(1);
        let rates = rates.map(|rate| Rate { burst: part(rate.burst), per_second: part(rate.per_second) });
        Buckets { rates, levels: rates.map(|rate| rate.burst), at_ms: now_ms }
    }

    pub(super) fn refill(&mut self, now_ms: u64) {
        let passed = i64::try_from(now_ms.saturating_sub(self.at_ms)).unwrap_or(i64::MAX);
        if passed == 0 {
            return;
        }
        self.at_ms = now_ms;
        for (level, rate) in self.levels.iter_mut().zip(self.rates) {
            // Rounded up, so that frequent calls do not stop the flow.
            let flow = rate.per_second.saturating_mul(passed) / 1_000 + 1;
            *level = level.saturating_add(flow).min(rate.burst);
        }
    }

    pub(super) fn add(&mut self, cost: Cost, amount: i64) {
        for ((level, rate), (each, _)) in self.levels.iter_mut().zip(self.rates).zip(COSTS) {
            if each == cost {
                *level = level.saturating_add(amount).min(rate.burst);
            }
        }
    }

    /// Milliseconds until no bucket is overdrawn, and the name of the one that takes longest.
    pub(super) fn pause(&self) -> Option<(u64, &'static str)> {
        let waits = self.waits().zip(COSTS).map(|(wait, (_, name))| (wait, name));
        waits.max_by_key(|(wait, _)| *wait).filter(|(wait, _)| *wait > 0)
    }

    /// The same, until in each pair of buckets at least one is not overdrawn.
    pub(super) fn pause_with(&self, other: &Buckets) -> Option<(u64, &'static str)> {
        let waits =
            self.waits().zip(other.waits()).zip(COSTS).map(|((wait, others), (_, name))| (wait.min(others), name));
        waits.max_by_key(|(wait, _)| *wait).filter(|(wait, _)| *wait > 0)
    }

    /// For each bucket, milliseconds until it is not overdrawn.
    fn waits(&self) -> impl Iterator<Item = u64> + '_ {
        self.levels.iter().zip(self.rates).map(|(level, rate)| {
            let lacks = level.saturating_neg().max(0);
            let wait = lacks.saturating_mul(1_000) / rate.per_second + i64::from(lacks > 0);
            u64::try_from(wait).unwrap_or(0)
        })
    }

    pub(super) fn is_full(&self) -> bool {
        self.levels.iter().zip(self.rates).all(|(level, rate)| *level >= rate.burst)
    }
}
