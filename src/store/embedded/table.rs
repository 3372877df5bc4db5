//! Logs and the streams that hold them on disk.
//!
//! A row on disk names a *stream* (a number) and a seq within it. Nearly always, a stream holds one log, and its seqs are the
//! log's. A relabel rewrites no rows: it assigns the tail of a stream to another log. Later entries of either log go to a new
//! stream, so that a stream and a seq always name one row.

use std::collections::{HashMap, HashSet};

use smallvec::SmallVec;

use super::coding::{put_slice, put_varint, Input};
use super::shared_list::SharedList;
use crate::node::{Digest, LogId, Seq};

/// Part of a stream: from its seq `from` on it holds entries of `log`, the first with seq `seq`.
#[derive(Clone, Debug, PartialEq)]
struct StreamSpan {
    from: Seq,
    log: LogId,
    seq: Seq,
}

/// What the seqs of one stream mean.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stream {
    /// The log for which it was created. Stored digests along the stream are those of that log.
    home: LogId,
    /// Where that log is among the table's states. Not stored: a removed log leaves an unused state.
    slot: usize,
    spans: SmallVec<[StreamSpan; 1]>,
}

/// Streams by number.
pub(super) type Streams = SharedList<Stream>;

/// Part of a log: from its seq `seq` on its entries are in `stream`, the first at the stream's seq `from`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LogSpan {
    pub(super) seq: Seq,
    pub(super) stream: u32,
    pub(super) from: Seq,
}

/// One log.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LogState {
    /// Its id.
    log: LogId,
    /// Whether it has changed since the last checkpoint.
    touched: bool,
    /// Its last seq.
    pub(super) seq: Seq,
    /// Digest over all its entries.
    pub(super) digest: Digest,
    /// In order of seq.
    pub(super) spans: SmallVec<[LogSpan; 1]>,
    /// The stream that takes its next entry; none after a relabel.
    pub(super) writing: Option<u32>,
}

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
    /// By slot, not by name: looked up once per appended entry through its stream.
    states: Vec<LogState>,
    slots: HashMap<LogId, usize>,
    /// Streams and logs (by slot) that have changed since the last checkpoint, some of them more than once.
    changed_streams: Vec<u32>,
    changed_logs: Vec<usize>,
}

/// What a checkpoint has to write and delete for a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TableChanges {
    /// Streams by number, as stored.
    pub(super) streams: Vec<(u32, Vec<u8>)>,
    /// Logs by slot, as stored; `None` for one that no longer exists.
    pub(super) logs: Vec<(u32, Option<Vec<u8>>)>,
}

/// Most slots: every log takes one, and a relabel takes another.
const MAX_SLOTS: usize = 1 << 28;

/// Tables are equal if their streams and logs are; slots do not count.
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
pub(super) fn resolve(streams: &Streams, stream: u32, seq: Seq) -> Option<(&LogId, Seq)> {
    let stream = streams.get(stream)?;
    let span = stream.spans.iter().rev().find(|span| span.from <= seq)?;
    Some((&span.log, span.seq + (seq - span.from)))
}

impl Stream {
    fn put(&self, out: &mut Vec<u8>) {
        put_slice(out, self.home.as_bytes());
        put_varint(out, self.spans.len() as u64);
        for span in &self.spans {
            put_varint(out, span.from);
            // Most spans are their stream's own log.
            put_slice(out, if span.log == self.home { b"" } else { span.log.as_bytes() });
            put_varint(out, span.seq);
        }
    }

    fn read(input: &mut Input<'_>, names: &mut Names) -> Option<Self> {
        let home = names.of(input.text()?);
        let mut spans = SmallVec::new();
        for _ in 0..input.varint()? {
            let (from, text, seq) = (input.varint()?, input.text()?, input.varint()?);
            let log = if text.is_empty() { home.clone() } else { names.of(text) };
            spans.push(StreamSpan { from, log, seq });
        }
        Some(Stream { home, slot: usize::MAX, spans })
    }
}

impl LogState {
    fn new(log: LogId) -> Self {
        let spans = SmallVec::new();
        LogState { log, touched: false, seq: 0, digest: Digest::default(), spans, writing: None }
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_slice(out, self.log.as_bytes());
        put_varint(out, self.seq);
        out.extend_from_slice(&self.digest.0);
        put_varint(out, self.writing.map_or(0, |stream| u64::from(stream) + 1));
        put_varint(out, self.spans.len() as u64);
        for span in &self.spans {
            put_varint(out, span.seq);
            put_varint(out, u64::from(span.stream));
            put_varint(out, span.from);
        }
    }

    fn read(input: &mut Input<'_>, names: &mut Names) -> Option<Self> {
        let log = names.of(input.text()?);
        let (seq, digest) = (input.varint()?, Digest(input.array()?));
        let writing = input.varint32()?.checked_sub(1);
        let mut spans = SmallVec::new();
        for _ in 0..input.varint()? {
            spans.push(LogSpan { seq: input.varint()?, stream: input.varint32()?, from: input.varint()? });
        }
        Some(LogState { log, touched: false, seq, digest, spans, writing })
    }
}

/// Shares one allocation for each log id, however often it is named.
#[derive(Default)]
struct Names(HashSet<LogId>);

impl Names {
    fn of(&mut self, text: &str) -> LogId {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let log = LogId::from(text);
        self.0.insert(log.clone());
        log
    }
}

impl Table {
    pub(super) fn streams(&self) -> &Streams {
        &self.streams
    }

    pub(super) fn log(&self, log: &str) -> Option<&LogState> {
        self.states.get(*self.slots.get(log)?)
    }

    /// Adds a log; returns its slot.
    fn add(&mut self, state: LogState) -> usize {
        let slot = self.states.len();
        self.slots.insert(state.log.clone(), slot);
        self.states.push(state);
        self.touch(slot);
        slot
    }

    /// Marks a log as changed, so that the next checkpoint writes it.
    fn touch(&mut self, slot: usize) {
        if let Some(state) = self.states.get_mut(slot).filter(|state| !state.touched) {
            state.touched = true;
            self.changed_logs.push(slot);
        }
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
        self.streams.len()
    }

    /// Where an entry is, and whether stored digests along its stream are those of its log.
    pub(super) fn locate(&self, log: &str, seq: Seq) -> Option<(EntryAt, bool)> {
        let state = self.log(log).filter(|state| (1..=state.seq).contains(&seq))?;
        let span = state.spans.iter().rev().find(|span| span.seq <= seq)?;
        let home = self.streams.get(span.stream).is_some_and(|stream| &*stream.home == log);
        Some((EntryAt { stream: span.stream, seq: span.from + (seq - span.seq) }, home))
    }

    /// Creates the next stream, for further entries of `log`.
    pub(super) fn define(&mut self, log: &LogId) -> u32 {
        let number = self.next_stream();
        let slot = self.slots.get(log).copied().unwrap_or_else(|| self.add(LogState::new(log.clone())));
        let mut seq = 1;
        if let Some(state) = self.states.get_mut(slot) {
            seq = state.seq + 1;
            state.spans.push(LogSpan { seq, stream: number, from: seq });
            state.writing = Some(number);
        }
        let spans = SmallVec::from_elem(StreamSpan { from: seq, log: log.clone(), seq }, 1);
        self.streams.push(Stream { home: log.clone(), slot, spans });
        self.changed_streams.push(number);
        self.touch(slot);
        number
    }

    /// Appends an entry to the log that `stream` currently extends; `None` if `seq` is not the log's next one. Returns the log's
    /// digest before.
    pub(super) fn append(&mut self, stream: u32, seq: Seq, digest: impl FnOnce(Digest) -> Digest) -> Option<Digest> {
        let slot = self.streams.get(stream)?.slot;
        let state = self.states.get_mut(slot)?;
        if state.writing != Some(stream) || seq != state.seq + 1 {
            return None;
        }
        let before = state.digest;
        state.seq = seq;
        state.digest = digest(before);
        if !state.touched {
            state.touched = true;
            self.changed_logs.push(slot);
        }
        Some(before)
    }

    /// Moves the entries of `log` from seq `from` on to the new log `to`. `None` if there is nothing to move, or if `to` exists.
    pub(super) fn relabel(&mut self, log: &str, from: Seq, to: &LogId, cut: Digest, moved: Digest) -> Option<()> {
        if self.slots.contains_key(to) {
            return None;
        }
        let slot = *self.slots.get(log)?;
        let state = self.states.get_mut(slot).filter(|state| (1..=state.seq).contains(&from))?;
        let count = state.seq - from + 1;
        let mut spans = SmallVec::new();
        // The first span with entries from `from` on is the last one that begins at `from` or before.
        let first = state.spans.iter().rposition(|span| span.seq <= from)?;
        for span in state.spans.iter().skip(first) {
            let seq = span.seq.max(from);
            let physical = span.from + (seq - span.seq);
            spans.push(LogSpan { seq: seq - from + 1, stream: span.stream, from: physical });
            let stream = self.streams.get_mut(span.stream)?;
            self.changed_streams.push(span.stream);
            let at = stream.spans.partition_point(|other| other.from < physical);
            stream.spans.retain(|other| other.from != physical);
            stream.spans.insert(at, StreamSpan { from: physical, log: to.clone(), seq: seq - from + 1 });
        }
        state.spans.retain(|span| span.seq < from);
        state.seq = from - 1;
        state.digest = cut;
        state.writing = None;
        if from == 1 {
            // Its streams keep the slot, which takes no more entries.
            self.slots.remove(log);
        }
        self.touch(slot);
        self.add(LogState { seq: count, digest: moved, spans, ..LogState::new(to.clone()) });
        Some(())
    }

    /// Writes the table; equal tables give equal bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.streams.len()));
        self.streams.iter().for_each(|stream| stream.put(out));
        let mut logs: Vec<_> = self.slots.values().filter_map(|slot| self.states.get(*slot)).collect();
        logs.sort_unstable_by_key(|state| &state.log);
        put_varint(out, logs.len() as u64);
        logs.iter().for_each(|state| state.put(out));
    }

    /// Reads what `encode` wrote.
    pub(super) fn decode(input: &mut Input<'_>) -> Option<Self> {
        let mut names = Names::default();
        let mut table = Table::default();
        for _ in 0..input.varint()? {
            table.streams.push(Stream::read(input, &mut names)?);
        }
        for _ in 0..input.varint()? {
            table.add(LogState::read(input, &mut names)?);
        }
        table.connect();
        Some(table)
    }

    /// What has changed since the last call.
    pub(super) fn take_changes(&mut self) -> TableChanges {
        let mut changes = TableChanges::default();
        let mut numbers = std::mem::take(&mut self.changed_streams);
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            let mut bytes = Vec::new();
            if let Some(stream) = self.streams.get(number) {
                stream.put(&mut bytes);
                changes.streams.push((number, bytes));
            }
        }
        for slot in std::mem::take(&mut self.changed_logs) {
            let Some(state) = self.states.get_mut(slot) else { continue };
            state.touched = false;
            let is_known = self.slots.get(&state.log) == Some(&slot);
            let bytes = is_known.then(|| {
                let mut bytes = Vec::new();
                state.put(&mut bytes);
                bytes
            });
            changes.logs.push((u32::try_from(slot).unwrap_or(u32::MAX), bytes));
        }
        changes
    }

    /// Numbers of streams and logs, for a checkpoint.
    pub(super) fn counts(&self) -> (u64, u64) {
        (u64::from(self.streams.len()), self.slots.len() as u64)
    }

    /// Rebuilds the table from its stored streams, in order, and logs, by slot.
    pub(super) fn load<'a>(
        streams: impl Iterator<Item = &'a [u8]>,
        logs: impl Iterator<Item = (u32, &'a [u8])>,
    ) -> Option<Self> {
        let mut names = Names::default();
        let mut table = Table::default();
        for bytes in streams {
            table.streams.push(Stream::read(&mut Input(bytes), &mut names)?);
        }
        for (slot, bytes) in logs {
            let state = LogState::read(&mut Input(bytes), &mut names)?;
            let slot = usize::try_from(slot).ok()?;
            // Slots of logs that no longer exist stay unused. Each stream and each relabel has created at most one slot.
            if slot < table.states.len() || slot > MAX_SLOTS {
                return None;
            }
            while table.states.len() < slot {
                table.states.push(LogState::new(LogId::from("")));
            }
            table.slots.insert(state.log.clone(), slot);
            table.states.push(state);
        }
        table.connect();
        Some(table)
    }

    /// Sets the slot of each stream's log, and clears the lists of changes.
    fn connect(&mut self) {
        for number in 0..self.streams.len() {
            if let Some(stream) = self.streams.get_mut(number) {
                stream.slot = self.slots.get(&stream.home).copied().unwrap_or(usize::MAX);
            }
        }
        self.changed_logs = Vec::new();
        self.states.iter_mut().for_each(|state| state.touched = false);
    }
}

#[cfg(test)]
mod tests;
