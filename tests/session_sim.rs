//! Seeded networks of old and new peers. A failing seed is printed; `SIM_SEED=n cargo test --test session_sim seeds`
//! replays it, `SIM_SEEDS=10000` runs the long form, `SIM_TRACE=1` tells what sessions decide.

// Helpers of tests, not of the product.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::needless_pass_by_value
)]

mod sim;

use hyperemitter::hyperlog::parking::MAX_SOURCE_NODES;
use hyperemitter::protocol::config::Defences;
use hyperemitter::protocol::extension::WINDOW;
use hyperemitter::protocol::pieces::MAX_PARTIAL_BYTES;
use sim::foe::Deed;
use sim::old::Defects;
use sim::rng::Rng;
use sim::setup::{event, Fault, Kind, Setup};
use sim::world::{Body, Stats, World};

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
    if seeds.end - seeds.start >= SEEDS {
        let Defects { echo_parked, starved, two_sources, grown_by_one, grown_loop, unrelayed, .. } = total.defects;
        let seen = [echo_parked, starved, two_sources, grown_by_one, grown_loop, unrelayed, total.half_open];
        assert!(seen.iter().all(|count| *count > 0), "a defect of 1.x did not occur: {seen:?}");
    }
}

/// Seeds of networks with a hostile member in an ordinary test run.
const HOSTILE_SEEDS: u64 = 40;

#[test]
fn honest_peers_converge_beside_hostile_ones_whose_cost_is_bounded() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(HOSTILE_SEEDS),
    };
    let mut failed = Vec::new();
    let mut turns = [0; Deed::ALL.len()];
    let mut parked = 0;
    for seed in seeds.clone() {
        let which = seed as usize % Deed::ALL.len();
        let deed = Deed::ALL[which];
        // All that was emitted arrives everywhere, and the owners' logs hold nothing else.
        match run(Setup::with_foe(seed, deed)).and_then(|stats| within_bounds(&stats).map(|()| stats)) {
            Ok(stats) => {
                turns[which] += stats.foe.turns;
                parked = parked.max(stats.foe.parked);
            }
            Err(failure) => {
                println!("SIM_SEED={seed} ({deed:?}): {failure}");
                failed.push(seed);
            }
        }
    }
    println!("{} seeds, turns of {:?}: {turns:?}; {parked} parked", seeds.end - seeds.start, Deed::ALL);
    assert!(failed.is_empty(), "failing seeds: {failed:?}");
    assert!(seeds.end - seeds.start < HOSTILE_SEEDS || turns.iter().all(|turns| *turns > 0), "{turns:?}");
    assert!(seeds.end - seeds.start < HOSTILE_SEEDS || parked == MAX_SOURCE_NODES, "only {parked} were parked");
}

/// Checks that the cost of hostile members is in proportion to what they sent.
fn within_bounds(stats: &Stats) -> Result<(), String> {
    let foe = stats.foe;
    let (nodes, turns) = (stats.nodes as u64, foe.turns + 1);
    // One look-up for each named entry, of at least eight bytes, and for each log that a vector announces again.
    let asked = foe.bytes / 4 + turns * 32;
    // A vector or a demand (up to three per turn) may cause everything to be read once more, in small reads.
    let read = turns * 3 * (2 * nodes + 64);
    if foe.asked > asked || foe.read > read || foe.partial > MAX_PARTIAL_BYTES || foe.sent > turns * 2 * WINDOW {
        return Err(format!("{foe:?} with {nodes} nodes is more than {asked} questions, {read} rows"));
    }
    // An owner ends a link over what was made up in its name once; then it knows what to leave aside.
    if foe.cut > 2 * foe.honest_links {
        return Err(format!("{} of {} honest links were ended", foe.cut, foe.honest_links));
    }
    Ok(())
}

/// Seeds in which a stranger forges the logs of others, in an ordinary test run, and some that failed once.
const FORGED_SEEDS: u64 = 24;
const ONCE_FAILED: [u64; 6] = [28, 46, 101, 189, 209, 459];

/// A stranger writes the next entries of logs whose owners it does not reach first, at whoever believes it. The owners' own logs
/// hold what the owners wrote, and nothing else. Once the owners have emitted again, everybody has all events.
#[test]
fn honest_peers_converge_although_a_stranger_forges_the_logs_of_others() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds: Vec<u64> = match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, Some(seeds)) => (0..seeds).collect(),
        (None, None) => (0..FORGED_SEEDS).chain(ONCE_FAILED).collect(),
    };
    let (mut made_up, mut failed) = (0, Vec::new());
    for &seed in &seeds {
        match run(Setup::with_foe(seed, Deed::ForgeOthers)).and_then(|stats| within_bounds(&stats).map(|()| stats)) {
            Ok(stats) => made_up += stats.foe.made_up,
            Err(failure) => {
                println!("SIM_SEED={seed}: {failure}");
                failed.push(seed);
            }
        }
    }
    println!("{} seeds, {made_up} nodes made up", seeds.len());
    assert!(failed.is_empty(), "failing seeds: {failed:?}");
    assert!(seeds.len() == 1 || made_up > 0, "nothing was forged");
}

/// Seeds of mixed networks with such a stranger in an ordinary test run.
const MIXED_SEEDS: u64 = 24;

/// 1.x keeps one version of a log, and peers of the extension's first version send no branches: what is forged may keep events from
/// them, and from whoever gets events through them only. Between the others nothing is lost because of them, whoever restarts.
#[test]
fn a_forger_parts_no_peers_that_know_branches_although_others_do_not() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(MIXED_SEEDS),
    };
    let (mut made_up, mut failed) = (0, Vec::new());
    for seed in seeds.clone() {
        match run(Setup::with_forger_among_others(seed)) {
            Ok(stats) => made_up += stats.foe.made_up,
            Err(failure) => {
                println!("SIM_SEED={seed}: {failure}");
                failed.push(seed);
            }
        }
    }
    println!("{} seeds, {made_up} nodes made up", seeds.end - seeds.start);
    assert!(failed.is_empty(), "failing seeds: {failed:?}");
    assert!(seeds.end - seeds.start < MIXED_SEEDS || made_up > 0, "nothing was forged");
}

/// Seeds of networks with sealed logs in an ordinary test run, and the same with a hostile member.
const SEALED_SEEDS: u64 = 60;

fn seeds_of(ordinary: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(ordinary),
    }
}

#[test]
fn sealed_and_other_logs_reach_everybody_also_through_1x() {
    for seed in seeds_of(SEALED_SEEDS) {
        run(Setup::with_seals(seed)).unwrap_or_else(|failure| panic!("SIM_SEED={seed}: {failure}"));
    }
}

#[test]
fn hostile_members_put_nothing_into_sealed_logs_and_keep_nobody_from_them() {
    let deeds =
        [Deed::Strip, Deed::Forge, Deed::ForgeOthers, Deed::Fork, Deed::Strip, Deed::Flood, Deed::Hoard, Deed::Amplify];
    for seed in seeds_of(SEALED_SEEDS) {
        let deed = deeds[seed as usize % deeds.len()];
        let stats = run(Setup::with_seals_and_foe(seed, deed));
        let stats = stats.unwrap_or_else(|failure| panic!("SIM_SEED={seed} ({deed:?}): {failure}"));
        within_bounds(&stats).unwrap_or_else(|failure| panic!("SIM_SEED={seed} ({deed:?}): {failure}"));
    }
}

#[test]
fn a_1x_peer_that_drops_seals_passes_on_everything_but_sealed_logs() {
    let mut setup = Setup::quiet(1, vec![Kind::New, Kind::Old, Kind::New, Kind::New], vec![(0, 1), (1, 2), (2, 3)]);
    (setup.sealed, setup.as_users, setup.relays_seals) = (vec![0], true, false);
    for number in 0..8 {
        setup.emits.push((100 * number, (number % 2) as usize * 3, event(&number.to_string())));
    }
    setup.deadline = 20_000;
    let mut world = World::new(setup);
    assert!(world.run_on().is_err(), "the sealed log cannot be everywhere");
    world.check_seals().unwrap();
    let Body::New(last) = &world.peers[3].body else { panic!() };
    assert!(last.rows().iter().all(|row| &**row.log() == "log-3"));
    let Body::New(sealed) = &world.peers[0].body else { panic!() };
    assert!(sealed.rows().iter().any(|row| &**row.log() == "log-3"), "other logs come through");
}

/// Seeds of networks with several links between two peers in an ordinary test run.
const TWIN_SEEDS: u64 = 60;

#[test]
fn of_several_links_between_two_peers_one_carries_and_nothing_is_lost_when_it_ends() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(TWIN_SEEDS),
    };
    let mut further = 0;
    for seed in seeds {
        let mut world = World::new(Setup::with_twins(seed));
        world.run_on().unwrap_or_else(|failure| panic!("SIM_SEED={seed}: {failure}"));
        world.settle(10_000);
        for (peers, (carry, up)) in world.carrying() {
            assert_eq!(carry, 1, "SIM_SEED={seed}: of {up} links between {peers:?} {carry} carry");
            further += up - 1;
        }
    }
    assert!(further > 0, "no two peers were linked twice");
}

/// Switches one defence off.
type Without = fn(&mut Defences);

/// Number of seeds of which at least one must fail without a defence.
const SEARCHED: u64 = 200;

fn fails_without(name: &str, setup: fn(u64) -> Setup, without: Without) {
    for seed in 0..SEARCHED {
        let mut setup = setup(seed);
        without(&mut setup.defences);
        if let Err(failure) = run(setup) {
            println!("without {name}, seed {seed}: {}", failure.lines().next().unwrap_or(""));
            return;
        }
    }
    panic!("no seed below {SEARCHED} needs {name}");
}

#[test]
fn nothing_is_sent_back_to_a_1x_peer() {
    fails_without("no_echo", Setup::random, |defences| defences.no_echo = false);
}

#[test]
fn links_that_1x_leaves_half_dead_are_closed() {
    fails_without("close_half_open", Setup::random, |defences| defences.close_half_open = false);
}

#[test]
fn causes_reach_a_1x_peer_first() {
    fails_without("settle", Setup::random, |defences| defences.settle = false);
}

#[test]
fn live_nodes_wait_for_the_wants_of_a_1x_peer() {
    fails_without("live_after_wants", Setup::random, |defences| defences.live_after_wants = false);
}

/// 1.x twins at the far ends of a chain: the middle one of 1.x does not relay the second entry of a shared node.
fn twins(seed: u64) -> Setup {
    let mut setup = Setup::quiet(seed, vec![Kind::Old, Kind::Old, Kind::New], vec![(0, 1), (2, 1)]);
    for peer in [0, 1] {
        setup.emits.push((1_000, peer, event("same")));
    }
    for number in 0..5 {
        setup.emits.push((1_500 + number * 100, 0, event(&format!("after {number}"))));
    }
    // The harness repairs only links between 1.x peers; the other link has to notice the gap.
    setup.deadline = 60_000;
    setup
}

#[test]
fn entries_that_a_1x_peer_does_not_relay_are_fetched() {
    for seed in 0..20 {
        run(twins(seed)).unwrap();
    }
    fails_without("mind_gaps", twins, |defences| defences.mind_gaps = false);
}

/// The same with one of ours in the middle: both entries must reach the other side, or 1.x cannot continue that log.
fn twins_around_us(seed: u64) -> Setup {
    let mut setup = Setup::quiet(seed, vec![Kind::Old, Kind::New, Kind::Old], vec![(0, 1), (2, 1)]);
    for peer in [0, 2] {
        setup.emits.push((0, peer, event("same")));
    }
    for number in 0..5 {
        setup.emits.push((1_500 + number * 100, 0, event(&format!("after {number}"))));
        setup.emits.push((1_550 + number * 100, 2, event(&format!("also {number}"))));
    }
    setup.deadline = 60_000;
    setup
}

#[test]
fn both_entries_of_a_shared_node_are_relayed() {
    for seed in 0..20 {
        run(twins_around_us(seed)).unwrap();
    }
    fails_without("send_duplicates", twins_around_us, |defences| defences.send_duplicates = false);
}

/// Two 1.x peers with the same history, from which one of ours fetches it at the same time, without timeouts.
fn two_sources(seed: u64) -> Setup {
    let mut setup = Setup::quiet(seed, vec![Kind::Old, Kind::Old, Kind::New], vec![(1, 0), (2, 0), (2, 1)]);
    for number in 0..20 {
        setup.emits.push((0, 0, event(&format!("shared {number}"))));
    }
    setup.dials = vec![0, 3_000, 3_000];
    setup.faults.push((2_900, Fault::Partition(0, 3_000_000)));
    setup.emits.push((6_000, 0, event("only through 0")));
    setup.emits.push((6_500, 1, event("only through 1")));
    setup.defences.close_half_open = false;
    setup.calm = Some(7_000);
    setup.deadline = 60_000;
    setup
}

#[test]
fn nodes_that_came_over_another_link_count() {
    for seed in 0..20 {
        run(two_sources(seed)).unwrap();
    }
    fails_without("complete_by_heads", two_sources, |defences| defences.complete_by_heads = false);
}

/// One 1.x peer and one of ours, whose link is often cut.
fn on_and_off(seed: u64) -> Setup {
    let mut rng = Rng::new(seed);
    let mut setup = Setup::quiet(seed, vec![Kind::Old, Kind::New], vec![(1, 0)]);
    for number in 0..120 {
        let (at, peer) = (rng.range(1, 8_000), rng.below(2) as usize);
        for more in 0..rng.range(1, 4) {
            setup.emits.push((at, peer, event(&format!("{number} {more}"))));
        }
    }
    setup.emits.sort_by_key(|emit| emit.0);
    for _ in 0..12 {
        setup.faults.push((rng.range(1, 8_000), Fault::Partition(0, rng.range(10, 600))));
    }
    setup
}

#[test]
fn a_1x_peer_never_outgrows_its_snapshot_by_our_doing() {
    let grown = |pull_first| -> u64 {
        (0..60)
            .map(|seed| {
                let mut setup = on_and_off(seed);
                setup.defences.pull_first = pull_first;
                let defects = run(setup).unwrap().defects;
                defects.grown_by_one + defects.grown_loop
            })
            .sum()
    };
    assert_eq!(grown(true), 0);
    assert!(grown(false) > 0);
}

/// Events of 100 kB: more than a window, a group or a send buffer holds.
fn heavy(kinds: [Kind; 2], seed: u64) -> Setup {
    let mut setup = Setup::quiet(seed, kinds.to_vec(), vec![(0, 1)]);
    for number in 0..60 {
        for peer in 0..2 {
            let mut value = b"\x0a\x01e\x12\xa0\x8d\x06".to_vec();
            value.resize(value.len() + 100_000, peer as u8);
            value.extend_from_slice(&[0x1a, 1, number]);
            setup.emits.push((u64::from(number % 2) * 500, peer, value));
        }
    }
    setup.emits.sort_by_key(|emit| emit.0);
    setup
}

#[test]
fn large_events_pass_and_a_peer_that_does_not_read_costs_no_memory() {
    for kinds in [[Kind::New, Kind::New], [Kind::Old, Kind::New], [Kind::New, Kind::Old]] {
        let mut setup = heavy(kinds, 1);
        // It reads nothing for longer than all timeouts, while the other side has 6 MB for it.
        setup.faults.push((20, Fault::Stall(0, 5_000)));
        setup.faults.push((20, Fault::Stall(1, 5_000)));
        let stats = run(setup).unwrap();
        assert_eq!(stats.nodes, 120);
        if kinds == [Kind::New, Kind::New] {
            assert!(stats.most_queued < 2 * 1024 * 1024, "the window bounds what is under way: {}", stats.most_queued);
        }
    }
}

/// A full mesh of ours, with events from everybody.
fn mesh(seed: u64, gap: u64) -> Setup {
    let links = (0..5).flat_map(|a| (a + 1..5).map(move |b| (a, b))).collect();
    let mut setup = Setup::quiet(seed, vec![Kind::New; 5], links);
    for number in 0..250 {
        setup.emits.push((1_000 + number * gap, number as usize % 5, event(&number.to_string())));
    }
    setup
}

#[test]
fn in_a_mesh_an_event_takes_few_ways_in_vain() {
    for (seed, gap) in [(0, 20), (1, 20), (2, 1), (3, 1), (4, 300)] {
        let stats = run(mesh(seed, gap)).unwrap();
        println!("seed {seed}, {gap} ms apart: {} in vain, level after {} ms", stats.in_vain, stats.level_at);
        assert!(stats.level_at < 500, "holding rows back must not slow the others");
        // 1,000 arrivals are needed; plain flooding costs up to 3,000 more.
        assert!(stats.in_vain < 500, "{} arrivals in vain", stats.in_vain);
    }
}

/// A hundred emitters around a hub, each with ten events a second, `delay` ms away.
fn hub(delay: u64) -> Setup {
    const EMITTERS: usize = 100;
    let mut rng = Rng::new(delay);
    let kinds = vec![Kind::New; EMITTERS + 1];
    let mut setup = Setup::quiet(delay, kinds, (1..=EMITTERS).map(|peer| (peer, 0)).collect());
    setup.links =
        setup.links.iter().map(|(dialler, listener, _)| (*dialler, *listener, (delay, delay + delay / 2))).collect();
    setup.as_users = true;
    for peer in 1..=EMITTERS {
        let phase = rng.below(100);
        for number in 0..10 {
            setup.emits.push((500 + phase + number * 100, peer, b"{\"degrees\":21.5}".to_vec()));
        }
    }
    setup.emits.sort_by_key(|emit| emit.0);
    setup
}

#[test]
fn a_hundred_emitters_around_a_hub_cost_few_bytes_per_event_and_delivery() {
    let stats = run(hub(40)).unwrap();
    let each = stats.bytes as f64 / (stats.nodes * 100) as f64;
    println!("{each} bytes for each of {} events and each delivery", stats.nodes);
    assert!(each <= 100.0, "{each} bytes");
}
