//! Backups of a store in use, and stores made of them: whole up to one commit, whatever happens on the way.

// Helpers of tests panic by design.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod store_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use hyperemitter::error::Error;
use hyperemitter::node::LogId;
use hyperemitter::store::conformance::Random;
use hyperemitter::store::embedded::disk::{Disk, OsDisk};
use hyperemitter::store::embedded::{restore, EmbeddedOptions, EmbeddedStore};
use hyperemitter::store::{BackedUp, Commit, Meta, Restored, Store};
use store_support::disk::{FaultDisk, Point};
use store_support::history::History;
use tempfile::TempDir;

fn options(disk: impl Disk + 'static) -> EmbeddedOptions {
    EmbeddedOptions { segment_size: 16 * 1024, chunk_rows: 100, disk: Arc::new(disk) }
}

fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, &options(OsDisk), &mut |_, _| {}).unwrap()
}

fn back_up(store: &EmbeddedStore, path: &Path) -> Result<BackedUp, Error> {
    store.backup(path, false, &mut |_, _| {})
}

/// The log in which every restored store of these tests goes on.
fn next_log(before: Option<&str>) -> Result<LogId, Error> {
    Ok(format!("after-{}", before.unwrap_or("none")).into())
}

fn restored(disk: impl Disk + 'static, backup: &Path, path: &Path) -> Result<Restored, Error> {
    restore(backup, path, &options(disk), &next_log, &mut |_, _| {})
}

/// A store of several segments with a log of its own, and its history.
fn written(path: &Path, commits: usize) -> (EmbeddedStore, History) {
    let store = open(path);
    let own = Commit { meta: vec![(Meta::LogId, Some("own".into()))], ..Commit::default() };
    store.commit(&own).unwrap();
    let mut history = History::of_events(21, 8);
    for _ in 0..commits {
        store.commit(&history.next()).unwrap();
    }
    (store, history)
}

/// How many commits a store holds: all of each of them, and nothing else.
fn commits_in(history: &History, store: &EmbeddedStore) -> usize {
    let held = history.compare(store, 0).unwrap_or_else(|why| {
        let (count, _) = why.split_once(" commits, ").unwrap_or_else(|| panic!("{why}"));
        count.parse().unwrap()
    });
    assert_eq!(history.compare(store, held), Ok(held));
    held
}

fn segments(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "segment"));
    found.sort();
    found
}

#[test]
fn a_backup_becomes_a_store_with_the_same_events_and_facts_and_a_log_of_its_own() {
    let folder = TempDir::new().unwrap();
    let (backup, copy) = (folder.path().join("backup"), folder.path().join("copy"));
    let (store, mut history) = written(&folder.path().join("db"), 100);
    let made = back_up(&store, &backup).unwrap();
    assert_eq!((made.change, made.added), (store.state().unwrap().end.change, made.bytes));
    let found = restored(OsDisk, &backup, &copy).unwrap();
    assert_eq!((found.change, found.digest, &*found.log), (made.change, made.digest, "after-own"));
    let again = open(&copy);
    assert_eq!(history.compare(&again, 100), Ok(100));
    assert_eq!(again.meta(&Meta::LogId).unwrap().as_deref(), Some(&b"after-own"[..]));
    // It goes on, and so does the original.
    let commit = history.next();
    again.commit(&commit).unwrap();
    store.commit(&commit).unwrap();
    assert_eq!(history.compare(&again, 101), Ok(101));
    assert_eq!(history.compare(&store, 101), Ok(101));
    drop(again);
    assert_eq!(history.compare(&open(&copy), 101), Ok(101));
    // Another backup is made of the copy, in the folder of the first one.
    back_up(&open(&copy), &backup).unwrap();
    let error = back_up(&store, &backup).unwrap_err();
    assert!(error.to_string().contains("another history of this store"), "{error}");
}

#[test]
fn a_reader_beside_the_writer_makes_the_same_backup() {
    let folder = TempDir::new().unwrap();
    let (store, history) = written(&folder.path().join("db"), 60);
    let reader = EmbeddedStore::open_read_only(&folder.path().join("db"), &options(OsDisk), &mut |_, _| {}).unwrap();
    let [of_reader, of_writer] = [&reader, &store].map(|store| {
        let path = folder.path().join(if store.is_read_only() { "one" } else { "two" });
        (back_up(store, &path).unwrap(), path)
    });
    assert_eq!(of_reader.0, of_writer.0);
    restored(OsDisk, &of_reader.1, &folder.path().join("copy")).unwrap();
    assert_eq!(history.compare(&open(&folder.path().join("copy")), 60), Ok(60));
}

#[test]
fn a_second_run_adds_only_what_is_new_and_links_what_is_complete() {
    let folder = TempDir::new().unwrap();
    let (db, backup, copy) = (folder.path().join("db"), folder.path().join("backup"), folder.path().join("copied"));
    let (store, mut history) = written(&db, 150);
    let first = back_up(&store, &backup).unwrap();
    let times = |paths: &[PathBuf]| {
        paths.iter().map(|path| fs::metadata(path).unwrap().modified().unwrap()).collect::<Vec<_>>()
    };
    let complete = segments(&backup).len() - 1;
    let before = times(&segments(&backup)[..complete]);
    let commit = history.next();
    store.commit(&commit).unwrap();
    let second = back_up(&store, &backup).unwrap();
    assert!(second.added < 20 * 1024 && second.added < first.added, "{second:?}");
    assert_eq!(times(&segments(&backup)[..complete]), before);
    restored(OsDisk, &backup, &folder.path().join("restored")).unwrap();
    assert_eq!(history.compare(&open(&folder.path().join("restored")), 151), Ok(151));
    let copied = store.backup(&copy, true, &mut |_, _| {}).unwrap();
    assert_eq!((copied.bytes, copied.digest), (second.bytes, second.digest));
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let links =
            |path: &Path| segments(path).iter().map(|path| fs::metadata(path).unwrap().nlink()).collect::<Vec<_>>();
        let linked = links(&backup);
        assert!(linked[..complete].iter().all(|links| *links == 2), "{linked:?}");
        assert_eq!(linked.last(), Some(&1), "the newest segment is still written");
        assert!(links(&copy).iter().all(|links| *links == 1));
    }
}

#[test]
fn backups_under_load_are_whole_up_to_one_commit() {
    let folder = TempDir::new().unwrap();
    let (store, mut history) = written(&folder.path().join("db"), 20);
    let stop = AtomicBool::new(false);
    let made = std::thread::scope(|scope| {
        let backups = scope.spawn(|| {
            let made: Vec<_> = (0..6_u8)
                .map(|run| {
                    let backup = folder.path().join(format!("backup-{}", run % 2));
                    let made = back_up(&store, &backup).unwrap();
                    let copy = folder.path().join(format!("copy-{run}"));
                    let found = restored(OsDisk, &backup, &copy).unwrap();
                    assert_eq!((found.change, found.digest), (made.change, made.digest));
                    copy
                })
                .collect();
            stop.store(true, Ordering::SeqCst);
            made
        });
        // On a slow machine the log must not grow without end while it is copied.
        for _ in 0..500 {
            if !stop.load(Ordering::SeqCst) {
                store.commit(&history.next()).unwrap();
            }
        }
        backups.join().unwrap()
    });
    let held: Vec<usize> = made.iter().map(|copy| commits_in(&history, &open(copy))).collect();
    assert!(held.is_sorted() && held[0] >= 20, "{held:?}");
}

#[test]
fn power_cuts_leave_the_last_whole_backup_or_the_new_one() {
    let (real, mut outcomes) = (TempDir::new().unwrap(), [0; 3]);
    let runs = std::env::var("HYPER_CRASH_RUNS").map_or(24, |runs| runs.parse().unwrap());
    for run in 0..runs {
        let point = [Point::Write, Point::Sync, Point::Segment, Point::Rename][run % 4];
        let mut random = Random(run as u64);
        let disk = FaultDisk::new(&real.path().join(format!("index-{run}")));
        let mut history = History::new(run as u64, 8);
        let store = EmbeddedStore::open(Path::new("/db"), &options(disk.clone()), &mut |_, _| {}).unwrap();
        let mut write = |commits: usize| {
            for _ in 0..commits {
                store.commit(&history.next()).unwrap();
            }
        };
        write(30);
        // In some runs it is the first backup that is cut short.
        let first = (run % 3 > 0).then(|| back_up(&store, Path::new("/backup")).unwrap());
        write(60);
        let wanted = store.state().unwrap().end.change;
        disk.arm(point, random.below(12) as u32, run as u64);
        let second = back_up(&store, Path::new("/backup"));
        disk.cut(point);
        drop(store);
        let after = disk.after_power_cut(&real.path().join(format!("after-{run}")), &mut random);
        let found = restored(after.clone(), Path::new("/backup"), Path::new("/copy"));
        match (&found, &first) {
            (Ok(found), _) if found.change == wanted => outcomes[2] += 1,
            (Ok(found), Some(first)) if second.is_err() => {
                assert_eq!((found.change, found.digest), (first.change, first.digest));
                outcomes[1] += 1;
            }
            (Err(error), None) if second.is_err() => {
                assert_eq!(error.code(), "ERR_HYPER_STORAGE", "run {run}: {error}");
                outcomes[0] += 1;
            }
            _ => panic!("run {run} ({point:?}): {found:?} after {first:?} and {second:?}"),
        }
        if found.is_ok() {
            let copy = EmbeddedStore::open(Path::new("/copy"), &options(after), &mut |_, _| {}).unwrap();
            assert!([30, 90].contains(&commits_in(&history, &copy)));
        }
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

#[test]
fn a_restore_that_is_cut_short_leaves_no_store_and_can_be_repeated() {
    let (real, mut unfinished) = (TempDir::new().unwrap(), 0);
    for run in 0..24 {
        let point = [Point::Write, Point::Sync, Point::Segment, Point::Rename][run % 4];
        let mut random = Random(run as u64);
        let index = |name: &str| real.path().join(format!("{name}-{run}"));
        let disk = FaultDisk::new(&index("first"));
        let mut history = History::new(run as u64, 8);
        {
            let store = EmbeddedStore::open(Path::new("/db"), &options(disk.clone()), &mut |_, _| {}).unwrap();
            for _ in 0..60 {
                store.commit(&history.next()).unwrap();
            }
            back_up(&store, Path::new("/backup")).unwrap();
        }
        let disk = {
            disk.cut(Point::Write);
            disk.after_power_cut(&index("second"), &mut random)
        };
        disk.arm(point, random.below(8) as u32, run as u64);
        let _ = restored(disk.clone(), Path::new("/backup"), Path::new("/copy"));
        disk.cut(point);
        let after = disk.after_power_cut(&index("third"), &mut random);
        let open = || EmbeddedStore::open(Path::new("/copy"), &options(after.clone()), &mut |_, _| {});
        if after.paths().contains(&PathBuf::from("/copy/segment-0000000001")) {
            let store = open().unwrap();
            assert_eq!(history.compare(&store, 60), Ok(60));
            assert_eq!(store.meta(&Meta::LogId).unwrap().as_deref(), Some(&b"after-none"[..]));
            continue;
        }
        if after.paths().iter().any(|path| path.starts_with("/copy")) {
            let code = open().map(drop).unwrap_err().code();
            assert!(["ERR_HYPER_DAMAGED", "ERR_HYPER_NOT_A_STORE"].contains(&code), "run {run}: {code}");
            unfinished += 1;
        }
        restored(after.clone(), Path::new("/backup"), Path::new("/copy")).unwrap();
        assert_eq!(history.compare(&open().unwrap(), 60), Ok(60));
    }
    assert!(unfinished > 3, "{unfinished}");
}

#[test]
fn a_full_disk_spoils_neither_the_store_nor_the_last_backup() {
    let real = TempDir::new().unwrap();
    let disk = FaultDisk::new(&real.path().join("index"));
    let mut history = History::new(8, 8);
    let store = EmbeddedStore::open(Path::new("/db"), &options(disk.clone()), &mut |_, _| {}).unwrap();
    for commits in [20, 40] {
        for _ in 0..commits {
            store.commit(&history.next()).unwrap();
        }
        if commits == 20 {
            back_up(&store, Path::new("/backup")).unwrap();
        }
    }
    for free in [0, 100, 10_000, 20_000] {
        disk.set_free(Some(free));
        assert_eq!(back_up(&store, Path::new("/backup")).unwrap_err().code(), "ERR_HYPER_NO_SPACE", "{free}");
    }
    disk.set_free(None);
    store.commit(&history.next()).unwrap();
    let spare = disk.after_power_cut(&real.path().join("spare"), &mut Random(1));
    restored(spare.clone(), Path::new("/backup"), Path::new("/copy")).unwrap();
    let copy = EmbeddedStore::open(Path::new("/copy"), &options(spare), &mut |_, _| {}).unwrap();
    assert_eq!(history.compare(&copy, 20), Ok(20));
    let made = back_up(&store, Path::new("/backup")).unwrap();
    assert_eq!(made.change, store.state().unwrap().end.change);
}

#[test]
fn a_backup_that_is_not_what_was_written_is_refused() {
    let folder = TempDir::new().unwrap();
    let (backup, mut random) = (folder.path().join("backup"), Random(2));
    let (store, _) = written(&folder.path().join("db"), 100);
    store.backup(&backup, true, &mut |_, _| {}).unwrap();
    let files = segments(&backup);
    for (number, file) in files.iter().enumerate() {
        let good = fs::read(file).unwrap();
        for place in [0, 20, 64, random.below(good.len()), good.len() - 1] {
            let mut bad = good.clone();
            bad[place] ^= 1 << random.below(8);
            fs::write(file, bad).unwrap();
            let copy = folder.path().join(format!("copy-{number}-{place}"));
            let error = restored(OsDisk, &backup, &copy).unwrap_err();
            assert_eq!(error.code(), "ERR_HYPER_DAMAGED", "{error}");
            assert!(error.to_string().contains(&*file.to_string_lossy()), "{error}");
            // What there is of it is no store.
            assert!(EmbeddedStore::open(&copy, &options(OsDisk), &mut |_, _| {}).is_err());
        }
        fs::write(file, &good[..good.len() - 5]).unwrap();
        assert_eq!(restored(OsDisk, &backup, &folder.path().join("short")).unwrap_err().code(), "ERR_HYPER_DAMAGED");
        fs::write(file, good).unwrap();
    }
    let manifest = backup.join("backup.json");
    let text = fs::read_to_string(&manifest).unwrap();
    for bad in [
        text[..text.len() / 2].to_owned(),
        text.replace("\"change\": ", "\"change\": 1"),
        text.replace("\"digest\": \"", "\"digest\": \"0"),
        "{}".to_owned(),
    ] {
        fs::write(&manifest, bad).unwrap();
        let error = restored(OsDisk, &backup, &folder.path().join("other")).unwrap_err();
        assert_eq!(error.code(), "ERR_HYPER_DAMAGED", "{error}");
        let other = folder.path().join("other");
        assert!(!other.exists() || EmbeddedStore::open(&other, &options(OsDisk), &mut |_, _| {}).is_err());
    }
}

#[test]
fn damage_in_the_store_is_found_and_not_backed_up() {
    let folder = TempDir::new().unwrap();
    let (db, backup) = (folder.path().join("db"), folder.path().join("backup"));
    drop(written(&db, 100));
    let first = db.join("segment-0000000001");
    let mut content = fs::read(&first).unwrap();
    content[5000] ^= 1;
    fs::write(&first, content).unwrap();
    let store = open(&db);
    let error = back_up(&store, &backup).unwrap_err();
    assert_eq!(error.code(), "ERR_HYPER_DAMAGED");
    assert!(error.to_string().contains("segment-0000000001"), "{error}");
    assert!(restored(OsDisk, &backup, &folder.path().join("copy")).is_err());
}

#[test]
fn folders_that_are_something_else_stay_as_they_are() {
    let folder = TempDir::new().unwrap();
    let (db, backup, other) = (folder.path().join("db"), folder.path().join("backup"), folder.path().join("other"));
    let (store, _) = written(&db, 10);
    let (second, _) = written(&other, 10);
    back_up(&store, &backup).unwrap();
    let error = back_up(&second, &backup).unwrap_err();
    assert!(error.to_string().contains("another store"), "{error}");
    for target in [&db, &other] {
        assert_eq!(back_up(&store, target).unwrap_err().code(), "ERR_HYPER_INVALID_ARG");
        assert_eq!(restored(OsDisk, &backup, target).unwrap_err().code(), "ERR_HYPER_INVALID_ARG");
    }
    // A backup is not opened as a store, because the next one would not continue it.
    let error = EmbeddedStore::open(&backup, &options(OsDisk), &mut |_, _| {}).map(drop).unwrap_err();
    assert_eq!(error.code(), "ERR_HYPER_NOT_A_STORE");
    assert!(error.to_string().contains("hypem restore"), "{error}");
    assert!(restored(OsDisk, &folder.path().join("none"), &folder.path().join("new")).is_err());
    assert!(!folder.path().join("new").exists());
}

#[cfg(unix)]
#[test]
fn links_and_pipes_in_a_backup_are_not_followed() {
    use rustix::fs::{mknodat, FileType, Mode, CWD};
    let folder = TempDir::new().unwrap();
    let (backup, secret) = (folder.path().join("backup"), folder.path().join("secret"));
    let (store, _) = written(&folder.path().join("db"), 60);
    fs::write(&secret, "secret").unwrap();
    fs::create_dir(&backup).unwrap();
    let names = ["backup.json.new", "0000000001.segment.new", "0000000002.segment"].map(|name| backup.join(name));
    let pipe = |path: &Path| mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    std::os::unix::fs::symlink(&secret, &names[0]).unwrap();
    pipe(&names[1]);
    std::os::unix::fs::symlink(&secret, &names[2]).unwrap();
    back_up(&store, &backup).unwrap();
    assert_eq!(fs::read(&secret).unwrap(), b"secret");
    restored(OsDisk, &backup, &folder.path().join("copy")).unwrap();
    let first = backup.join("0000000001.segment");
    fs::remove_file(&first).unwrap();
    pipe(&first);
    assert_eq!(restored(OsDisk, &backup, &folder.path().join("more")).unwrap_err().code(), "ERR_HYPER_STORAGE");
    fs::remove_file(backup.join("backup.json")).unwrap();
    pipe(&backup.join("backup.json"));
    assert_eq!(back_up(&store, &backup).unwrap_err().code(), "ERR_HYPER_STORAGE");
}
