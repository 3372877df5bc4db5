//! What peers may cost: token buckets per link, per address prefix, and for all together, one for each kind of cost
//! (`cost_buckets`).
//!
//! Everything that a peer causes is charged when it is done. It is given back when it turns out to have been of use: when a node
//! was new here, or was sent because the peer lacked it. So an honest peer at full speed never runs short. What drains a bucket
//! is work in vain: reads that find nothing to send, probes, frames that name unknown logs, nodes that are stored already, seals
//! that are wrong, and the time spent on any of it.
//!
//! A link with an overdrawn bucket is paused: its frames are left unread, so that TCP stops the peer, until the bucket is full
//! enough. A link that is overdrawn again and again without being of use is ended. All links of a prefix also share buckets, so
//! that reconnecting, or having many links, does not multiply anything. All prefixes share buckets, too: while these are overdrawn,
//! each prefix has a fair share of what flows into them, and its links wait once that share is used up. So many addresses that
//! flood together leave most of the thread to peers that are of use.
//!
//! Pure: the clock comes with each call.

use std::collections::HashMap;

use super::address_prefix::AddressPrefix;

use super::cost_buckets::{Buckets, Cost, Rate, Shares, ALL, COSTS, LINK, LOOKUP_ROWS};

/// All links of one prefix together may cost this many times as much, because a site behind one address may have several peers.
const PREFIX_FACTOR: i64 = 2;

/// A prefix starts with this part of a link's buckets, before it depends on its share of what all links may cost. For processor
/// time it is 25 ms, enough for dozens of handshakes.
const SPARED_PART: i64 = 40;

/// Microseconds that a group of new nodes gives back, and in addition each of its nodes. This is more than they can have cost, even
/// if a node comes alone and takes a turn of the link's task for itself.
const NEW_NODES_US: (i64, i64) = (75, 25);
/// The same for nodes that were sent. It pays for the credits, wants and haves with which the peer answers. Many nodes share a
/// frame of these, so it is little: it must not pay for the frames of a peer that floods while the log is sent to it. Time spent on
/// sending is not charged.
const SENT_NODES_US: (i64, i64) = (15, 1);
/// Bytes that each node gives back, for the credits, wants and haves that go with it.
const USEFUL_BYTES: i64 = 128;
/// Microseconds of verifying seals that each new node gives back: at most its own seal, and the key of its log.
const USEFUL_SEALS_US: i64 = 100;

/// Longest pause at a time. After it the link is judged again.
const LONGEST_PAUSE_MS: u64 = 1_000;

/// Prefixes whose buckets are kept. Beyond this number, prefixes without links are forgotten, those with full buckets first. Each
/// takes some 150 bytes.
const MAX_PREFIXES: usize = 16 * 1024;

struct LinkBuckets {
    prefix: AddressPrefix,
    buckets: Buckets,
    /// How long the link has been paused since it was last of use, in milliseconds.
    waited_ms: u64,
}

struct PrefixBuckets {
    buckets: Buckets,
    /// Its fair share of what all links together may cost.
    share: Buckets,
    /// What it has cost and not given back yet. No more than that goes back to the common buckets. A peer of use gives back more
    /// than it costs, and would otherwise fill them for others.
    owed: [i64; 5],
    links: usize,
}

impl PrefixBuckets {
    /// Updates what is owed. Returns the part of the change that applies to the common buckets.
    fn owe(&mut self, cost: Cost, amount: i64) -> i64 {
        let mut counts = 0;
        for ((owed, rate), (each, _)) in self.owed.iter_mut().zip(self.buckets.rates).zip(COSTS) {
            if each == cost {
                counts = amount.min(*owed);
                *owed = owed.saturating_sub(counts).min(rate.burst);
            }
        }
        counts
    }
}

/// What a link may do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on.
    Go,
    /// Leave its frames unread for this many milliseconds.
    Pause(u64),
    /// End it, because of this kind of cost.
    End(&'static str),
}

/// The buckets of all links and prefixes, and the common ones.
pub(super) struct CostLimits {
    shares: Shares,
    all: Buckets,
    links: HashMap<u64, LinkBuckets>,
    prefixes: HashMap<AddressPrefix, PrefixBuckets>,
    /// Prefixes that have links.
    linked: i64,
}

impl CostLimits {
    pub(super) fn new(shares: Shares) -> CostLimits {
        CostLimits {
            shares,
            all: Buckets::new(ALL, shares, 1, 0),
            links: HashMap::new(),
            prefixes: HashMap::new(),
            linked: 0,
        }
    }

    /// A link begins.
    pub(super) fn open(&mut self, link: u64, prefix: AddressPrefix, now_ms: u64) {
        if self.prefixes.len() >= MAX_PREFIXES {
            self.forget_prefixes(now_ms);
        }
        let shared = self.prefixes.entry(prefix).or_insert_with(|| PrefixBuckets {
            buckets: Buckets::new(LINK, self.shares, PREFIX_FACTOR, now_ms),
            share: Buckets::new(LINK.map(spared), self.shares, 1, now_ms),
            owed: [0; 5],
            links: 0,
        });
        self.linked += i64::from(shared.links == 0);
        shared.links += 1;
        self.links
            .insert(link, LinkBuckets { prefix, buckets: Buckets::new(LINK, self.shares, 1, now_ms), waited_ms: 0 });
    }

    /// A link is over. Its prefix keeps its buckets.
    pub(super) fn close(&mut self, link: u64) {
        let Some(gone) = self.links.remove(&link) else { return };
        if let Some(shared) = self.prefixes.get_mut(&gone.prefix) {
            shared.links -= 1;
            self.linked -= i64::from(shared.links == 0);
        }
    }

    /// Forgets prefixes without links: those with full buckets, and, if that is not enough, all of them.
    fn forget_prefixes(&mut self, now_ms: u64) {
        for shared in self.prefixes.values_mut() {
            shared.buckets.refill(now_ms);
        }
        self.prefixes.retain(|_, shared| shared.links > 0 || !shared.buckets.is_full());
        if self.prefixes.len() >= MAX_PREFIXES {
            self.prefixes.retain(|_, shared| shared.links > 0);
        }
    }

    fn change(&mut self, link: u64, cost: Cost, amount: i64, with_link: bool) {
        let Some(of_link) = self.links.get_mut(&link) else { return };
        if with_link {
            of_link.buckets.add(cost, amount);
        }
        if let Some(shared) = self.prefixes.get_mut(&of_link.prefix) {
            shared.buckets.add(cost, amount);
            shared.share.add(cost, amount);
            self.all.add(cost, shared.owe(cost, amount));
        }
    }

    /// The link has caused this cost.
    pub(super) fn charge(&mut self, link: u64, cost: Cost, amount: u64) {
        self.change(link, cost, -whole(amount), true);
    }

    /// The same for a cost that every link may cause once: the first pass over the log. It is charged to the prefix only, so it is
    /// also bounded for a peer that connects again and again.
    pub(super) fn charge_prefix(&mut self, link: u64, cost: Cost, amount: u64) {
        self.change(link, cost, -whole(amount), false);
    }

    /// The link has brought this many new nodes, of this many bytes.
    pub(super) fn used(&mut self, link: u64, nodes: u64, bytes: u64) {
        self.change(link, Cost::Nodes, whole(nodes), true);
        self.change(link, Cost::Bytes, whole(bytes), true);
        self.change(link, Cost::Seals, whole(nodes).saturating_mul(USEFUL_SEALS_US), true);
        self.was_of_use(link, nodes, NEW_NODES_US);
    }

    /// This many nodes were sent that the peer lacked.
    pub(super) fn sent(&mut self, link: u64, nodes: u64) {
        self.change(link, Cost::Rows, whole(nodes.saturating_mul(LOOKUP_ROWS)), true);
        self.was_of_use(link, nodes, SENT_NODES_US);
    }

    fn was_of_use(&mut self, link: u64, nodes: u64, (together, each): (i64, i64)) {
        if nodes == 0 {
            return;
        }
        self.change(link, Cost::Time, together + whole(nodes).saturating_mul(each), true);
        self.change(link, Cost::Bytes, whole(nodes).saturating_mul(USEFUL_BYTES), true);
        if let Some(of_link) = self.links.get_mut(&link) {
            of_link.waited_ms = 0;
        }
    }

    /// Decides what the link may do. To be called after it has been charged, and when a pause is over.
    pub(super) fn verdict(&mut self, link: u64, now_ms: u64) -> Verdict {
        let Some(of_link) = self.links.get_mut(&link) else { return Verdict::Go };
        of_link.buckets.refill(now_ms);
        self.all.refill(now_ms);
        let mut pause = of_link.buckets.pause();
        if let Some(shared) = self.prefixes.get_mut(&of_link.prefix) {
            shared.buckets.refill(now_ms);
            pause = pause.max(shared.buckets.pause());
            for (rate, of_all) in shared.share.rates.iter_mut().zip(self.all.rates) {
                rate.per_second = (of_all.per_second / self.linked.max(1)).max(1);
            }
            shared.share.refill(now_ms);
            pause = pause.max(self.all.pause_with(&shared.share));
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

/// The part of a link's bucket that is in a prefix's share from the start. How much flows into it depends on how many have links.
fn spared(rate: Rate) -> Rate {
    Rate { burst: rate.burst / SPARED_PART, per_second: 1 }
}

fn whole(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: AddressPrefix = AddressPrefix::V4([10, 0, 0, 1]);
    const THERE: AddressPrefix = AddressPrefix::V4([10, 0, 0, 2]);

    /// How often a link may do something that costs `amount` within `ms` milliseconds, and how it ended.
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
    fn work_in_vain_is_bounded_by_burst_and_rate_and_ends_the_link_in_the_end() {
        for (rate, (cost, name)) in LINK.into_iter().zip(COSTS) {
            let mut limits = CostLimits::new(Shares::default());
            limits.open(1, HERE, 0);
            let amount = u64::try_from(rate.per_second / 100).unwrap();
            let (done, end) = hammer(&mut limits, 1, cost, amount, 120_000);
            let most = (rate.burst + rate.per_second * 31) / i64::try_from(amount).unwrap() + 1;
            assert!(i64::try_from(done).unwrap() <= most, "{name}: {done} of {most}");
            assert_eq!(end, Some(name));
        }
    }

    #[test]
    fn a_useful_peer_at_full_speed_is_never_paused() {
        let mut limits = CostLimits::new(Shares::default());
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
    fn reconnecting_and_many_links_gain_nothing() {
        let mut limits = CostLimits::new(Shares::default());
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
        assert!(total <= LINK[0].burst * PREFIX_FACTOR + 10_000, "{total}");
        limits.open(99, THERE, 0);
        assert_eq!(limits.verdict(99, 0), Verdict::Go, "another prefix has its own buckets");
    }

    #[test]
    fn many_addresses_gain_little_and_a_useful_peer_goes_on_beside_them() {
        let mut limits = CostLimits::new(Shares::default());
        let (strangers, useful, seconds) = (200, 1_000, 60);
        for link in 0..strangers {
            limits.open(link, AddressPrefix::V6(link), 0);
        }
        limits.open(useful, HERE, 0);
        let mut in_vain = 0;
        for now in (0..seconds * 1_000).step_by(10) {
            for link in 0..strangers {
                if limits.verdict(link, now) == Verdict::Go {
                    limits.charge(link, Cost::Time, 100);
                    in_vain += 100;
                }
            }
            limits.charge(useful, Cost::Time, 5_000);
            assert_eq!(limits.verdict(useful, now), Verdict::Go);
            limits.used(useful, 500, 50_000);
            limits.used(useful, 500, 50_000);
        }
        let spared = strangers * (1_000_000 / 40 + 100);
        assert!(in_vain <= 250_000 + 2 * 50_000 * seconds + spared, "{in_vain}");
    }

    #[test]
    fn the_first_pass_over_a_log_is_charged_to_the_prefix_only() {
        let mut limits = CostLimits::new(Shares::default());
        limits.open(1, HERE, 0);
        limits.charge_prefix(1, Cost::Rows, 20_000_000);
        assert_eq!(limits.verdict(1, 0), Verdict::Go);
        limits.charge_prefix(1, Cost::Rows, 20_000_000);
        assert!(matches!(limits.verdict(1, 0), Verdict::Pause(_)));
    }

    #[test]
    fn an_overdrawn_link_that_is_of_use_in_between_is_kept() {
        let mut limits = CostLimits::new(Shares::default());
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
    fn an_overdrawn_bucket_refills_with_time() {
        let mut limits = CostLimits::new(Shares::default());
        limits.open(1, HERE, 0);
        limits.charge(1, Cost::Rows, 12_625_000);
        assert_eq!(limits.verdict(1, 0), Verdict::Pause(501));
        assert_eq!(limits.verdict(1, 502), Verdict::Go);
    }

    #[test]
    fn buckets_of_prefixes_without_links_stay_few() {
        let mut limits = CostLimits::new(Shares::default());
        for n in 0..3 * MAX_PREFIXES as u64 {
            limits.open(n, AddressPrefix::V6(n), n);
            limits.charge(n, Cost::Time, 2_000_000);
            limits.close(n);
        }
        assert!(limits.prefixes.len() <= MAX_PREFIXES && limits.links.is_empty());
    }
}
