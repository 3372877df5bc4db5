//! What peers cost: one account per link and one per network, each with a bucket for every cost of cost.
//!
//! What a peer brings or needs pays for itself: whatever it costs is charged when it is done and given back when it turns
//! out to have been of use, which is when a node was new here, or was sent because the peer lacked it. So an honest peer at
//! full speed is never short, and what drains an account is work in vain: scans that find nothing to send, probes, frames
//! that name unknown logs, nodes that are stored already, time spent on any of it. An account that is overdrawn waits: its
//! link's frames are left unread, so that TCP stops the peer, until the bucket is full enough. A link that goes on like that
//! without anything useful in between is ended.
//!
//! Pure: the clock comes with each call. The limits are for all of a network's links together where they say so, because
//! reconnecting, or many links, must not multiply anything.

use std::collections::HashMap;

use super::inbound_slots::Network;

/// A cost of cost.
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
}

const COSTS: [(Cost, &str); 4] = [
    (Cost::Time, "processor time"),
    (Cost::Rows, "reads of the store"),
    (Cost::Bytes, "bytes received"),
    (Cost::Nodes, "nodes received"),
];

/// A bucket's size, and what flows into it in a second.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: i64,
    per_second: i64,
}

/// In vain, one link may cost
const LINK: [Rate; 4] = [
    // a tenth of the network's thread: ten such links still leave the others theirs, and comparing a hundred thousand logs
    // at the start takes less than the burst;
    Rate { burst: 1_000_000, per_second: 100_000 },
    // a tenth of what the store reads, after the 100,000 look-ups of a peer with as many logs;
    Rate { burst: 12_500_000, per_second: 250_000 },
    // a line of 32 Mbit/s, after 64 MiB: the vectors and repetitions of a large mesh that has just come up;
    Rate { burst: 64 * 1024 * 1024, per_second: 4 * 1024 * 1024 },
    // a tenth of what the log takes, after a million: what two peers of one source send twice until they have noticed.
    Rate { burst: 1_000_000, per_second: 50_000 },
];

/// All links of one network together may cost this many times as much: a site behind one address has more than one peer.
const NETWORK_FACTOR: i64 = 2;

/// What a node that was of use gives back: of each cost more than it can have cost.
const USEFUL_TIME_US: i64 = 25;
/// See [`USEFUL_TIME_US`]: credits, wants and haves that go with a node.
const USEFUL_BYTES: i64 = 128;

/// A look-up in the store costs as much as so many rows read in sequence (measured: 100 µs beside 0.26 µs, and a third of
/// that where the block is cached).
pub(super) const LOOKUP_ROWS: u64 = 125;

/// Longest pause at a time: what happens meanwhile is looked at anew.
const LONGEST_PAUSE_MS: u64 = 1_000;

/// How long a link that is of no use may go on overdrawing its account, in milliseconds: time enough for a comparison of
/// many logs to come to the nodes that it is about.
const PATIENCE_MS: u64 = 30_000;

/// Accounts of networks without links that are kept until they are full again; further ones are forgotten, the fullest
/// first. At some 150 bytes each.
const MAX_NETWORKS: usize = 16 * 1024;

#[derive(Clone, Debug)]
struct Buckets {
    rates: [Rate; 4],
    levels: [i64; 4],
    at_ms: u64,
}

impl Buckets {
    fn new(shares: Shares, factor: i64, now_ms: u64) -> Buckets {
        let part = |whole: i64| (whole * factor * i64::from(shares.percent) / 100).max(1);
        let rates = LINK.map(|rate| Rate { burst: part(rate.burst), per_second: part(rate.per_second) });
        Buckets { rates, levels: rates.map(|rate| rate.burst), at_ms: now_ms }
    }

    fn refill(&mut self, now_ms: u64) {
        let passed = i64::try_from(now_ms.saturating_sub(self.at_ms)).unwrap_or(i64::MAX);
        if passed == 0 {
            return;
        }
        self.at_ms = now_ms;
        for (level, rate) in self.levels.iter_mut().zip(self.rates) {
            // Rounded up: however often it is asked, something flows.
            let flow = rate.per_second.saturating_mul(passed) / 1_000 + 1;
            *level = level.saturating_add(flow).min(rate.burst);
        }
    }

    fn add(&mut self, cost: Cost, amount: i64) {
        for ((level, rate), (each, _)) in self.levels.iter_mut().zip(self.rates).zip(COSTS) {
            if each == cost {
                *level = level.saturating_add(amount).min(rate.burst);
            }
        }
    }

    /// Milliseconds until nothing is overdrawn, and of what it is most.
    fn pause(&self) -> Option<(u64, &'static str)> {
        let waits = self.levels.iter().zip(self.rates).zip(COSTS).map(|((level, rate), (_, name))| {
            let lacks = level.saturating_neg().max(0);
            let wait = lacks.saturating_mul(1_000) / rate.per_second + i64::from(lacks > 0);
            (u64::try_from(wait).unwrap_or(0), name)
        });
        waits.max_by_key(|(wait, _)| *wait).filter(|(wait, _)| *wait > 0)
    }

    fn is_full(&self) -> bool {
        self.levels.iter().zip(self.rates).all(|(level, rate)| *level >= rate.burst)
    }
}

struct OfLink {
    network: Network,
    buckets: Buckets,
    /// How long it has had to wait since it was last of use, in milliseconds.
    waited_ms: u64,
}

struct OfNetwork {
    buckets: Buckets,
    links: usize,
}

/// What a link may do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Go,
    /// Its frames are to be left unread for so many milliseconds.
    Pause(u64),
    /// It is to be ended: for its use of this.
    End(&'static str),
}

/// How large the accounts are.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    /// Of the usual accounts; tests have smaller ones.
    pub percent: u8,
    /// A link whose account made it wait for this long, and which was of no use meanwhile, is ended, in milliseconds.
    pub patience_ms: u64,
}

impl Default for Shares {
    fn default() -> Self {
        Shares { percent: 100, patience_ms: PATIENCE_MS }
    }
}

/// All accounts.
#[derive(Default)]
pub(super) struct CostLimits {
    shares: Shares,
    links: HashMap<u64, OfLink>,
    networks: HashMap<Network, OfNetwork>,
}

impl CostLimits {
    pub(super) fn new(shares: Shares) -> CostLimits {
        CostLimits { shares, ..CostLimits::default() }
    }

    /// A link begins.
    pub(super) fn open(&mut self, link: u64, network: Network, now_ms: u64) {
        if self.networks.len() >= MAX_NETWORKS {
            self.forget_networks(now_ms);
        }
        let shared = self
            .networks
            .entry(network)
            .or_insert_with(|| OfNetwork { buckets: Buckets::new(self.shares, NETWORK_FACTOR, now_ms), links: 0 });
        shared.links += 1;
        self.links.insert(link, OfLink { network, buckets: Buckets::new(self.shares, 1, now_ms), waited_ms: 0 });
    }

    /// It is over. Its network's account stays as it is.
    pub(super) fn close(&mut self, link: u64) {
        let Some(gone) = self.links.remove(&link) else { return };
        if let Some(shared) = self.networks.get_mut(&gone.network) {
            shared.links -= 1;
        }
    }

    /// Those that owe nothing, and, if that is not enough, all that have no link.
    fn forget_networks(&mut self, now_ms: u64) {
        for shared in self.networks.values_mut() {
            shared.buckets.refill(now_ms);
        }
        self.networks.retain(|_, shared| shared.links > 0 || !shared.buckets.is_full());
        if self.networks.len() >= MAX_NETWORKS {
            self.networks.retain(|_, shared| shared.links > 0);
        }
    }

    fn change(&mut self, link: u64, cost: Cost, amount: i64, with_link: bool) {
        let Some(of_link) = self.links.get_mut(&link) else { return };
        if with_link {
            of_link.buckets.add(cost, amount);
        }
        if let Some(shared) = self.networks.get_mut(&of_link.network) {
            shared.buckets.add(cost, amount);
        }
    }

    /// The link has cost this.
    pub(super) fn charge(&mut self, link: u64, cost: Cost, amount: u64) {
        self.change(link, cost, -whole(amount), true);
    }

    /// What every link may cost once for nothing, the first pass over the log, counts for its network only: else each new
    /// connection had another.
    pub(super) fn charge_network(&mut self, link: u64, cost: Cost, amount: u64) {
        self.change(link, cost, -whole(amount), false);
    }

    /// So many nodes, of so many bytes, were brought and new.
    pub(super) fn used(&mut self, link: u64, nodes: u64, bytes: u64) {
        self.change(link, Cost::Nodes, whole(nodes), true);
        self.change(link, Cost::Bytes, whole(bytes), true);
        self.was_of_use(link, nodes);
    }

    /// So many nodes were sent, which the peer lacked.
    pub(super) fn sent(&mut self, link: u64, nodes: u64) {
        self.change(link, Cost::Rows, whole(nodes.saturating_mul(LOOKUP_ROWS)), true);
        self.was_of_use(link, nodes);
    }

    fn was_of_use(&mut self, link: u64, nodes: u64) {
        if nodes == 0 {
            return;
        }
        self.change(link, Cost::Time, whole(nodes).saturating_mul(USEFUL_TIME_US), true);
        self.change(link, Cost::Bytes, whole(nodes).saturating_mul(USEFUL_BYTES), true);
        if let Some(of_link) = self.links.get_mut(&link) {
            of_link.waited_ms = 0;
        }
    }

    /// What the link may do. Asked whenever it has been charged, and when a pause is over.
    pub(super) fn verdict(&mut self, link: u64, now_ms: u64) -> Verdict {
        let Some(of_link) = self.links.get_mut(&link) else { return Verdict::Go };
        of_link.buckets.refill(now_ms);
        let mut pause = of_link.buckets.pause();
        if let Some(shared) = self.networks.get_mut(&of_link.network) {
            shared.buckets.refill(now_ms);
            pause = pause.max(shared.buckets.pause());
        }
        let Some((wait, name)) = pause else { return Verdict::Go };
        if of_link.waited_ms >= self.shares.patience_ms {
            return Verdict::End(name);
        }
        let wait = wait.min(LONGEST_PAUSE_MS);
        of_link.waited_ms += wait;
        Verdict::Pause(wait)
    }
}

fn whole(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Network = Network::V4([10, 0, 0, 1]);
    const THERE: Network = Network::V4([10, 0, 0, 2]);

    /// How often a link may do what costs `amount` in `ms` milliseconds, and how it ended.
    fn hammer(limits: &mut CostLimits, link: u64, cost: Cost, amount: u64, ms: u64) -> (u64, Option<&'static str>) {
        let (mut done, mut now) = (0, 0);
        while now < ms {
            match limits.verdict(link, now) {
                Verdict::Go => {
                    limits.charge(link, cost, amount);
                    done += 1;
                }
                Verdict::Pause(wait) => now += wait,
                Verdict::End(name) => return (done, Some(name)),
            }
        }
        (done, None)
    }

    #[test]
    fn work_in_vain_is_bounded_by_the_burst_and_the_rate_and_then_ends_the_link() {
        for (rate, (cost, name)) in LINK.into_iter().zip(COSTS) {
            let mut limits = CostLimits::default();
            limits.open(1, HERE, 0);
            let amount = u64::try_from(rate.per_second / 100).unwrap();
            let (done, end) = hammer(&mut limits, 1, cost, amount, 120_000);
            let most = (rate.burst + rate.per_second * 31) / i64::try_from(amount).unwrap() + 1;
            assert!(i64::try_from(done).unwrap() <= most, "{name}: {done} of {most}");
            assert_eq!(end, Some(name));
        }
    }

    #[test]
    fn what_is_of_use_is_never_short() {
        let mut limits = CostLimits::default();
        limits.open(1, HERE, 0);
        // A million nodes a second for a minute, of 100 bytes, at 10 µs each, acknowledged in groups of 1,024.
        let mut now_us = 0_u64;
        while now_us < 60_000_000 {
            limits.charge(1, Cost::Nodes, 1_024);
            limits.charge(1, Cost::Bytes, 1_024 * 150);
            limits.charge(1, Cost::Time, 1_024 * 10);
            assert_eq!(limits.verdict(1, now_us / 1_000), Verdict::Go);
            limits.used(1, 1_024, 1_024 * 100);
            now_us += 1_024;
        }
    }

    #[test]
    fn reconnecting_and_many_links_multiply_nothing() {
        let mut limits = CostLimits::default();
        let mut total = 0;
        for link in 0..50 {
            limits.open(link, HERE, 0);
            while limits.verdict(link, 0) == Verdict::Go {
                limits.charge(link, Cost::Time, 10_000);
                total += 10_000;
            }
            if link % 2 == 0 {
                limits.close(link);
            }
        }
        assert!(total <= LINK[0].burst * NETWORK_FACTOR + 10_000, "{total}");
        limits.open(99, THERE, 0);
        assert_eq!(limits.verdict(99, 0), Verdict::Go, "another network's account is its own");
    }

    #[test]
    fn the_first_pass_over_a_log_counts_for_the_network_only() {
        let mut limits = CostLimits::default();
        limits.open(1, HERE, 0);
        limits.charge_network(1, Cost::Rows, 20_000_000);
        assert_eq!(limits.verdict(1, 0), Verdict::Go);
        limits.charge_network(1, Cost::Rows, 20_000_000);
        assert!(matches!(limits.verdict(1, 0), Verdict::Pause(_)));
    }

    #[test]
    fn something_useful_in_between_keeps_an_overdrawn_link() {
        let mut limits = CostLimits::default();
        limits.open(1, HERE, 0);
        let mut now = 0;
        for _ in 0..1_000 {
            limits.charge(1, Cost::Time, 200_000);
            limits.used(1, 1, 0);
            match limits.verdict(1, now) {
                Verdict::Go => {}
                Verdict::Pause(wait) => now += wait,
                Verdict::End(name) => panic!("ended for {name}"),
            }
        }
    }

    #[test]
    fn a_debt_is_paid_with_time() {
        let mut limits = CostLimits::default();
        limits.open(1, HERE, 0);
        limits.charge(1, Cost::Time, 1_050_000);
        assert_eq!(limits.verdict(1, 0), Verdict::Pause(501));
        assert_eq!(limits.verdict(1, 502), Verdict::Go);
    }

    #[test]
    fn accounts_of_networks_that_are_gone_stay_few() {
        let mut limits = CostLimits::default();
        for n in 0..3 * MAX_NETWORKS as u64 {
            limits.open(n, Network::V6(n), n);
            limits.charge(n, Cost::Time, 2_000_000);
            limits.close(n);
        }
        assert!(limits.networks.len() <= MAX_NETWORKS && limits.links.is_empty());
    }
}
