//! Logs and the streams that hold them on disk.
//!
//! Rows on disk name a *stream*, a number, and a seq within it. Nearly always a stream is a log and its seqs are the
//! log's. A relabel rewrites nothing: it makes the tail of a stream mean another log. Whoever appends to either log
//! afterwards gets a new stream, so a stream and a seq always name one row.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::coding::{put_slice, put_varint, Input};
use crate::node::{Digest, LogId, Seq};

/// From seq `from` of a stream on: entries of `log`, the first with seq `seq`.
#[derive(Clone, Debug, PartialEq)]
struct StreamSpan {
    from: Seq,
    log: LogId,
    seq: Seq,
}

/// What the seqs of one stream mean.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stream {
    /// The log it was made for. Digests remembered along a stream are that log's.
    home: LogId,
    /// Where that log is among the table's states. Not stored: a removed log leaves an unused state.
    slot: usize,
    spans: SmallVec<[StreamSpan; 1]>,
}

/// From seq `seq` of a log on: seqs of `stream`, the first being `from`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LogSpan {
    pub(super) seq: Seq,
    pub(super) stream: u32,
    pub(super) from: Seq,
}

/// One log.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LogState {
    /// Its last seq.
    pub(super) seq: Seq,
    /// Digest over all its entries.
    pub(super) digest: Digest,
    /// In order of seq.
    pub(super) spans: SmallVec<[LogSpan; 1]>,
    /// The stream that takes its next entry; none after a relabel.
    pub(super) writing: Option<u32>,
}

/// All streams; readers hold it while the writer goes on.
pub(super) type Streams = Arc<Vec<Stream>>;

/// Where an entry is on disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct EntryAt {
    pub(super) stream: u32,
    pub(super) seq: Seq,
}

/// Every log and stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    streams: Streams,
    /// Looked up once per appended entry through its stream, so by number, not by name.
    states: Vec<LogState>,
    slots: HashMap<LogId, usize>,
}

/// Equal if they mean the same: slots are nobody's business.
impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |table: &Self| {
            let mut out = Vec::new();
            table.encode(&mut out);
            out
        };
        bytes(self) == bytes(other)
    }
}

/// The log and seq that a row of a stream stands for.
pub(super) fn resolve(streams: &[Stream], stream: u32, seq: Seq) -> Option<(&LogId, Seq)> {
    let stream = streams.get(usize::try_from(stream).ok()?)?;
    let span = stream.spans.iter().rev().find(|span| span.from <= seq)?;
    Some((&span.log, span.seq + (seq - span.from)))
}

impl Table {
    pub(super) fn streams(&self) -> &Streams {
        &self.streams
    }

    pub(super) fn log(&self, log: &str) -> Option<&LogState> {
        self.states.get(*self.slots.get(log)?)
    }

    /// Adds a log; its slot.
    fn add(&mut self, log: LogId, state: LogState) -> usize {
        let slot = self.states.len();
        self.states.push(state);
        self.slots.insert(log, slot);
        slot
    }

    /// Last seq of a log, 0 for an unknown one.
    pub(super) fn seq(&self, log: &str) -> Seq {
        self.log(log).map_or(0, |log| log.seq)
    }

    /// Logs with at least one entry.
    pub(super) fn logs(&self) -> impl Iterator<Item = (&LogId, &LogState)> {
        let logs = self.slots.iter().filter_map(|(log, slot)| Some((log, self.states.get(*slot)?)));
        logs.filter(|(_, log)| log.seq > 0)
    }

    /// The number the next stream gets.
    pub(super) fn next_stream(&self) -> u32 {
        u32::try_from(self.streams.len()).unwrap_or(u32::MAX)
    }

    /// Where an entry is, and whether digests remembered along its stream are its log's.
    pub(super) fn place(&self, log: &str, seq: Seq) -> Option<(EntryAt, bool)> {
        let state = self.log(log).filter(|state| (1..=state.seq).contains(&seq))?;
        let span = state.spans.iter().rev().find(|span| span.seq <= seq)?;
        let home = self.streams.get(usize::try_from(span.stream).ok()?).is_some_and(|stream| &*stream.home == log);
        Some((EntryAt { stream: span.stream, seq: span.from + (seq - span.seq) }, home))
    }

    /// Makes the next stream, for the entries that `log` will get.
    pub(super) fn define(&mut self, log: &LogId) -> u32 {
        let number = self.next_stream();
        let empty = || LogState { seq: 0, digest: Digest::default(), spans: SmallVec::new(), writing: None };
        let slot = self.slots.get(log).copied().unwrap_or_else(|| self.add(log.clone(), empty()));
        let mut seq = 1;
        if let Some(state) = self.states.get_mut(slot) {
            seq = state.seq + 1;
            state.spans.push(LogSpan { seq, stream: number, from: seq });
            state.writing = Some(number);
        }
        let spans = SmallVec::from_elem(StreamSpan { from: seq, log: log.clone(), seq }, 1);
        Arc::make_mut(&mut self.streams).push(Stream { home: log.clone(), slot, spans });
        number
    }

    /// Appends an entry to the log that `stream` is the writing end of; `None` if it is not its next seq.
    /// Returns the log's digest before.
    pub(super) fn append(&mut self, stream: u32, seq: Seq, digest: impl FnOnce(Digest) -> Digest) -> Option<Digest> {
        let slot = self.streams.get(usize::try_from(stream).ok()?)?.slot;
        let state = self.states.get_mut(slot)?;
        if state.writing != Some(stream) || seq != state.seq + 1 {
            return None;
        }
        let before = state.digest;
        state.seq = seq;
        state.digest = digest(before);
        Some(before)
    }

    /// Gives the entries of `log` from seq `from` on to the new log `to`. `None` if there is nothing to move or `to`
    /// exists.
    pub(super) fn relabel(&mut self, log: &str, from: Seq, to: &LogId, cut: Digest, moved: Digest) -> Option<()> {
        if self.slots.contains_key(to) {
            return None;
        }
        let slot = *self.slots.get(log)?;
        let state = self.states.get_mut(slot).filter(|state| (1..=state.seq).contains(&from))?;
        let count = state.seq - from + 1;
        let mut spans = SmallVec::new();
        let streams = Arc::make_mut(&mut self.streams);
        // A span holds entries of `from` or later if the next one begins behind `from`.
        let first = state.spans.iter().rposition(|span| span.seq <= from)?;
        for span in state.spans.iter().skip(first) {
            let seq = span.seq.max(from);
            let physical = span.from + (seq - span.seq);
            spans.push(LogSpan { seq: seq - from + 1, stream: span.stream, from: physical });
            let stream = streams.get_mut(usize::try_from(span.stream).ok()?)?;
            let at = stream.spans.partition_point(|other| other.from < physical);
            stream.spans.retain(|other| other.from != physical);
            stream.spans.insert(at, StreamSpan { from: physical, log: to.clone(), seq: seq - from + 1 });
        }
        state.spans.retain(|span| span.seq < from);
        state.seq = from - 1;
        state.digest = cut;
        state.writing = None;
        if from == 1 {
            // Its streams keep the unused state, which takes no more entries.
            self.slots.remove(log);
        }
        self.add(to.clone(), LogState { seq: count, digest: moved, spans, writing: None });
        Some(())
    }

    /// Writes the table; equal tables give equal bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.streams.len() as u64);
        for stream in self.streams.iter() {
            put_slice(out, stream.home.as_bytes());
            put_varint(out, stream.spans.len() as u64);
            for span in &stream.spans {
                put_varint(out, span.from);
                // Most spans are their stream's own log.
                put_slice(out, if span.log == stream.home { b"" } else { span.log.as_bytes() });
                put_varint(out, span.seq);
            }
        }
        let mut logs: Vec<_> =
            self.slots.iter().filter_map(|(log, slot)| Some((log, self.states.get(*slot)?))).collect();
        logs.sort_unstable_by_key(|(log, _)| *log);
        put_varint(out, logs.len() as u64);
        for (log, state) in logs {
            put_slice(out, log.as_bytes());
            put_varint(out, state.seq);
            out.extend_from_slice(&state.digest.0);
            put_varint(out, state.writing.map_or(0, |stream| u64::from(stream) + 1));
            put_varint(out, state.spans.len() as u64);
            for span in &state.spans {
                put_varint(out, span.seq);
                put_varint(out, u64::from(span.stream));
                put_varint(out, span.from);
            }
        }
    }

    /// Reads what `encode` wrote.
    pub(super) fn decode(input: &mut Input<'_>) -> Option<Self> {
        let mut streams = Vec::new();
        let mut table = Table::default();
        // One text per log, however many places name it.
        let mut names: HashMap<&str, LogId> = HashMap::new();
        for _ in 0..input.varint()? {
            let text = input.text()?;
            let home = names.entry(text).or_insert_with(|| LogId::from(text)).clone();
            let mut spans = SmallVec::new();
            for _ in 0..input.varint()? {
                let (from, text, seq) = (input.varint()?, input.text()?, input.varint()?);
                let log = match text {
                    "" => home.clone(),
                    text => names.entry(text).or_insert_with(|| LogId::from(text)).clone(),
                };
                spans.push(StreamSpan { from, log, seq });
            }
            streams.push(Stream { home, slot: usize::MAX, spans });
        }
        for _ in 0..input.varint()? {
            let text = input.text()?;
            let log = names.entry(text).or_insert_with(|| LogId::from(text)).clone();
            let (seq, digest) = (input.varint()?, Digest(input.array()?));
            let writing = input.varint32()?.checked_sub(1);
            let mut spans = SmallVec::new();
            for _ in 0..input.varint()? {
                spans.push(LogSpan { seq: input.varint()?, stream: input.varint32()?, from: input.varint()? });
            }
            table.add(log, LogState { seq, digest, spans, writing });
        }
        for stream in &mut streams {
            stream.slot = table.slots.get(&stream.home).copied().unwrap_or(usize::MAX);
        }
        table.streams = Arc::new(streams);
        Some(table)
    }
}
