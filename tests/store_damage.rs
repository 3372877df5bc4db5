//! Damage, full disks, foreign folders: everything is reported with its location, nothing is skipped, and the log survives.

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
use std::sync::atomic::Ordering;
use std::sync::Arc;

use hyperemitter::error::Error;
use hyperemitter::store::conformance::Random;
use hyperemitter::store::embedded::disk::Disk;
use hyperemitter::store::embedded::{EmbeddedOptions, EmbeddedStore};
use hyperemitter::store::{Commit, Position, ReadLimit, Store};
#[cfg(unix)]
use rustix::io::Errno;
use store_support::counted::Counted;
use store_support::disk::{Call, FaultDisk};
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

/// Opens, reads and checks everything. Returns the first error, or the number of rows.
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
        Err(Error::Damaged { location: place, .. }) => {
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
fn a_full_disk_refuses_commits_until_there_is_room() {
    for free in [0, 10, 300, 3000] {
        let real = TempDir::new().unwrap();
        let index = real.path().join("index");
        let (disk, mut history) = written(&index, 30, true);
        let store = open(&disk).unwrap();
        disk.set_free(Some(free));
        let mut commits = 30;
        let (refused, error) = loop {
            let commit = history.next();
            match store.commit(&commit) {
                Ok(()) => commits += 1,
                Err(error) => break (commit, error),
            }
        };
        assert_eq!(error.code(), "ERR_HYPER_NO_SPACE");
        assert!(error.to_string().contains("segment-"), "{error}");
        assert_eq!(store.read(Position::START, ReadLimit { rows: 1, bytes: 1 }).unwrap().len(), 1, "reading goes on");
        assert_eq!(store.commit(&refused).unwrap_err().code(), "ERR_HYPER_NO_SPACE");
        disk.set_free(None);
        store.commit(&refused).unwrap();
        history.compare(&store, commits + 1).unwrap();
        drop(store);
        history.compare(&open(&disk).unwrap(), commits + 1).unwrap();
    }
}

/// Temporary errors, and their codes.
#[cfg(unix)]
const PASSING: [(Errno, &str); 7] = [
    (Errno::NOSPC, "ERR_HYPER_NO_SPACE"),
    (Errno::DQUOT, "ERR_HYPER_NO_SPACE"),
    (Errno::MFILE, "ERR_HYPER_NO_DESCRIPTORS"),
    (Errno::NFILE, "ERR_HYPER_NO_DESCRIPTORS"),
    (Errno::NOMEM, "ERR_HYPER_NO_MEMORY"),
    (Errno::INTR, "ERR_HYPER_STORAGE"),
    (Errno::AGAIN, "ERR_HYPER_STORAGE"),
];

/// Commits until a call is refused. Returns the refused commit, its error, and how many were stored.
fn until_refused(store: &EmbeddedStore, history: &mut History, mut stored: usize) -> (Commit, Error, usize) {
    for _ in 0..1000 {
        let commit = history.next();
        match store.commit(&commit) {
            Ok(()) => stored += 1,
            Err(error) => return (commit, error, stored),
        }
    }
    panic!("nothing was refused");
}

#[cfg(unix)]
#[test]
fn what_passes_refuses_only_the_commits_it_meets() {
    for (errno, code) in PASSING {
        // The calls of a new segment are all within one commit.
        for call in [Call::Write, Call::Create, Call::Rename, Call::SyncDir, Call::Look] {
            let real = TempDir::new().unwrap();
            let (disk, mut history) = written(&real.path().join("index"), 30, true);
            let store = open(&disk).unwrap();
            disk.refuse(call, 1, errno.raw_os_error());
            let (refused, error, stored) = until_refused(&store, &mut history, 30);
            let what = format!("{errno:?} at {call:?}");
            assert_eq!(error.code(), code, "{what}");
            assert!(error.is_transient(), "{what}");
            assert_eq!(store.commit(&refused).unwrap_err().code(), code, "{what}: as long as it lasts");
            disk.allow();
            store.commit(&refused).unwrap_or_else(|error| panic!("{what} has passed: {error}"));
            history.compare(&store, stored + 1).unwrap();
            drop(store);
            let store = open(&disk).unwrap();
            assert_eq!(store.opening().cut, None, "{what}");
            history.compare(&store, stored + 1).unwrap();
        }
    }
}

#[cfg(unix)]
#[test]
fn what_was_refused_is_not_there_afterwards() {
    for (nth, call) in [(0, Call::Write), (3, Call::Write), (0, Call::Sync), (2, Call::Sync)] {
        for seed in 0..20 {
            let real = TempDir::new().unwrap();
            let index = real.path().join("index");
            let (disk, mut history) = written(&index, 30, true);
            let store = open(&disk).unwrap();
            disk.refuse(call, nth, Errno::NOSPC.raw_os_error());
            let (_, _, stored) = until_refused(&store, &mut history, 30);
            if call == Call::Write {
                // The refusal was durable before it was reported.
                disk.cut(store_support::disk::Point::Write);
            }
            disk.allow();
            drop(store);
            let disk = if call == Call::Write { disk.after_power_cut(&index, &mut Random(seed)) } else { disk };
            let held = history.compare(&open(&disk).unwrap(), stored).unwrap();
            assert_eq!(held, stored, "{call:?}, seed {seed}: the refused commit is there");
        }
    }
}

#[cfg(unix)]
#[test]
fn what_cannot_be_taken_back_is_final() {
    let real = TempDir::new().unwrap();
    let (disk, mut history) = written(&real.path().join("index"), 30, true);
    let store = open(&disk).unwrap();
    disk.set_free(Some(0));
    disk.refuse(Call::SetLen, 0, Errno::IO.raw_os_error());
    let refused = history.next();
    assert_eq!(store.commit(&refused).unwrap_err().code(), "ERR_HYPER_STORAGE");
    disk.set_free(None);
    disk.allow();
    assert_eq!(store.commit(&refused).unwrap_err().code(), "ERR_HYPER_STORAGE");
}

#[cfg(unix)]
#[test]
fn a_medium_that_is_gone_is_final() {
    for errno in [Errno::IO, Errno::NODEV, Errno::ROFS] {
        let real = TempDir::new().unwrap();
        let (disk, mut history) = written(&real.path().join("index"), 30, true);
        let store = open(&disk).unwrap();
        disk.refuse(Call::Write, 0, errno.raw_os_error());
        let (refused, error, _) = until_refused(&store, &mut history, 30);
        assert_eq!(error.code(), "ERR_HYPER_STORAGE");
        disk.allow();
        assert_eq!(store.commit(&refused).unwrap_err().code(), "ERR_HYPER_STORAGE", "{errno:?}");
    }
}

/// Set for the process that runs out of descriptors: the store's folder.
const CHILD: &str = "HYPER_DESCRIPTORS_CHILD";

/// Not a test of its own: it commits while no descriptor is left, and again when there are some.
#[cfg(unix)]
#[test]
fn child_without_descriptors() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let options = EmbeddedOptions { chunk_rows: 50, ..EmbeddedOptions::default() };
    let open = || EmbeddedStore::open(Path::new(&path), &options, &mut |_, _| {});
    let take = || std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect::<Vec<_>>();
    let store = open().unwrap();
    let mut history = History::new(5, 12);
    store.commit(&history.next()).unwrap();
    let held = take();
    let (refused, error, stored) = until_refused(&store, &mut history, 1);
    assert_eq!(error.code(), "ERR_HYPER_NO_DESCRIPTORS", "{error}");
    assert_eq!(store.commit(&refused).unwrap_err().code(), "ERR_HYPER_NO_DESCRIPTORS");
    drop(held);
    store.commit(&refused).unwrap();
    history.compare(&store, stored + 1).unwrap();
    store.close().unwrap();
    let held = take();
    assert_eq!(open().map(drop).unwrap_err().code(), "ERR_HYPER_NO_DESCRIPTORS");
    drop(held);
    let store = open().unwrap();
    assert!(store.opening().rebuilt.is_none(), "{:?}", store.opening());
    history.compare(&store, stored + 1).unwrap();
}

#[cfg(unix)]
#[test]
fn a_lack_of_descriptors_refuses_only_what_it_meets() {
    let real = TempDir::new().unwrap();
    let binary = std::env::current_exe().unwrap();
    let script = format!("ulimit -n 40; exec {binary:?} child_without_descriptors --exact --nocapture");
    let child = std::process::Command::new("sh").args(["-c", &script]).env(CHILD, real.path().join("store")).output();
    let child = child.unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
}

#[cfg(unix)]
#[test]
fn nothing_is_acknowledged_once_the_files_have_been_taken_away() {
    let take: [&dyn Fn(&Path); 4] = [
        &|path| fs::remove_dir_all(path).unwrap(),
        &|path| fs::rename(path, path.with_extension("moved")).unwrap(),
        &|path| fs::remove_file(path.join("hyperemitter.lock")).unwrap(),
        &|path| fs::remove_file(path.join("segment-0000000001")).unwrap(),
    ];
    for (number, take) in take.iter().enumerate() {
        let real = TempDir::new().unwrap();
        let path = real.path().join("store");
        let open = || EmbeddedStore::open(&path, &EmbeddedOptions::default(), &mut |_, _| {});
        let store = open().unwrap();
        let mut history = History::new(5, 12);
        store.commit(&history.next()).unwrap();
        take(&path);
        let refused = history.next();
        for _ in 0..2 {
            let error = store.commit(&refused).unwrap_err();
            assert_eq!(error.code(), "ERR_HYPER_STORAGE", "case {number}: {error}");
            assert!(error.to_string().contains("removed or replaced"), "{error}");
        }
        if number == 2 {
            // This process still has the folder open, whatever became of the lock.
            assert_eq!(open().map(drop).unwrap_err().code(), "ERR_HYPER_LOCKED");
            assert!(path.join("index/db").exists(), "the live index is left alone");
        }
        store.close().unwrap();
        if number < 3 {
            open().unwrap();
        }
    }
}

// Between fork and exec a child holds copies of its parent's files, and so of their locks.
#[cfg(unix)]
#[test]
fn a_store_opens_again_at_once_while_the_process_starts_others() {
    let real = TempDir::new().unwrap();
    let path = real.path().join("store");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    std::process::Command::new("true").status().unwrap();
                }
            });
        }
        let reopened = (0..40).try_for_each(|_| {
            let store = EmbeddedStore::open(&path, &EmbeddedOptions::default(), &mut |_, _| {})?;
            store.close()
        });
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        reopened.unwrap();
    });
}

#[cfg(unix)]
#[test]
fn the_index_of_a_store_that_is_open_elsewhere_is_left_alone() {
    let real = TempDir::new().unwrap();
    let path = real.path().join("store");
    let open = || EmbeddedStore::open(&path, &EmbeddedOptions::default(), &mut |_, _| {});
    open().unwrap().close().unwrap();
    // Another process holds the index, and its lock file was removed.
    let db = fs::File::open(path.join("index/db")).unwrap();
    rustix::fs::flock(&db, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_eq!(open().map(drop).unwrap_err().code(), "ERR_HYPER_LOCKED");
    drop(db);
    assert!(open().unwrap().opening().rebuilt.is_none());
}

/// Opens in a separate thread, so that an opening that never ends fails the test.
fn opens(path: &Path) -> Result<Option<String>, Error> {
    let (tell, told) = std::sync::mpsc::channel();
    let path = path.to_owned();
    std::thread::spawn(move || {
        let opened = EmbeddedStore::open(&path, &EmbeddedOptions::default(), &mut |_, _| {});
        let _ = tell.send(opened.map(|store| store.opening().rebuilt.clone()));
    });
    told.recv_timeout(std::time::Duration::from_secs(60)).expect("opening ends")
}

#[cfg(unix)]
#[test]
fn pipes_and_links_in_the_folder_end_opening_with_a_word() {
    let real = TempDir::new().unwrap();
    let outside = real.path().join("outside");
    let pipe = |path: &Path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    let link = |path: &Path| std::os::unix::fs::symlink(&outside, path).unwrap();
    let names = ["hyperemitter.lock", "segment-0000000001", "index/conf", "index/db", "index", "rebuild-index"];
    for name in names {
        for make in [&pipe as &dyn Fn(&Path), &link] {
            let path = real.path().join("store");
            EmbeddedStore::open(&path, &EmbeddedOptions::default(), &mut |_, _| {}).unwrap().close().unwrap();
            let place = path.join(name);
            if place.is_dir() {
                fs::remove_dir_all(&place).unwrap();
            } else {
                let _ = fs::remove_file(&place);
            }
            make(&place);
            match opens(&path) {
                // The index is made anew.
                Ok(rebuilt) => assert!(name.contains("index") && rebuilt.is_some(), "{name}: {rebuilt:?}"),
                Err(error) => assert!(error.to_string().contains("no regular file"), "{name}: {error}"),
            }
            assert!(!outside.exists(), "{name}: nothing is made outside of the folder");
            fs::remove_dir_all(&path).unwrap();
        }
    }
}

#[test]
fn holes_cost_no_reading() {
    for name in ["segment-0000000001", "index/db"] {
        let real = TempDir::new().unwrap();
        let path = real.path().join("store");
        let store = EmbeddedStore::open(&path, &EmbeddedOptions::default(), &mut |_, _| {}).unwrap();
        let mut history = History::new(5, 12);
        store.commit(&history.next()).unwrap();
        store.close().unwrap();
        // 1 TiB, all of it a hole.
        fs::OpenOptions::new().write(true).open(path.join(name)).unwrap().set_len(1 << 40).unwrap();
        opens(&path).unwrap();
        let store = EmbeddedStore::open(&path, &EmbeddedOptions::default(), &mut |_, _| {}).unwrap();
        history.compare(&store, 1).unwrap();
    }
}

/// Consecutive byte sequences, each like a group that was written long after the bytes before it were synced.
#[test]
fn bytes_that_look_like_groups_cost_no_more_than_others() {
    let real = TempDir::new().unwrap();
    let path = real.path().join("store");
    let store = EmbeddedStore::open(&path, &EmbeddedOptions::default(), &mut |_, _| {}).unwrap();
    let mut history = History::new(5, 12);
    store.commit(&history.next()).unwrap();
    store.close().unwrap();
    let segment = path.join("segment-0000000001");
    let mut bytes = fs::read(&segment).unwrap();
    let (good, size) = (bytes.len(), 256 << 10);
    while bytes.len() < good + size {
        let rest = u32::try_from(good + size - bytes.len()).unwrap_or(0);
        bytes.push(0xC7);
        bytes.extend_from_slice(&(rest.saturating_sub(64).max(1)).to_le_bytes());
        // Checksum, 1 byte not synced, a change far away.
        bytes.extend_from_slice(&[1, 2, 3, 4, 1, 0xFF, 0xFF, 0x7F, 0]);
    }
    fs::write(&segment, &bytes).unwrap();
    let disk = Counted::default();
    let options = EmbeddedOptions { disk: Arc::new(disk.clone()), ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(&path, &options, &mut |_, _| {}).unwrap();
    assert_eq!(store.opening().cut.as_ref().map(|cut| cut.offset), Some(good as u64));
    history.compare(&store, 1).unwrap();
    let read = disk.read.load(Ordering::Relaxed) as usize;
    // Two blocks for each of 18,724 that look like one, and a few times all.
    assert!(read < size / 14 * 1024 + 10 * size, "{read} bytes were read for {size}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_closed_store_keeps_no_descriptor() {
    let real = TempDir::new().unwrap();
    let path = fs::canonicalize(real.path()).unwrap().join("store");
    let open = EmbeddedOptions { segment_size: 4096, chunk_rows: 50, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(&path, &open, &mut |_, _| {}).unwrap();
    let mut history = History::new(5, 12);
    (0..40).for_each(|_| store.commit(&history.next()).unwrap());
    history.compare(&store, 40).unwrap();
    let descriptors = || {
        let links = fs::read_dir("/proc/self/fd").unwrap().flatten();
        links.filter(|link| fs::read_link(link.path()).is_ok_and(|to| to.starts_with(&path))).count()
    };
    assert!(descriptors() > 0);
    store.close().unwrap();
    assert_eq!(descriptors(), 0);
    assert_eq!(store.commit(&history.next()).unwrap_err().code(), "ERR_HYPER_CLOSED");
    assert_eq!(store.read(Position::START, ReadLimit { rows: 1, bytes: 1 }).unwrap_err().code(), "ERR_HYPER_CLOSED");
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

/// `tests/data/store-1` was written by the last version that wrote format 1, from the same history.
#[test]
fn a_store_of_format_1_is_read_and_goes_on() {
    let real = TempDir::new().unwrap();
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/store-1");
    for entry in fs::read_dir(old).unwrap().flatten() {
        fs::copy(entry.path(), real.path().join(entry.file_name())).unwrap();
    }
    fs::write(real.path().join("hyperemitter.lock"), b"").unwrap();
    let small = EmbeddedOptions { segment_size: 4096, chunk_rows: 50, ..EmbeddedOptions::default() };
    let open = || EmbeddedStore::open(real.path(), &small, &mut |_, _| {}).unwrap();
    let formats = || {
        let mut names: Vec<PathBuf> = fs::read_dir(real.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.retain(|path| path.to_string_lossy().contains("segment-"));
        names.sort();
        names.iter().map(|path| fs::read(path).unwrap()[8]).collect::<Vec<u8>>()
    };
    let mut history = History::new(41, 8);
    (0..25).for_each(|_| drop(history.next()));
    let store = open();
    assert_eq!(store.opening().cut, None);
    assert_eq!(formats(), [1, 1, 1]);
    history.compare(&store, 25).unwrap();
    (0..25).for_each(|_| store.commit(&history.next()).unwrap());
    history.compare(&store, 50).unwrap();
    drop(store);
    assert!(formats().starts_with(&[1, 1, 1, 2]), "{:?}", formats());
    history.compare(&open(), 50).unwrap();
    fs::remove_dir_all(real.path().join("index")).unwrap();
    history.compare(&open(), 50).unwrap();
}

#[test]
fn a_store_of_a_later_format_is_refused_by_name() {
    let real = TempDir::new().unwrap();
    let (disk, _) = written(&real.path().join("index"), 5, true);
    disk.spoil(&segments(&disk)[0], |bytes| {
        bytes[8] = 3;
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    });
    let error = open(&disk).err().unwrap();
    assert!(error.to_string().contains("format 3"), "{error}");
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
