//! When to dial a peer again: a pure function of how its links ended.

/// Dialling stops after this many consecutive attempts without a healthy link. It is hyperemitter 1.x's number, on which its
/// callback contract depends.
pub const MAX_ATTEMPTS: u32 = 10;

/// Longest pause between two attempts, in milliseconds. A peer that comes back after days is found within half a minute; one that
/// never does costs two attempts a minute.
pub const MAX_DELAY_MS: u64 = 30_000;

/// How far a link got before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// This machine lacked what an attempt needs (such as file descriptors), so no attempt was made. It says nothing about the
    /// peer.
    Lacking,
    /// Nothing that speaks the protocol answered.
    Silent,
    /// The peer's handshake arrived, but the link ended before it was of use. The peer exists and is worth retrying, though with
    /// growing pauses.
    Greeted,
    /// The peer is healthy, but the next link will end at the same event, until something changes on either side.
    Hopeless,
    /// The link became live, brought new events, or lasted for a while.
    Settled,
}

/// What to do after a link has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Dial again after this many milliseconds.
    Retry {
        /// The pause.
        after_ms: u64,
    },
    /// [`MAX_ATTEMPTS`] consecutive attempts failed, and the peer was never reached.
    GiveUp,
}

/// The state for one dialled peer.
#[derive(Clone, Debug)]
pub struct DialPolicy {
    first_delay_ms: u64,
    keep: bool,
    failures: u32,
}

impl DialPolicy {
    /// A peer that was not dialled yet. `first_delay_ms` is the pause after a first failure (`reconnectTimeout`). A `known` peer,
    /// which an earlier run was connected to, is never given up.
    #[must_use]
    pub fn new(first_delay_ms: u64, known: bool) -> Self {
        DialPolicy { first_delay_ms, keep: known, failures: 0 }
    }

    /// From now on the peer is never given up.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Decides what to do after an attempt or a link has ended. `random` is a uniform random number. It spreads the pauses of peers
    /// that lost the same neighbour.
    pub fn ended(&mut self, health: Health, random: u64) -> Next {
        if health == Health::Lacking {
            return Next::Retry { after_ms: self.first_delay_ms };
        }
        self.keep |= health != Health::Silent;
        self.failures = match health {
            Health::Lacking | Health::Silent | Health::Greeted => self.failures.saturating_add(1),
            Health::Settled => 1,
            Health::Hopeless => u32::MAX,
        };
        if self.keep {
            return Next::Retry { after_ms: self.backed_off(random) };
        }
        if self.failures >= MAX_ATTEMPTS {
            return Next::GiveUp;
        }
        Next::Retry { after_ms: self.first_delay_ms }
    }

    /// The pause after this failure: doubles from the first delay up to the cap. From the second failure on it is shortened at
    /// random, by up to half.
    fn backed_off(&self, random: u64) -> u64 {
        let doublings = self.failures.saturating_sub(1).min(u64::BITS - 1);
        if doublings == 0 {
            return self.first_delay_ms;
        }
        let cap = MAX_DELAY_MS.max(self.first_delay_ms);
        let full = self.first_delay_ms.max(1).saturating_mul(1_u64 << doublings).min(cap);
        full - random % (full / 2 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(policy: &mut DialPolicy, count: usize, random: u64) -> Vec<u64> {
        (0..count)
            .map(|_| match policy.ended(Health::Silent, random) {
                Next::Retry { after_ms } => after_ms,
                Next::GiveUp => panic!("gave up"),
            })
            .collect()
    }

    #[test]
    fn an_unreachable_peer_is_given_up_at_the_tenth_attempt_as_in_1_x() {
        let mut policy = DialPolicy::new(1000, false);
        assert_eq!(delays(&mut policy, 9, 7), [1000; 9]);
        assert_eq!(policy.ended(Health::Silent, 7), Next::GiveUp);
    }

    #[test]
    fn a_known_peer_is_retried_for_ever_with_capped_pauses() {
        let mut policy = DialPolicy::new(1000, true);
        let pauses = delays(&mut policy, 500, 0);
        assert_eq!(pauses[..6], [1000, 2000, 4000, 8000, 16_000, 30_000]);
        assert!(pauses[6..].iter().all(|&pause| pause == MAX_DELAY_MS));
    }

    #[test]
    fn a_peer_that_was_healthy_once_is_never_given_up() {
        let mut policy = DialPolicy::new(5, false);
        delays(&mut policy, 8, 0);
        assert_eq!(policy.ended(Health::Settled, 0), Next::Retry { after_ms: 5 });
        delays(&mut policy, 100, u64::MAX);
    }

    #[test]
    fn a_healthy_link_starts_the_pauses_afresh() {
        let mut policy = DialPolicy::new(100, true);
        assert_eq!(delays(&mut policy, 3, 0), [100, 200, 400]);
        assert_eq!(policy.ended(Health::Settled, 0), Next::Retry { after_ms: 100 });
    }

    #[test]
    fn a_peer_that_greets_and_fails_again_and_again_is_retried_ever_more_slowly() {
        let mut policy = DialPolicy::new(100, false);
        let pauses: Vec<Next> = (0..4).map(|_| policy.ended(Health::Greeted, 0)).collect();
        assert_eq!(pauses, [100, 200, 400, 800].map(|after_ms| Next::Retry { after_ms }));
    }

    #[test]
    fn a_link_that_can_only_end_again_is_retried_at_the_slowest_pace() {
        let mut policy = DialPolicy::new(100, false);
        assert_eq!(policy.ended(Health::Hopeless, 0), Next::Retry { after_ms: MAX_DELAY_MS });
        assert_eq!(policy.ended(Health::Settled, 0), Next::Retry { after_ms: 100 });
    }

    #[test]
    fn what_this_machine_lacks_is_not_held_against_the_peer() {
        let mut policy = DialPolicy::new(100, false);
        for _ in 0..100 {
            assert_eq!(policy.ended(Health::Lacking, 0), Next::Retry { after_ms: 100 });
        }
        assert_eq!(delays(&mut policy, 9, 0), [100; 9]);
        assert_eq!(policy.ended(Health::Silent, 0), Next::GiveUp);
    }

    #[test]
    fn jitter_takes_off_half_at_the_most() {
        for random in [0, 1, 12_345, u64::MAX / 3, u64::MAX] {
            let mut policy = DialPolicy::new(1000, true);
            for (pause, full) in
                delays(&mut policy, 8, random).into_iter().zip([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
            {
                assert!(pause <= full && pause >= full / 2, "{pause} of {full}");
            }
        }
    }

    #[test]
    fn odd_delays_are_survived() {
        for first in [0, 1, u64::MAX] {
            let mut policy = DialPolicy::new(first, true);
            let pauses = delays(&mut policy, 200, 99);
            assert!(pauses.iter().all(|&pause| pause <= MAX_DELAY_MS.max(first)));
            assert!(pauses[199] >= MAX_DELAY_MS / 2, "no peer is dialled without a pause for ever");
        }
    }
}
