//! Seeded networks of old and new peers. A failing seed is printed; `SIM_SEED=n cargo test --test session_sim seeds`
//! replays it, `SIM_SEEDS=10000` runs the long form, `SIM_TRACE=1` tells what sessions decide.

mod sim;

use sim::setup::Setup;
use sim::world::{Stats, World};

/// Seeds in an ordinary test run.
const SEEDS: u64 = 300;

fn run(setup: Setup) -> Result<Stats, String> {
    World::new(setup).run().map(|world| world.stats)
}

#[test]
fn seeds_converge() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(SEEDS),
    };
    let mut total = Stats::default();
    let mut failed = Vec::new();
    for seed in seeds.clone() {
        match run(Setup::random(seed)) {
            Ok(stats) => {
                total.defects.add(&stats.defects);
                total.nodes += stats.nodes;
                total.half_open += stats.half_open;
                total.half_open_inbound += stats.half_open_inbound;
                total.echoes += stats.echoes;
                total.peer_faults += stats.peer_faults;
                total.nonsense += stats.nonsense;
                total.level_at = total.level_at.max(stats.level_at);
                total.most_queued = total.most_queued.max(stats.most_queued);
            }
            Err(failure) => {
                println!("SIM_SEED={seed}: {failure}");
                failed.push(seed);
            }
        }
    }
    println!("{} seeds: {total:#?}", seeds.end - seeds.start);
    assert!(failed.is_empty(), "failing seeds: {failed:?}");
}
