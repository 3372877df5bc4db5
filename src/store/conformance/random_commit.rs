//! Random histories from a seed, for comparing a store with the model.

use super::model::Model;
use super::random::Random;
use super::searches::random_event;
use crate::store::Meta;

/// Adds one random commit to the model's pending one: rows of several logs, duplicates, facts, now and then a
/// relabel, a branch or a large value.
pub fn random_commit(model: &mut Model, random: &mut Random) {
    if random.once_in(12) {
        relabel(model, random);
    }
    if random.once_in(4) {
        let facts = [
            Meta::LogId,
            Meta::Peers,
            Meta::Position("mirror".into()),
            Meta::Position("ünï!code".into()),
            Meta::Consumer("ünï!code".into(), 7),
        ];
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
