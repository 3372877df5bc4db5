//! Power cuts and kills: nothing acknowledged is lost, nothing is stored twice, the order is kept, and no commit is stored in part.
//!
//! The short form is a few of each. `HYPER_CRASH_RUNS=200` makes it 200 power cuts and 200 kills.

// Helpers of tests panic by design.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod store_support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use hyperemitter::store::conformance::Random;
use hyperemitter::store::embedded::{EmbeddedOptions, EmbeddedStore};
use hyperemitter::store::Store;
use store_support::disk::{FaultDisk, Point};
use store_support::history::History;
use store_support::index_damage::{copy, spoil_index};
use tempfile::TempDir;

/// Rows acknowledged before power may fail.
const ACKNOWLEDGED: usize = 1000;

/// Commits after which power is cut in any case.
const PATIENCE: usize = 3000;

const POINTS: [Point; 5] = [Point::Write, Point::Sync, Point::Segment, Point::Rename, Point::Index];

fn runs(short: usize) -> usize {
    std::env::var("HYPER_CRASH_RUNS").map_or(short, |runs| runs.parse().expect("HYPER_CRASH_RUNS is a number"))
}

fn folder() -> PathBuf {
    PathBuf::from("/store")
}

/// Small enough that a run crosses many segments and chunks.
fn options(disk: &FaultDisk) -> EmbeddedOptions {
    EmbeddedOptions { segment_size: 24 * 1024, chunk_rows: 200, disk: Arc::new(disk.clone()) }
}

fn open(disk: &FaultDisk) -> Result<EmbeddedStore, hyperemitter::error::Error> {
    EmbeddedStore::open(&folder(), &options(disk), &mut |_, _| {})
}

/// Writes until power fails, and checks what is left. Returns where it failed, or what was lost.
fn power_cut(seed: u64, point: Point, lies: bool) -> Result<Point, String> {
    let real = TempDir::new().unwrap();
    let [index, after_index, older] = ["index", "after", "older"].map(|name| real.path().join(name));
    let disk = if lies { FaultDisk::lying(&index) } else { FaultDisk::new(&index) };
    let mut random = Random(seed);
    let mut history = History::of_events(seed, 12);
    let store = open(&disk).unwrap();
    let (mut acknowledged, mut armed) = (0, false);
    loop {
        if history.rows() >= ACKNOWLEDGED && !armed {
            disk.arm(point, random.below(20) as u32, random.draw());
            armed = true;
        }
        if history.rows() >= ACKNOWLEDGED / 2 && !older.exists() {
            copy(&index, &older);
        }
        let commit = history.next();
        if let Err(error) = store.commit(&commit) {
            assert_eq!(error.code(), "ERR_HYPER_STORAGE", "{error}");
            assert!(store.commit(&commit).is_err(), "after a failure nothing more is acknowledged");
            break;
        }
        acknowledged += 1;
        if armed && point == Point::Index && random.once_in(30) {
            // The indexer runs behind the commits; this moment is any moment of its work.
            disk.cut(Point::Index);
        }
        assert!(acknowledged < PATIENCE, "power never failed at {point:?}");
    }
    assert!(history.rows() >= ACKNOWLEDGED);
    copy(&index, &after_index);
    drop(store);
    spoil_index(&after_index, &older, &mut random);
    let disk_after = disk.after_power_cut(&after_index, &mut random);
    let store = open(&disk_after).map_err(|error| error.to_string())?;
    let held = history.compare(&store, acknowledged)?;
    history.rewind(held);
    // It continues, and power may fail again immediately.
    for _ in 0..20 {
        store.commit(&history.next()).map_err(|error| error.to_string())?;
    }
    disk_after.cut(Point::Write);
    drop(store);
    let disk_again = disk_after.after_power_cut(&after_index, &mut random);
    let store = open(&disk_again).map_err(|error| error.to_string())?;
    history.compare(&store, held + 20)?;
    disk.cut_at().ok_or_else(|| "power never failed".to_owned())
}

#[test]
fn a_power_cut_loses_nothing_acknowledged() {
    let mut counters: BTreeMap<Point, usize> = BTreeMap::new();
    for run in 0..runs(20) {
        let (seed, point) = (1000 + run as u64, POINTS[run % POINTS.len()]);
        match power_cut(seed, point, false) {
            Ok(at) => *counters.entry(at).or_default() += 1,
            Err(lost) => panic!("seed {seed}, cut at {point:?}: {lost}"),
        }
    }
    println!("power cuts survived, by what they struck: {counters:?}");
    assert_eq!(counters.len(), POINTS.len(), "{counters:?}");
}

/// The proof that the test above can fail: the same, with an fdatasync that does nothing.
#[test]
fn without_fdatasync_the_same_test_finds_losses() {
    let lost = (0..10).filter(|run| power_cut(2000 + run, POINTS[*run as usize % 2], true).is_err()).count();
    println!("{lost} of 10 power cuts lost acknowledged commits");
    assert!(lost >= 5, "only {lost} of 10 power cuts were noticed");
}

/// Set for the process that is to be killed: the store's folder and the seed.
const CHILD: &str = "HYPER_CRASH_CHILD";

/// Not a test of its own: what the killed process runs. It writes until it is killed, and says on its standard output
/// how many commits were acknowledged.
#[test]
fn child_that_is_killed() {
    let Ok(child) = std::env::var(CHILD) else { return };
    let (seed, path) = child.split_once(' ').unwrap();
    let options = EmbeddedOptions { segment_size: 64 * 1024, chunk_rows: 200, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(Path::new(path), &options, &mut |_, _| {}).unwrap();
    let mut history = History::of_events(seed.parse().unwrap(), 12);
    let mut out = std::io::stdout();
    for acknowledged in 1.. {
        store.commit(&history.next()).unwrap();
        writeln!(out, "\nacknowledged {acknowledged} {}", history.rows()).unwrap();
        out.flush().unwrap();
    }
}

fn kill(seed: u64) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_that_is_killed", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{seed} {}", path.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut random = Random(seed);
    let enough = ACKNOWLEDGED + random.below(2000);
    let (mut acknowledged, mut rows, mut killed) = (0, 0, false);
    // After the kill, the pipe still contains the acknowledgements before it.
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Ok(line) = line else { break };
        let Some(numbers) = line.strip_prefix("acknowledged ") else { continue };
        let Some((count, at)) = numbers.split_once(' ') else { continue };
        if let (Ok(count), Ok(at)) = (count.parse(), at.parse::<usize>()) {
            (acknowledged, rows) = (count, at);
        }
        if acknowledged == 1 {
            let second = EmbeddedStore::open(&path, &EmbeddedOptions::default(), &mut |_, _| {});
            assert_eq!(second.err().map(|error| error.code()), Some("ERR_HYPER_LOCKED"));
        }
        if rows >= enough && !killed {
            killed = true;
            (0..random.below(200_000)).for_each(|_| std::hint::spin_loop());
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(rows >= ACKNOWLEDGED, "{rows} rows were acknowledged");
    let mut history = History::of_events(seed, 12);
    for _ in 0..acknowledged + 1 {
        history.next();
    }
    let options = EmbeddedOptions { segment_size: 64 * 1024, chunk_rows: 200, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(&path, &options, &mut |_, _| {}).unwrap();
    let held = history.compare(&store, acknowledged).unwrap_or_else(|lost| panic!("seed {seed}: {lost}"));
    history.rewind(held);
    store.commit(&history.next()).unwrap();
    store.close().unwrap();
}

#[test]
fn kill_9_loses_nothing_acknowledged() {
    let runs = runs(5);
    (0..runs).for_each(|run| kill(3000 + run as u64));
    println!("{runs} kills survived");
}
