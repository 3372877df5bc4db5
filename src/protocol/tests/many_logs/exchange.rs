//! What honest peers with many logs exchange.

use super::*;

#[test]
fn level_peers_with_100_000_logs_exchange_less_than_a_kilobyte() {
    let mut pair = Pair::new(Book::with(100_000), Book::with(100_000));
    pair.run();
    pair.assert_level();
    println!("level at 100,000 logs: {:?} bytes", pair.sent());
    assert!(pair.sent().iter().sum::<usize>() < 1_000, "{:?}", pair.sent());
    assert_eq!(pair.ends.iter().map(|end| end.session.states()).sum::<usize>(), 0);
}

#[test]
fn ten_changed_logs_of_100_000_cost_less_than_ten_kilobytes() {
    for side in 0..2 {
        let mut pair = Pair::new(Book::with(100_000), Book::with(100_000));
        for log in 0..10 {
            pair.ends[side].book.emit(&format!("log {}", log * 9_999), "more");
        }
        pair.run();
        pair.assert_level();
        println!("ten changed of 100,000 logs: {:?} bytes", pair.sent());
        assert!(pair.sent().iter().sum::<usize>() < 10_000, "{:?}", pair.sent());
        assert_eq!((pair.ends[1 - side].rows, pair.ends[1 - side].in_vain), (10, 0));
        assert!(pair.ends.iter().all(|end| end.session.states() <= 10));
    }
}

#[test]
fn logs_that_all_differ_cost_little_more_than_a_vector() {
    for (ours, theirs) in [(0, 1_000), (1_000, 0), (3, 1_000), (1_000, 1_000), (17, 16), (0, 0), (1, 0)] {
        let mut pair = Pair::new(Book::with(ours), Book::with(theirs));
        for log in 0..ours.min(theirs) {
            pair.ends[log % 2].book.emit(&format!("log {log}"), "more");
        }
        pair.run();
        pair.assert_level();
        let (vectors, compared) = ((ours + theirs) * 48, pair.ends[0].compared + pair.ends[1].compared);
        println!("{ours} and {theirs} logs, all different: {compared} bytes, {vectors} in vectors");
        assert!(compared < vectors * 3 / 2 + 200);
        assert_eq!(pair.ends[0].in_vain + pair.ends[1].in_vain, 0);
    }
}

/// The environment variable TREES_LOGS sets the number of logs, for example 1000000.
#[test]
fn very_many_logs_replicate_and_leave_nothing_behind() {
    let logs = std::env::var("TREES_LOGS").ok().and_then(|logs| logs.parse().ok()).unwrap_or(20_000);
    for dialler in [false, true] {
        let books = (Book::with(logs), Book::default());
        let mut pair = if dialler { Pair::new(books.0, books.1) } else { Pair::new(books.1, books.0) };
        pair.run();
        pair.assert_level();
        println!("{logs} logs: {:?} bytes, {} ms", pair.sent(), pair.now);
        assert_eq!(pair.ends.iter().map(|end| end.session.states()).sum::<usize>(), 0);
        // Later events arrive exactly once.
        for side in 0..2 {
            for log in 0..10 {
                pair.emit(side, &format!("log {}", log * 1_999 + side), "later");
            }
            pair.emit(side, &format!("new {side}"), "later");
        }
        let rows = [0, 1].map(|side| pair.ends[side].rows + 11);
        pair.run();
        pair.assert_level();
        assert_eq!([0, 1].map(|side| pair.ends[side].rows), rows);
        assert_eq!(pair.ends[0].in_vain + pair.ends[1].in_vain, 0);
        if logs > 100_000 {
            break;
        }
    }
}

#[test]
fn logs_that_grow_while_they_are_compared_arrive_whole() {
    for sizes in [Sizes::default(), Sizes { list: 1, starts: 1, states: 1, table: 2, ..Sizes::default() }] {
        let mut pair = Pair::of(Book::with(300), Book::with(290), |config| config.sizes = sizes);
        for log in 0..40 {
            pair.ends[log % 2].book.emit(&format!("log {}", log * 7), "before");
        }
        let mut count = 0;
        pair.run_with(|pair| {
            count += 1;
            if count < 60 {
                // Each log is written by one side.
                let side = count % 2;
                let log = count * 37 % 290 * 2 + side;
                pair.emit(side, &format!("log {}", log % 290 / 2 * 2 + side), "meanwhile");
                pair.emit(side, &format!("new {side} {count}"), "meanwhile");
            }
        });
        pair.assert_level();
    }
}

#[test]
fn entries_that_come_to_both_from_elsewhere_are_not_asked_for() {
    let mut pair = Pair::new(Book::with(100), Book::with(100));
    let mut count = 0;
    pair.run_with(|pair| {
        count += 1;
        if count < 10 {
            for side in 0..2 {
                pair.emit(side, &format!("log {count}"), "elsewhere");
            }
        }
    });
    pair.assert_level();
    assert_eq!(pair.ends[0].rows + pair.ends[1].rows, 0);
}

#[test]
fn a_fork_among_very_many_level_logs_is_found_by_both() {
    for (first, second) in [(1, 1), (1, 5), (7, 2)] {
        let mut pair = Pair::new(Book::with(2_000), Book::with(2_000));
        for _ in 0..first {
            pair.ends[0].book.emit("log 77", "one");
        }
        for _ in 0..second {
            pair.ends[1].book.emit("log 77", "other");
        }
        pair.run();
        assert_eq!([0, 1].map(|side| pair.ends[side].forks), [1, 1]);
        // The log, and the branches that both versions are at the other side.
        assert!(pair.ends.iter().all(|end| end.closed.is_none() && end.session.states() <= 3));
    }
}

#[test]
fn a_fork_of_a_log_that_was_level_is_found_when_it_shows() {
    let mut pair = Pair::new(Book::with(2_000), Book::with(2_000));
    pair.run();
    pair.emit(0, "log 5", "one");
    pair.emit(1, "log 5", "other");
    pair.run();
    assert!(pair.ends.iter().all(|end| end.forks == 1 && end.closed.is_none()));
}

#[test]
fn a_peer_of_the_first_version_gets_vectors() {
    for old in 0..2 {
        let mut pair = Pair::of(Book::with(100), Book::with(90), |config| {
            config.version = if usize::from(!config.dialled) == old { 1 } else { 2 };
        });
        pair.run();
        pair.assert_level();
        assert!(pair.sent().iter().all(|bytes| *bytes > 90 * 40), "{:?}", pair.sent());
    }
}

#[test]
fn more_logs_than_may_have_state_all_arrive() {
    let mut pair = Pair::of(Book::with(3_000), Book::default(), |config| config.sizes.names = 1_000);
    pair.run();
    pair.assert_level();
}
