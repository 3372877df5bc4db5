//! Damages an index on disk.

use std::fs;
use std::path::Path;

use hyperemitter::store::conformance::Random;

/// Copies a folder; files that vanish meanwhile are left out.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let target = to.join(entry.file_name());
        // sled removes files while they are copied; what is gone is not copied.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => copy(&entry.path(), &target),
            _ => drop(fs::copy(entry.path(), target)),
        }
    }
}

/// Damages the index as a crash may: it leaves all, an older state, holes, a part, or nothing.
pub fn spoil_index(index: &Path, older: &Path, random: &mut Random) {
    let db = index.join("db");
    match random.below(5) {
        0 => {}
        1 => {
            fs::remove_dir_all(index).unwrap();
            copy(older, index);
        }
        2 => {
            if let Ok(mut bytes) = fs::read(&db) {
                for _ in 0..1 + random.below(40) {
                    let at = random.below(bytes.len().max(1)) / 512 * 512;
                    let end = (at + 512).min(bytes.len());
                    bytes[at..end].fill(0);
                }
                fs::write(&db, bytes).unwrap();
            }
        }
        3 => {
            if let Ok(bytes) = fs::read(&db) {
                fs::write(&db, &bytes[..random.below(bytes.len() + 1)]).unwrap();
            }
        }
        _ => fs::remove_dir_all(index).unwrap(),
    }
}
