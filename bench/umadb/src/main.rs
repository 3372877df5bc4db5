//! Appends to UmaDB, at the end of a log of tagged events, and prints the rate: `bench-umadb FOLDER COUNT GROUP MODES MS`.
//!
//! It appends COUNT events with one tag each, of 100,000 different. Then, for each of the MODES (as in `bench/work/append.js`, divided by
//! commas), it appends single events for MS milliseconds, GROUP of them per commit, each commit synced.

use std::env::args;
use std::time::{Duration, Instant};

use umadb_core::db::UmaDb;
use umadb_dcb::{DcbAppendCondition, DcbEvent, DcbQuery, DcbQueryItem};

const DIFFERENT: usize = 100_000;

/// Events per commit while the log is filled.
const FILL: usize = 4096;

type Item = (Vec<DcbEvent>, Option<DcbAppendCondition>);

fn event(tag: Option<String>) -> DcbEvent {
    DcbEvent::new().event_type("userAdded").data(vec![7; 38]).tags(tag)
}

/// The `number`th append of a mode; `end` is the position of the log's last event when the mode began.
fn item(mode: &str, number: usize, end: u64) -> Item {
    let condition = |tag: &str, after| {
        let item = DcbQueryItem { types: Vec::new(), tags: vec![tag.to_owned()] };
        Some(DcbAppendCondition { fail_if_events_match: DcbQuery { items: vec![item] }, after })
    };
    let known = format!("user:{}", number % DIFFERENT);
    let fresh = format!("request:{number}");
    match mode {
        "plain" => (vec![event(None)], None),
        "tagged" => (vec![event(Some(known))], None),
        "known" => (vec![event(Some(known.clone()))], condition(&known, Some(end))),
        "fresh" => (vec![event(Some(fresh.clone()))], condition(&fresh, None)),
        other => panic!("no such mode: {other}"),
    }
}

/// Stores items with one commit. Returns the position of the last event.
fn append(db: &UmaDb, items: Vec<Item>) -> u64 {
    let items = items.into_iter().map(|(events, condition)| (events, condition, None)).collect();
    let results = db.append_batch(items).expect("the commit succeeds");
    results.into_iter().map(|result| result.expect("no condition fails")).last().unwrap_or(0)
}

fn main() {
    let mut args = args().skip(1);
    let mut next = || args.next().expect("arguments: FOLDER COUNT GROUP MODES MS");
    let (folder, count, group) = (next(), next().parse::<usize>().unwrap(), next().parse::<usize>().unwrap());
    let (modes, ms) = (next(), Duration::from_millis(next().parse().unwrap()));
    let db = UmaDb::new(&folder).expect("the folder is writable");
    for first in (0..count).step_by(FILL) {
        append(&db, (first..count.min(first + FILL)).map(|number| item("tagged", number, 0)).collect());
    }
    let mut number = 0;
    let mut rates = Vec::new();
    for mode in modes.split(',') {
        let end = append(&db, vec![item("plain", 0, 0)]);
        let (start, first) = (Instant::now(), number);
        // A tag is used once: after that, the appends would contradict each other.
        while start.elapsed() < ms && !(mode == "known" && number - first + group > DIFFERENT) {
            append(&db, (number..number + group).map(|number| item(mode, number, end)).collect());
            number += group;
        }
        let rate = (number - first) as f64 / start.elapsed().as_secs_f64();
        rates.push(format!("\"{mode}\":{rate}"));
    }
    println!("{{\"rates\":{{{}}}}}", rates.join(","));
}
