//! Random histories from a seed, for comparing a store with the model.

use super::model::Model;
use super::searches::random_event;
use crate::store::Meta;

/// A small seeded generator (SplitMix64): the suite needs repeatable variety, not quality.
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.draw() % bound as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.draw() as u8).collect()
    }
}

/// Adds one random commit to the model's pending one: rows of several logs, duplicates, facts, now and then a
/// relabel, a branch or a large value.
pub fn random_commit(model: &mut Model, random: &mut Random) {
    if random.once_in(12) {
        relabel(model, random);
    }
    if random.once_in(4) {
        let facts = [Meta::LogId, Meta::Peers, Meta::Position("mirror".into()), Meta::Position("ünï!code".into())];
        let fact = facts[random.below(facts.len())].clone();
        let value = random.bytes(random.clone().below(40));
        model.set(fact, if random.once_in(4) { None } else { Some(&value) });
    }
    for _ in 0..random.below(9) {
        let log = ["a", "b", "café", "log-with-a-long-id-0123456789"][random.below(4)];
        let stored = model.rows().len();
        let len = if random.once_in(40) { 5000 + random.below(90_000) } else { random.below(120) };
        // The row count makes each value, and so each key, unique.
        let value = if random.once_in(8) {
            [stored.to_le_bytes().to_vec(), random.bytes(len)].concat()
        } else {
            random_event(random, stored as u64, len)
        };
        match random.below(10) {
            0 if stored > 0 => model.duplicate(log, 1 + random.draw() % model.end().change),
            1 if stored > 0 => {
                let some = [random.below(stored), random.below(stored)];
                let mut links: Vec<_> = some.iter().map(|index| model.rows()[*index].node.key).collect();
                links.dedup();
                model.append_linked(log, &links, value);
            }
            2 => {
                model.append_linked(log, &[], value);
            }
            3 => {
                model.append(log, value);
            }
            _ => {
                model.append_next(log, value);
            }
        }
    }
}

fn relabel(model: &mut Model, random: &mut Random) {
    let logs: Vec<_> = model.logs().cloned().collect();
    if logs.is_empty() {
        return;
    }
    let log = logs[random.below(logs.len())].clone();
    let from = 1 + random.draw() % model.seq(&log);
    let to = format!("fork-{}", random.draw());
    model.relabel(&log, from, &to);
}
