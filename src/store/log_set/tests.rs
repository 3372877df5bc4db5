use super::*;

fn head(number: usize, seq: Seq) -> LogHead {
    let log = LogId::from(format!("log {number}"));
    LogHead { digest: Digest([u8::try_from(seq % 256).unwrap(); 32]), log, seq }
}

fn set(logs: usize) -> LogSet {
    (0..logs).map(|number| head(number, 1)).collect()
}

/// Compares two sets as two peers would. Returns the differing logs, and how many buckets were compared.
fn differing(a: &mut LogSet, b: &mut LogSet) -> (Vec<LogHead>, usize) {
    let (mut found, mut asked) = (Vec::new(), 1);
    let mut todo = vec![Prefix::ROOT];
    while let Some(prefix) = todo.pop() {
        let (ours, theirs) = (a.bucket(prefix), b.bucket(prefix));
        if ours == theirs {
            continue;
        }
        if ours.logs.max(theirs.logs) <= 4 {
            let theirs = b.logs_in(prefix);
            found.extend(a.logs_in(prefix).into_iter().filter(|head| !theirs.contains(head)));
            continue;
        }
        asked += PARTS;
        todo.extend((0..16).filter_map(|digit| prefix.part(digit)));
    }
    (found, asked)
}

#[test]
fn a_digest_depends_on_nothing_but_the_logs() {
    for logs in [0, 1, LEAF_LOGS, LEAF_LOGS + 1, 3000] {
        let mut forwards = set(logs);
        let mut backwards = LogSet::default();
        for number in (0..logs).rev() {
            backwards.set(&head(number, 1).log, 7, Digest([9; 32]));
            // Digests computed between changes must not remain in use after them.
            if number % 100 == 0 {
                backwards.bucket(Prefix::ROOT);
            }
            let LogHead { log, seq, digest } = head(number, 1);
            backwards.set(&log, seq, digest);
        }
        assert_eq!(forwards.bucket(Prefix::ROOT), backwards.bucket(Prefix::ROOT));
        assert_eq!(forwards.bucket(Prefix::ROOT).logs, logs as u64);
        for digit in 0..16 {
            let prefix = Prefix::ROOT.part(digit).unwrap();
            assert_eq!(forwards.parts(prefix), backwards.parts(prefix));
            assert_eq!(forwards.logs_in(prefix), backwards.logs_in(prefix));
        }
    }
}

#[test]
fn a_bucket_is_the_logs_whose_places_begin_so() {
    let mut all = set(3000);
    let mut todo = vec![Prefix::ROOT];
    while let Some(prefix) = todo.pop() {
        let logs = all.logs_in(prefix);
        assert!(logs.iter().all(|head| prefix.holds(id_hash(&head.log))));
        let mut alone: LogSet = logs.iter().cloned().collect();
        let bucket = all.bucket(prefix);
        assert_eq!((bucket, bucket.logs), (alone.bucket(prefix), logs.len() as u64));
        let parts = all.parts(prefix);
        assert_eq!(parts.iter().map(|part| part.logs).sum::<u64>(), if prefix.digits == 16 { 0 } else { bucket.logs });
        if bucket.logs > 1 {
            todo.extend((0..16).filter_map(|digit| prefix.part(digit)));
        }
    }
}

#[test]
fn ten_changed_logs_are_found_with_few_questions_and_little_hashing() {
    for logs in [1_000, 10_000, 100_000] {
        let (mut ours, mut theirs) = (set(logs), set(logs));
        assert_eq!(differing(&mut ours, &mut theirs), (vec![], 1));
        let mut changed: Vec<_> = (0..10).map(|number| head(number * logs / 10, 2)).collect();
        for LogHead { log, seq, digest } in &changed {
            ours.set(log, *seq, *digest);
        }
        let before = ours.hashed;
        ours.bucket(Prefix::ROOT);
        // For each log, its leaf is hashed, and the sixteen parts of each bucket above it.
        assert!(ours.hashed - before <= 10 * (LEAF_LOGS + 5 * PARTS), "{} at {logs}", ours.hashed - before);
        let (mut found, asked) = differing(&mut ours, &mut theirs);
        found.sort_by(|a, b| a.log.cmp(&b.log));
        changed.sort_by(|a, b| a.log.cmp(&b.log));
        assert_eq!(found, changed);
        assert!(asked <= 10 * 6 * PARTS, "{asked} at {logs}");
    }
}

#[test]
fn a_log_that_grows_is_noted_once_until_a_digest_is_asked_for() {
    let mut set = set(100);
    set.bucket(Prefix::ROOT);
    let hashed = set.hashed;
    for seq in 2..1000 {
        set.set(&"log 7".into(), seq, Digest([3; 32]));
    }
    assert_eq!((set.unsettled(), set.hashed), (1, hashed));
}

#[test]
fn a_prefix_has_at_most_sixteen_digits() {
    let hash = id_hash("a log");
    let mut prefix = Prefix::ROOT;
    for digits in 1..=16 {
        assert!(prefix.holds(hash));
        prefix = prefix.part(u8::try_from(digit(hash, prefix.digits())).unwrap()).unwrap();
        assert_eq!((prefix, prefix.digits()), (Prefix::of(hash, digits), digits));
    }
    assert_eq!((prefix.bits(), prefix.part(0)), (hash, None));
    assert!(!prefix.holds(hash ^ 1));
    assert_eq!(Prefix::of(hash, 200), prefix);
}
