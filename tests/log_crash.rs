//! Power cuts over batches, conditional appends and appends with ids.
//!
//! After each cut the log holds the first events of a plain model, up to the end of an append, and at least all acknowledged ones. So
//! no batch is stored in part, every condition holds for what was stored before it, and no id is used twice. The model and the log then
//! continue from there, so ids and tags that were used before the cut stay used.
//!
//! The short form is a few runs. `HYPER_CRASH_RUNS=200` makes it 200.

mod common;
mod store_support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use common::model::{random_query, Answers, Model, Plain};
use common::*;
use hyperemitter::hyperlog::verify::verify;
use hyperemitter::hyperlog::Log;
use hyperemitter::query::Filter;
use hyperemitter::store::conformance::Random;
use hyperemitter::store::embedded::{EmbeddedOptions, EmbeddedStore};
use hyperemitter::store::{Order, Position, Span};
use store_support::disk::{FaultDisk, Point};
use tempfile::TempDir;

/// Power cuts per run, one after the other on the same log.
const CUTS: usize = 3;

/// Appends after which power may fail.
const APPENDS: usize = 150;

/// Appends after which power has failed in any case.
const PATIENCE: usize = 5000;

/// Most events in flight.
const IN_FLIGHT: usize = 64;

const POINTS: [Point; 5] = [Point::Write, Point::Sync, Point::Segment, Point::Rename, Point::Index];

fn runs(short: usize) -> usize {
    std::env::var("HYPER_CRASH_RUNS").map_or(short, |runs| runs.parse().expect("HYPER_CRASH_RUNS is a number"))
}

fn open_store(disk: &FaultDisk) -> Result<EmbeddedStore, String> {
    // Small enough that a run crosses many segments and chunks.
    let options = EmbeddedOptions { segment_size: 24 * 1024, chunk_rows: 40, disk: Arc::new(disk.clone()) };
    EmbeddedStore::open(Path::new("/store"), &options, &mut |_, _| {}).map_err(|error| error.to_string())
}

/// Takes the answers. Returns the last change that was acknowledged, and whether power has failed.
fn take_answers(heard: &Recorder, expected: &mut Answers) -> Result<(u64, bool), String> {
    heard.wait_for(expected.len());
    let (mut acknowledged, mut failed) = (0, false);
    for (told, wanted) in heard.take().into_iter().zip(expected.drain(..)) {
        failed |= told == Err("ERR_HYPER_STORAGE");
        // Once a commit has failed, conditions and ids are checked without its events.
        if told != wanted && (told.is_ok() || !failed) {
            return Err(format!("an event was answered with {told:?}, not {wanted:?}"));
        }
        acknowledged = acknowledged.max(told.unwrap_or(0));
    }
    Ok((acknowledged, failed))
}

/// Compares an opened log with the model, of which `acknowledged` events must be there, and forgets what was lost.
fn compare(log: &Log, model: &mut Model, acknowledged: u64, random: &mut Random) -> Result<(), String> {
    let rows = log.read(Position::START, ALL).map_err(|error| error.to_string())?;
    let stored: Vec<_> = rows.iter().map(Plain::of).collect();
    let held = stored.len();
    if (held as u64) < acknowledged {
        return Err(format!("{held} events are left, {acknowledged} were acknowledged"));
    }
    if model.events.get(..held) != Some(&stored[..]) {
        return Err("what is stored is not what was appended".to_owned());
    }
    model.rewind(held)?;
    verify(log.store().as_ref(), &mut |_, _| {}).map_err(|error| error.to_string())?;
    for _ in 0..10 {
        let query = random_query(random);
        let (mut found, mut rest) = (Vec::new(), Span::ALL);
        loop {
            let step =
                log.search(&Filter::of(query.clone()), rest, Order::Up, ALL).map_err(|error| error.to_string())?;
            found.extend(step.rows.iter().map(|row| row.at.change));
            if step.done {
                break;
            }
            rest = step.rest;
        }
        let wanted: Vec<_> = model.find(&query, 0, u64::MAX).collect();
        if found != wanted {
            return Err(format!("{query:?} finds {found:?}, not {wanted:?}"));
        }
    }
    Ok(())
}

/// Appends until power fails. Returns the last change that was acknowledged.
fn append(
    log: &Log,
    heard: &Recorder,
    disk: &FaultDisk,
    model: &mut Model,
    point: Point,
    random: &mut Random,
) -> Result<u64, String> {
    let (mut acknowledged, mut expected) = (0, Answers::new());
    for appends in 0..PATIENCE {
        if appends == APPENDS {
            disk.arm(point, random.below(20) as u32, random.draw());
        }
        let (batch, answers) = model.append(random);
        log.append(batch);
        expected.extend(answers);
        if appends > APPENDS && point == Point::Index && random.once_in(30) {
            // The indexer runs behind the commits; this moment is any moment of its work.
            disk.cut(Point::Index);
        }
        if expected.len() > IN_FLIGHT || random.once_in(8) {
            let (latest, failed) = take_answers(heard, &mut expected)?;
            acknowledged = acknowledged.max(latest);
            if failed {
                return Ok(acknowledged);
            }
        }
    }
    Err(format!("power never failed at {point:?}"))
}

/// Lets power fail several times, and checks what is left each time. Returns where it failed. The index is behind then, or gone;
/// `store_crash.rs` damages it, too.
fn power_cuts(seed: u64, point: Point, lies: bool) -> Result<Vec<Point>, String> {
    let real = TempDir::new().unwrap();
    let index = real.path().join("index");
    let (mut random, mut model) = (Random(seed), Model::default());
    let (mut acknowledged, mut struck) = (0, Vec::new());
    let mut disk = if lies { FaultDisk::lying(&index) } else { FaultDisk::new(&index) };
    for cut in 0..=CUTS {
        let (log, heard) = open(Arc::new(open_store(&disk)?));
        compare(&log, &mut model, acknowledged, &mut random)?;
        if cut == CUTS {
            break;
        }
        let writer = log.clone();
        let writer = std::thread::spawn(move || writer.run());
        let latest = append(&log, &heard, &disk, &mut model, point, &mut random);
        log.close();
        writer.join().unwrap();
        acknowledged = acknowledged.max(latest?);
        drop(log);
        if random.once_in(2) {
            std::fs::remove_dir_all(&index).unwrap();
        }
        struck.extend(disk.cut_at());
        disk = disk.after_power_cut(&index, &mut random);
    }
    Ok(struck)
}

#[test]
fn a_power_cut_leaves_whole_batches_true_conditions_and_ids_used_once() {
    let mut counters: BTreeMap<Point, usize> = BTreeMap::new();
    for run in 0..runs(10) {
        let (seed, point) = (5000 + run as u64, POINTS[run % POINTS.len()]);
        match power_cuts(seed, point, false) {
            Ok(struck) => struck.into_iter().for_each(|at| *counters.entry(at).or_default() += 1),
            Err(lost) => panic!("seed {seed}, cut at {point:?}: {lost}"),
        }
    }
    println!("power cuts survived, by what they struck: {counters:?}");
    assert_eq!(counters.len(), POINTS.len(), "{counters:?}");
}

/// The proof that the test above can fail: the same, with an fdatasync that does nothing.
#[test]
fn without_fdatasync_the_same_test_finds_losses() {
    let lost = (0..6).filter(|run| power_cuts(6000 + run, POINTS[*run as usize % 2], true).is_err()).count();
    println!("{lost} of 6 runs lost acknowledged events");
    assert!(lost >= 3, "only {lost} of 6 runs were noticed");
}
