//! Damage, full disks, foreign folders: everything is reported with its place, nothing is skipped, and the log lives.

// Helpers of tests panic by design.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod store_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyperemitter::error::Error;
use hyperemitter::store::conformance::Random;
use hyperemitter::store::embedded::disk::Disk;
use hyperemitter::store::embedded::{EmbeddedOptions, EmbeddedStore};
use hyperemitter::store::{Commit, Position, ReadLimit, Store};
use store_support::disk::FaultDisk;
use store_support::history::History;
use tempfile::TempDir;

fn folder() -> PathBuf {
    PathBuf::from("/store")
}

fn options(disk: impl Disk + 'static) -> EmbeddedOptions {
    EmbeddedOptions { segment_size: 16 * 1024, chunk_rows: 100, disk: Arc::new(disk) }
}

fn open(disk: &FaultDisk) -> Result<EmbeddedStore, Error> {
    EmbeddedStore::open(&folder(), &options(disk.clone()), &mut |_, _| {})
}

/// A store of several segments, closed or not, and its history.
fn written(index: &Path, commits: usize, close: bool) -> (FaultDisk, History) {
    let disk = FaultDisk::new(index);
    let mut history = History::new(77, 8);
    let store = open(&disk).unwrap();
    for _ in 0..commits {
        store.commit(&history.next()).unwrap();
    }
    if !close {
        disk.cut(store_support::disk::Point::Write);
    }
    drop(store);
    (disk, history)
}

/// Opens, reads and checks all: the first error, or how many rows came back.
fn examine(disk: &FaultDisk) -> Result<usize, Error> {
    let store = open(disk)?;
    let (mut after, mut rows) = (Position::START, 0);
    loop {
        let part = store.read(after, ReadLimit { rows: 500, bytes: 1 << 20 })?;
        let Some(last) = part.last() else { break };
        (after, rows) = (last.at, rows + part.len());
    }
    store.check(&mut |_, _| {})?;
    Ok(rows)
}

fn segments(disk: &FaultDisk) -> Vec<PathBuf> {
    disk.paths().into_iter().filter(|path| path.to_string_lossy().contains("segment-")).collect()
}

/// Expects damage that names `file`.
fn assert_damaged(found: Result<usize, Error>, file: &Path, what: &str) {
    match found {
        Err(Error::Damaged { place, .. }) => {
            assert!(place.contains(&*file.to_string_lossy()), "{what}: {place} does not name {}", file.display());
        }
        other => panic!("{what} in {}: {other:?}", file.display()),
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found_and_named() {
    for index_survives in [true, false] {
        let real = TempDir::new().unwrap();
        let index = real.path().join("index");
        let (disk, _) = written(&index, 120, true);
        let files = segments(&disk);
        assert!(files.len() >= 3, "{} segments", files.len());
        let mut random = Random(9);
        for (number, file) in files.iter().enumerate() {
            let good = disk.content(file);
            // Header, first group, somewhere, the end.
            let mut places: Vec<usize> =
                vec![0, 9, 13, 17, 33, 45, 61, 64, 65, 69, 80, good.len() - 1, good.len() - 12];
            places.extend((0..12).map(|_| random.below(good.len())));
            for place in places {
                disk.spoil(file, |bytes| bytes[place] ^= 1 << random.below(8));
                if !index_survives {
                    let _ = fs::remove_dir_all(&index);
                }
                let found = examine(&disk);
                let last_group = number == files.len() - 1 && place >= good.len() - 20;
                if last_group && !index_survives {
                    // The mark of a clean close is itself the last group: without it and the index it is as if the
                    // process had been killed. Nothing else is in it.
                    assert!(found.is_ok(), "{found:?}");
                } else {
                    // Damage to a header may show as the previous segment's missing end.
                    let named = if place < 64 { file.parent().unwrap() } else { file };
                    assert_damaged(found, named, &format!("byte {place} of {}", good.len()));
                }
                disk.spoil(file, |bytes| *bytes = good.clone());
                let _ = fs::remove_file(folder().join("rebuild-index"));
                disk.remove_file(&folder().join("rebuild-index"));
            }
        }
        examine(&disk).unwrap();
    }
}

#[test]
fn missing_cut_swapped_and_zeroed_files_are_named() {
    let real = TempDir::new().unwrap();
    let (disk, history) = written(&real.path().join("index"), 120, true);
    let files = segments(&disk);
    let all = history.rows();
    for (number, file) in files.iter().enumerate() {
        let good = disk.content(file);
        for len in [0, 63, 64, good.len() / 2, good.len() - 1] {
            disk.spoil(file, |bytes| bytes.truncate(len));
            assert_damaged(examine(&disk), file, &format!("cut to {len}"));
        }
        let other = disk.content(&files[(number + 1) % files.len()]);
        disk.spoil(file, |bytes| *bytes = other);
        assert_damaged(examine(&disk), file.parent().unwrap(), "another segment in its place");
        disk.spoil(file, |bytes| {
            *bytes = good.clone();
            bytes[1024..1536].fill(0);
        });
        assert_damaged(examine(&disk), file, "a sector of zeros");
        disk.spoil(file, |bytes| *bytes = good.clone());
    }
    assert_eq!(examine(&disk).unwrap(), all);
    disk.remove_file(&files[1]);
    assert_damaged(examine(&disk), &files[1], "a missing segment");
}

#[test]
fn damage_before_the_end_of_a_killed_store_is_no_unacknowledged_tail() {
    for seed in 0..10 {
        let real = TempDir::new().unwrap();
        let (disk, _) = written(&real.path().join("index"), 40, false);
        // All of it was synced: power fails after the fact.
        let disk = disk.after_power_cut(&real.path().join("index"), &mut Random(seed));
        let file = segments(&disk).pop().unwrap();
        let good = disk.content(&file);
        let data = good.iter().rposition(|byte| *byte != 0).unwrap();
        disk.spoil(&file, |bytes| bytes[64 + Random(seed).below((data - 64) / 2)] ^= 0x20);
        assert_damaged(examine(&disk), &file, "a flipped bit in the first half");
    }
}

#[test]
fn a_torn_last_commit_is_cut_off_and_reported() {
    let real = TempDir::new().unwrap();
    let disk = FaultDisk::new(&real.path().join("index"));
    let mut history = History::new(77, 8);
    let one_segment = EmbeddedOptions { segment_size: 1 << 30, ..options(disk.clone()) };
    let store = EmbeddedStore::open(&folder(), &one_segment, &mut |_, _| {}).unwrap();
    for _ in 0..20 {
        store.commit(&history.next()).unwrap();
    }
    // Not the last byte that is not 0: one group in 256 ends with a 0.
    let end = usize::try_from(store.sizes().unwrap().data).unwrap();
    disk.cut(store_support::disk::Point::Write);
    drop(store);
    let disk = disk.after_power_cut(&real.path().join("index"), &mut Random(0));
    let file = segments(&disk).pop().unwrap();
    // A group that never got its second half.
    disk.spoil(&file, |bytes| bytes[end..end + 9].copy_from_slice(&[0xC7, 200, 0, 0, 0, 1, 2, 3, 4]));
    let store = open(&disk).unwrap();
    let cut = store.opening().cut.clone().unwrap();
    assert_eq!((&cut.file, cut.offset, cut.bytes), (&file, end as u64, 9));
    history.compare(&store, 20).unwrap();
    drop(store);
    assert_eq!(open(&disk).unwrap().opening().cut, None);
}

#[test]
fn a_damaged_index_is_made_anew() {
    let real = TempDir::new().unwrap();
    let index = real.path().join("index");
    let (disk, mut history) = written(&index, 120, true);
    let spoil: [&dyn Fn(); 7] = [
        &|| fs::remove_dir_all(&index).unwrap(),
        &|| fs::write(index.join("db"), vec![0xAB; 70_000]).unwrap(),
        &|| fs::write(index.join("db"), b"").unwrap(),
        &|| fs::remove_file(index.join("db")).unwrap(),
        &|| fs::write(index.join("conf"), b"garbage").unwrap(),
        &|| {
            fs::remove_dir_all(&index).unwrap();
            fs::write(&index, b"a file").unwrap();
        },
        &|| {
            let mut bytes = fs::read(index.join("db")).unwrap();
            bytes.iter_mut().skip(700).step_by(97).for_each(|byte| *byte ^= 0xFF);
            fs::write(index.join("db"), bytes).unwrap();
        },
    ];
    for (number, (spoil, commits)) in spoil.iter().zip(120..).enumerate() {
        spoil();
        let store = open(&disk).unwrap_or_else(|error| panic!("variant {number}: {error}"));
        history.compare(&store, commits).unwrap_or_else(|wrong| panic!("variant {number}: {wrong}"));
        store.commit(&history.next()).unwrap();
    }
}

#[test]
fn the_index_of_another_store_is_not_used() {
    let real = TempDir::new().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| real.path().join(name));
    let (_, _) = written(&theirs, 80, true);
    let (disk, history) = written(&ours, 120, true);
    fs::remove_dir_all(&ours).unwrap();
    fs::rename(&theirs, &ours).unwrap();
    let store = open(&disk).unwrap();
    assert!(store.opening().rebuilt.is_some());
    history.compare(&store, 120).unwrap();
}

#[test]
fn a_full_disk_is_a_clear_error_and_the_log_lives_on() {
    for free in [0, 10, 300, 3000] {
        let real = TempDir::new().unwrap();
        let index = real.path().join("index");
        let (disk, mut history) = written(&index, 30, true);
        let store = open(&disk).unwrap();
        disk.set_free(Some(free));
        let mut commits = 30;
        let error = loop {
            match store.commit(&history.next()) {
                Ok(()) => commits += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.code(), "ERR_HYPER_STORAGE");
        assert!(error.to_string().contains("segment-"), "{error}");
        disk.set_free(None);
        assert_eq!(store.commit(&Commit::default()).unwrap_err().code(), "ERR_HYPER_STORAGE", "final until reopened");
        assert_eq!(store.read(Position::START, ReadLimit { rows: 1, bytes: 1 }).unwrap().len(), 1, "reading goes on");
        drop(store);
        let store = open(&disk).unwrap();
        let held = history.compare(&store, commits).unwrap();
        history.rewind(held);
        store.commit(&history.next()).unwrap();
        history.compare(&store, held + 1).unwrap();
    }
}

/// Breaks a commit with `set`; writes are then refused with this code until the store is opened again, and nothing that was
/// acknowledged is lost.
fn is_final(set: fn(&FaultDisk, bool), code: &str) {
    let real = TempDir::new().unwrap();
    let (disk, mut history) = written(&real.path().join("index"), 30, true);
    let store = open(&disk).unwrap();
    set(&disk, true);
    let failed = history.next();
    assert_eq!(store.commit(&failed).unwrap_err().code(), code);
    set(&disk, false);
    let writes = disk.writes();
    assert_eq!(store.commit(&failed).unwrap_err().code(), code);
    store.close().unwrap();
    assert_eq!(disk.writes(), writes, "nothing is written after a failure");
    let store = open(&disk).unwrap();
    let held = history.compare(&store, 30).unwrap();
    history.rewind(held);
    store.commit(&history.next()).unwrap();
}

#[test]
fn a_failed_fdatasync_is_final_until_the_store_is_opened_again() {
    is_final(FaultDisk::set_sync_fails, "ERR_HYPER_STORAGE");
}

#[test]
fn a_panic_within_a_commit_is_final_until_the_store_is_opened_again() {
    is_final(FaultDisk::set_sync_panics, "ERR_HYPER_INTERNAL");
}

#[test]
fn folders_that_hold_other_things_are_left_alone() {
    let real = TempDir::new().unwrap();
    let open = |path: &Path| EmbeddedStore::open(path, &EmbeddedOptions::default(), &mut |_, _| {}).err().unwrap();
    let level = real.path().join("level");
    fs::create_dir(&level).unwrap();
    for name in ["CURRENT", "LOCK", "LOG", "MANIFEST-000002", "000003.log"] {
        fs::write(level.join(name), b"").unwrap();
    }
    let error = open(&level);
    assert_eq!(error.code(), "ERR_HYPER_NOT_A_STORE");
    assert!(error.to_string().contains("LevelDB"), "{error}");
    let other = real.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("photo.jpg"), b"...").unwrap();
    assert_eq!(open(&other).code(), "ERR_HYPER_NOT_A_STORE");
    assert_eq!(open(&other.join("photo.jpg")).code(), "ERR_HYPER_NOT_A_STORE");
    assert!(open(&other.join("photo.jpg/deeper")).code().starts_with("ERR_HYPER_"));
    assert_eq!(fs::read_dir(&level).unwrap().count(), 5, "nothing was written there");
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1, "nothing was written there");
}

#[test]
fn a_store_of_a_later_format_is_refused_by_name() {
    let real = TempDir::new().unwrap();
    let (disk, _) = written(&real.path().join("index"), 5, true);
    disk.spoil(&segments(&disk)[0], |bytes| {
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    });
    let error = open(&disk).err().unwrap();
    assert!(error.to_string().contains("format 2"), "{error}");
}

#[test]
fn one_store_is_open_once() {
    let real = TempDir::new().unwrap();
    let path = real.path().join("a/b/store");
    let options = EmbeddedOptions::default();
    let first = EmbeddedStore::open(&path, &options, &mut |_, _| {}).unwrap();
    let second = EmbeddedStore::open(&path, &options, &mut |_, _| {}).err().unwrap();
    assert_eq!(second.code(), "ERR_HYPER_LOCKED");
    first.close().unwrap();
    EmbeddedStore::open(&path, &options, &mut |_, _| {}).unwrap();
}
