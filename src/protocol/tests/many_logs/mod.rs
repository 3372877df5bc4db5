//! Two sessions over stores with very many logs. What they send is counted in bytes.

mod attacks;
mod exchange;

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use crate::error::Error;
use crate::event::reason_unsafe_for_v1;
use crate::node::{key_of, Digest, Key, LogId, Node, Seq};
use crate::protocol::capability::Capability;
use crate::protocol::config::Sizes;
use crate::protocol::extension::{Compare, Extension, WINDOW};
use crate::protocol::message::{Handshake, Message, Mode};
use crate::protocol::tree::Item;
use crate::protocol::*;
use crate::row::{Entry, LogHead, Position, Row};
use crate::store::log_set::{Bucket, LogSet, Prefix, PARTS};
use crate::store::ReadLimit;

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
            Lookup::DigestBetween(log, from, to) => {
                let key = |seq| self.places.get(&(log.clone(), seq)).map(|place| self.rows[*place].node.key);
                let digest = (*from..=*to).try_fold(Digest::default(), |digest, seq| Some(digest.extend(&key(seq)?)));
                Found::Digest(digest)
            }
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
    /// Bytes sent.
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

    /// Delivers one frame to `side`, if there is one and `side` reads.
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

    /// Runs until nothing has moved for a while. `meanwhile` is called after each frame.
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
