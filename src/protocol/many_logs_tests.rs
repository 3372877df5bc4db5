//! Two sessions over stores with very many logs: what they say is counted in bytes.

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use super::capability::Capability;
use super::config::Sizes;
use super::extension::{Compare, Extension, WINDOW};
use super::message::{Handshake, Message, Mode};
use super::tree::Item;
use super::*;
use crate::error::Error;
use crate::event::reason_unsafe_for_v1;
use crate::node::{key_of, Digest, Key, LogId, Node, Seq};
use crate::store::log_set::{Bucket, LogSet, Prefix, PARTS};
use crate::store::{Entry, LogHead, Position, ReadLimit, Row};

/// A store in memory: logs whose entries have no links.
#[derive(Default)]
struct Book {
    set: RefCell<LogSet>,
    rows: Vec<Row>,
    places: HashMap<(LogId, Seq), usize>,
    digests: HashMap<(LogId, Seq), Digest>,
}

impl Book {
    fn append(&mut self, log: &LogId, value: Bytes) {
        let seq = self.seq(log) + 1;
        let before = self.set.borrow().get(log).map_or(Digest::default(), |(_, digest)| digest);
        let key = key_of(&[], &value);
        let at = Position::of(self.rows.len() as u64 + 1);
        let node =
            Node { key, change: at.change, log: log.clone(), seq, links: Default::default(), value, signed: None };
        let digest = before.extend(&key);
        self.places.insert((log.clone(), seq), self.rows.len());
        self.digests.insert((log.clone(), seq), digest);
        self.rows.push(Row::new(at, log.clone(), seq, node.into()));
        self.set.borrow_mut().set(log, seq, digest);
    }

    fn emit(&mut self, log: &str, text: &str) {
        let seq = self.seq(log) + 1;
        self.append(&log.into(), format!("{log} {seq} {text}").into());
    }

    fn with(logs: usize) -> Self {
        let mut book = Book::default();
        for log in 0..logs {
            book.emit(&format!("log {log}"), "");
        }
        book
    }

    fn key(&self, log: &LogId, seq: Seq) -> Option<Key> {
        self.places.get(&(log.clone(), seq)).map(|place| self.rows[*place].node.key)
    }

    fn add(&mut self, node: Incoming) -> Outcome {
        let seq = self.seq(&node.log);
        let theirs = key_of(&node.links, &node.value);
        match self.key(&node.log, node.seq) {
            Some(ours) if ours == theirs => Outcome::Known,
            Some(ours) => Outcome::Refused(Error::Fork { log: node.log.to_string(), seq: node.seq, ours, theirs }),
            None if node.seq == seq + 1 => {
                self.append(&node.log, node.value);
                Outcome::Added
            }
            None => Outcome::Parked,
        }
    }

    fn read(&self, after: Position, limit: ReadLimit) -> Vec<Row> {
        let from = usize::try_from(after.change).unwrap().min(self.rows.len());
        self.rows[from..].iter().take(limit.rows).filter(|row| row.at > after).cloned().collect()
    }

    fn answer(&self, query: &Lookup) -> Found {
        match query {
            Lookup::Digest(log, 0) if self.seq(log) > 0 => Found::Digest(Some(Digest::default())),
            Lookup::Digest(log, seq) => Found::Digest(self.digests.get(&(log.clone(), *seq)).copied()),
            Lookup::Entry(log, seq) => Found::Entry(
                self.places
                    .get(&(log.clone(), *seq))
                    .map(|place| &self.rows[*place])
                    .map(|row| Entry { at: row.at, key: row.node.key }),
            ),
        }
    }

    fn root(&self) -> Bucket {
        self.bucket(Prefix::ROOT)
    }
}

impl LocalLog for Book {
    fn log_id(&self) -> LogId {
        "own".into()
    }
    fn head(&self, log: &str) -> Option<LogHead> {
        self.set.borrow().head(log)
    }
    fn logs(&self) -> Vec<LogHead> {
        self.set.borrow().iter().collect()
    }
    fn bucket(&self, prefix: Prefix) -> Bucket {
        self.set.borrow_mut().bucket(prefix)
    }
    fn parts(&self, prefix: Prefix) -> [Bucket; PARTS] {
        self.set.borrow_mut().parts(prefix)
    }
    fn logs_in(&self, prefix: Prefix) -> Vec<LogHead> {
        self.set.borrow_mut().logs_in(prefix)
    }
    fn end(&self) -> Position {
        Position::of(self.rows.len() as u64)
    }
}

struct End {
    session: Session,
    book: Book,
    input: BytesMut,
    /// Bytes sent, and those of comparisons and vectors among them.
    sent: usize,
    compared: usize,
    rows: usize,
    in_vain: usize,
    forks: usize,
    closed: Option<CloseReason>,
}

/// The dialler and the listener.
struct Pair {
    ends: [End; 2],
    now: u64,
}

impl Pair {
    fn new(dialler: Book, listener: Book) -> Self {
        Self::of(dialler, listener, |_| {})
    }

    fn of(dialler: Book, listener: Book, change: impl Fn(&mut Config)) -> Self {
        let end = |book, dialled| {
            let mut config = Config::new(dialled, reason_unsafe_for_v1);
            change(&mut config);
            End {
                session: Session::new(config),
                book,
                input: BytesMut::new(),
                sent: 0,
                compared: 0,
                rows: 0,
                in_vain: 0,
                forks: 0,
                closed: None,
            }
        };
        let mut pair = Pair { ends: [end(dialler, true), end(listener, false)], now: 0 };
        for side in 0..2 {
            pair.feed(side, InEvent::Opened);
        }
        pair
    }

    fn feed(&mut self, side: usize, event: InEvent) {
        let end = &mut self.ends[side];
        end.session.handle(event, self.now, &end.book);
        while let Some(out) = self.ends[side].session.poll() {
            self.carry_out(side, out);
        }
    }

    fn carry_out(&mut self, side: usize, out: OutEvent) {
        let end = &mut self.ends[side];
        match out {
            OutEvent::Send(bytes) => {
                end.sent += bytes.len();
                let mut frames = BytesMut::from(&bytes[..]);
                while let Some(frame) = frame::split(&mut frames, usize::MAX).unwrap() {
                    if matches!(frame[0], 6 | 20) {
                        end.compared += frame.len();
                    }
                }
                self.ends[1 - side].input.extend_from_slice(&bytes);
            }
            OutEvent::Read { after, limit } => {
                let rows = end.book.read(after, limit);
                self.feed(side, InEvent::Rows(Ok(rows)));
            }
            OutEvent::Add(nodes) => {
                let outcomes: Vec<_> = nodes.into_iter().map(|node| end.book.add(node)).collect();
                end.rows += outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Added)).count();
                end.in_vain += outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Known)).count();
                assert!(!outcomes.iter().any(|outcome| matches!(outcome, Outcome::Parked)));
                self.feed(side, InEvent::Added(Ok(outcomes)));
                self.feed(side, InEvent::Advanced);
            }
            OutEvent::Lookup(queries) => {
                let replies = queries.iter().map(|query| end.book.answer(query)).collect();
                self.feed(side, InEvent::LookedUp(Ok(replies)));
            }
            OutEvent::Report(Error::Fork { .. }) => end.forks += 1,
            OutEvent::Close(reason) => end.closed = Some(reason),
            out => panic!("{out:?}"),
        }
    }

    /// One frame to `side`, if there is one and it is read.
    fn step(&mut self, side: usize) -> bool {
        let end = &mut self.ends[side];
        if !end.session.wants_frames() {
            return false;
        }
        let Some(frame) = frame::split(&mut end.input, usize::MAX).unwrap() else { return false };
        self.feed(side, InEvent::Frame(frame));
        if self.ends[side].input.is_empty() {
            self.feed(side, InEvent::Idle);
        }
        true
    }

    /// Until nothing moves any more for a while. `meanwhile` happens behind each frame.
    fn run_with(&mut self, mut meanwhile: impl FnMut(&mut Self)) {
        let mut still = 0;
        while still < 200 {
            let moved = [0, 1].map(|side| self.step(side));
            meanwhile(self);
            still = if moved.contains(&true) { 0 } else { still + 1 };
            if still > 0 {
                self.now += 10;
                for side in 0..2 {
                    self.feed(side, InEvent::Tick);
                }
            }
        }
    }

    fn run(&mut self) {
        self.run_with(|_| {});
    }

    fn emit(&mut self, side: usize, log: &str, text: &str) {
        self.ends[side].book.emit(log, text);
        self.feed(side, InEvent::Advanced);
    }

    fn sent(&self) -> [usize; 2] {
        [0, 1].map(|side| self.ends[side].sent)
    }

    fn assert_level(&self) {
        for end in &self.ends {
            assert!(end.closed.is_none(), "{:?}", end.closed);
            assert_eq!(end.session.stage(), SessionStage::Live);
        }
        assert_eq!(self.ends[0].book.root(), self.ends[1].book.root());
    }
}

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

/// TREES_LOGS=1000000 for as many as the issue asks for.
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
        // And what comes later comes once.
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
        assert!(pair.ends.iter().all(|end| end.closed.is_none() && end.session.states() == 1));
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
fn more_logs_than_are_kept_in_mind_at_a_time_come_all_the_same() {
    let mut pair = Pair::of(Book::with(3_000), Book::default(), |config| config.sizes.names = 1_000);
    pair.run();
    pair.assert_level();
}

/// A peer whose frames a test writes.
struct Stranger {
    session: Session,
    book: Book,
    out: Vec<OutEvent>,
}

impl Stranger {
    fn new(dialled: bool, logs: usize) -> Self {
        let mut stranger = Stranger {
            session: Session::new(Config::new(dialled, reason_unsafe_for_v1)),
            book: Book::with(logs),
            out: Vec::new(),
        };
        stranger.feed(InEvent::Opened);
        let capability = Capability {
            version: 2,
            flags: 0,
            max_frame: 1 << 20,
            window: WINDOW,
            log: "x".into(),
            max_value: None,
            twin: None,
        };
        let mut bytes = BytesMut::new();
        let metadata = capability.encode();
        let metadata = Some(&metadata[..]);
        Message::Handshake(Handshake { version: 1, mode: Mode::Sync, metadata, live: Some(true) }).encode(&mut bytes);
        stranger.hear(bytes);
        stranger
    }

    fn feed(&mut self, event: InEvent) {
        self.session.handle(event, 0, &self.book);
        self.out.extend(std::iter::from_fn(|| self.session.poll()));
    }

    fn hear(&mut self, mut bytes: BytesMut) {
        while let Some(frame) = frame::split(&mut bytes, usize::MAX).unwrap() {
            self.feed(InEvent::Frame(frame));
        }
    }

    fn say(&mut self, number: u64, first: bool, again: bool, items: &[Item]) {
        let (mut body, mut bytes) = (BytesMut::new(), BytesMut::new());
        items.iter().for_each(|item| item.put(&mut body));
        Extension::Compare(Compare { number, first, last: true, again, items: &body }).encode(&mut bytes);
        self.hear(bytes);
    }

    fn accused(&self) -> bool {
        self.out.iter().any(|out| matches!(out, OutEvent::Close(CloseReason::Peer(_))))
    }

    fn heard(&self) -> usize {
        self.out.iter().map(|out| if let OutEvent::Send(bytes) = out { bytes.len() } else { 0 }).sum()
    }
}

#[test]
fn digests_that_never_agree_cost_a_list_of_our_logs_and_no_more() {
    let mut stranger = Stranger::new(false, 5_000);
    let mut prefixes = vec![Prefix::ROOT];
    while prefixes.first().is_some_and(|prefix| prefix.digits() < 16) && !stranger.accused() {
        let items: Vec<_> = prefixes.iter().map(|prefix| Item::Parts(*prefix, [Some([9; 12]); PARTS])).collect();
        stranger.say(1, false, false, &items);
        prefixes = prefixes.iter().flat_map(|prefix| (0..16).filter_map(|digit| prefix.part(digit))).collect();
        if prefixes.len() > 70_000 {
            break;
        }
    }
    assert!(stranger.accused(), "it answers prefixes that were listed, not taken apart");
    assert!(stranger.heard() < 5_000 * 80, "{}", stranger.heard());
}

#[test]
fn what_was_not_asked_for_ends_the_session() {
    let part = Prefix::ROOT.part(3).unwrap();
    let list = |prefix, asks| Item::List { prefix, asks, extents: vec![] };
    for items in [
        vec![Item::Parts(part, [None; PARTS])],
        vec![Item::Parts(Prefix::of(u64::MAX, 15), [None; PARTS])],
        vec![list(part, true)],
        vec![list(part, false)],
        vec![list(Prefix::ROOT, true), list(Prefix::ROOT, true)],
        vec![Item::Root(Bucket::default())],
    ] {
        let mut stranger = Stranger::new(false, 100);
        stranger.say(1, false, false, &items);
        assert!(stranger.accused(), "{items:?}");
    }
}

#[test]
fn comparisons_without_end_end_the_session() {
    for dialled in [false, true] {
        let mut stranger = Stranger::new(dialled, 100);
        let mut count = 0;
        while !stranger.accused() {
            count += 1;
            let list = Item::List { prefix: Prefix::ROOT, asks: true, extents: vec![] };
            stranger.say(count, dialled, !dialled, if dialled { std::slice::from_ref(&list) } else { &[] });
            assert!(count < 1_000);
        }
        assert!(count > 10);
    }
}

#[test]
fn a_log_listed_where_it_does_not_belong_ends_the_session() {
    let mut stranger = Stranger::new(true, 0);
    let extents = |log: &str| vec![extension::Extent { log: log.into(), seq: 1, digest: Digest([1; 32]) }];
    stranger.say(1, true, false, &[Item::Root(Bucket { logs: 1, digest: Digest([3; 32]) })]);
    let wrong = (0..16).filter_map(|digit| Prefix::ROOT.part(digit));
    let wrong = wrong.filter(|prefix| !prefix.holds(crate::store::log_set::place_of("a"))).take(1);
    let items: Vec<_> = wrong.map(|prefix| Item::List { prefix, asks: false, extents: extents("a") }).collect();
    stranger.say(1, false, false, &items);
    assert!(stranger.accused());
}

#[test]
fn items_that_are_cut_or_changed_are_refused_and_never_panic() {
    let mut bytes = BytesMut::new();
    Item::Root(Bucket { logs: 300, digest: Digest([7; 32]) }).put(&mut bytes);
    Item::Parts(Prefix::of(0xabc0 << 48, 3), [Some([1; 12]); PARTS]).put(&mut bytes);
    let extents = vec![extension::Extent { log: "a".into(), seq: 1, digest: Digest([1; 32]) }];
    Item::List { prefix: Prefix::of(u64::MAX, 16), asks: true, extents }.put(&mut bytes);
    let read = |mut body: &[u8]| -> crate::error::Result<usize> {
        let mut count = 0;
        while Item::take(&mut body)?.is_some() {
            count += 1;
        }
        Ok(count)
    };
    assert_eq!(read(&bytes).unwrap(), 3);
    for at in 0..bytes.len() {
        let _ = read(&bytes[..at]);
        for bit in 0..8 {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1 << bit;
            let _ = read(&changed);
        }
    }
}
