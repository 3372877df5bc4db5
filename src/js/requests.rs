//! The calls of [`Core`] that ask for something. Every `ask…` is answered by one `answer` notice with its id.

use std::path::Path;

use bytes::Bytes;
use napi_derive::napi;

use super::error::{thrown, Result};
use super::filter::JsFilter;
use super::level::LevelHandle;
use super::options::{open_level, open_read_only};
use super::{change, Core};
use crate::emitter::{Cursor, Request};
use crate::node::{Key, NotAKey};
use crate::store::{Meta, Order, ReadLimit, Span};

#[napi]
impl Core {
    /// Asks for a node; `wants` is 1 for its whole value. Every `ask…` is answered by one `answer` notice with its id.
    #[napi(catch_unwind)]
    pub fn ask_node(&self, id: u32, key: String, wants: u32) -> Result<()> {
        let key = parse_key(&key)?;
        self.desk.borrow_mut().reads.insert(id, wants);
        self.emitter.borrow().request(id, Request::Get(key));
        Ok(())
    }

    /// Asks for a fact.
    #[napi(catch_unwind)]
    pub fn ask_fact(&self, id: u32, fact: String) {
        self.emitter.borrow().request(id, Request::MetaGet(meta(fact)));
    }

    /// Sets a fact, durably; deletes it without a value.
    #[napi(catch_unwind)]
    pub fn set_fact(&self, id: u32, fact: String, value: Option<String>) {
        self.emitter.borrow().request(id, Request::MetaSet(vec![(meta(fact), value.map(Bytes::from))]));
    }

    /// Asks for the records of all subscriptions: JSON, a list of name, change and text.
    #[napi(catch_unwind)]
    pub fn ask_consumers(&self, id: u32) {
        self.emitter.borrow().request(id, Request::Consumers);
    }

    /// Sets or deletes records of the subscription `name`, atomically and durably.
    #[napi(catch_unwind)]
    pub fn set_consumer(&self, id: u32, name: String, records: Vec<JsRecord>) {
        self.emitter.borrow().request(id, Request::MetaSet(facts(&name, records)));
    }

    /// Asks for rows after change `from`, or before it when `reverse`; `wants` is 1 for whole values.
    #[napi(catch_unwind)]
    pub fn ask_rows(&self, id: u32, from: f64, reverse: bool, rows: u32, bytes: u32, wants: u32) {
        self.desk.borrow_mut().reads.insert(id, wants);
        let limit = ReadLimit { rows: rows as usize, bytes: bytes as usize };
        self.emitter.borrow().request(id, Request::Read { from: change(from), reverse, limit });
    }

    /// Asks for rows whose events `filter` wants: after change `from` and up to `bound`, or, when `reverse`, before `from`
    /// and after `bound`.
    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments)] // What `ask_rows` takes, and two more.
    pub fn ask_search(
        &self,
        id: u32,
        filter: JsFilter,
        from: f64,
        bound: f64,
        reverse: bool,
        rows: u32,
        bytes: u32,
        wants: u32,
    ) -> Result<()> {
        let filter = filter.read().map_err(|error| thrown(&error))?;
        let (from, bound) = (change(from), change(bound));
        let (span, order) = if reverse {
            (Span { after: bound, until: from.saturating_sub(1) }, Order::Down)
        } else {
            (Span { after: from, until: bound }, Order::Up)
        };
        let limit = ReadLimit { rows: rows as usize, bytes: bytes as usize };
        self.desk.borrow_mut().reads.insert(id, wants);
        self.emitter.borrow().request(id, Request::Search { filter, span, order, limit });
        Ok(())
    }

    /// Asks for the index that searches need to be brought up to date; `progress` notices come before the answer.
    #[napi(catch_unwind)]
    pub fn ask_search_index(&self, id: u32) {
        self.emitter.borrow().request(id, Request::PrepareSearch);
    }

    /// Asks to be told once the log ends after change `after`.
    #[napi(catch_unwind)]
    pub fn ask_growth(&self, id: u32, after: f64) {
        self.emitter.borrow().request(id, Request::Wait(change(after)));
    }

    /// Asks for the event of a portable cursor. The answer has its change as the number, or, if it is not stored, a text about what
    /// is stored in its place. With `wait`, the answer comes once the event is stored.
    #[napi(catch_unwind)]
    pub fn ask_place(&self, id: u32, log: String, seq: f64, key: Option<String>, wait: bool) -> Result<()> {
        let key = key.as_deref().map(parse_key).transpose()?;
        let cursor = Cursor { log: log.into(), seq: change(seq), key };
        let request = if wait { Request::Await(cursor) } else { Request::Find(cursor) };
        self.emitter.borrow().request(id, request);
        Ok(())
    }

    /// Cancels the `ask_place` with this id.
    #[napi(catch_unwind)]
    pub fn forget_place(&self, id: u32) {
        self.emitter.borrow().forget_await(id);
    }

    /// Asks for the nodes that nothing links to.
    #[napi(catch_unwind)]
    pub fn ask_heads(&self, id: u32) {
        self.emitter.borrow().request(id, Request::Heads);
    }

    /// Asks for the digest over all logs.
    #[napi(catch_unwind)]
    pub fn ask_digest(&self, id: u32) {
        self.emitter.borrow().request(id, Request::Digest);
    }

    /// Asks for runtime statistics.
    #[napi(catch_unwind)]
    pub fn ask_stats(&self, id: u32) {
        self.emitter.borrow().request(id, Request::Stats);
    }

    /// Checks everything stored; `progress` notices come before the answer.
    #[napi(catch_unwind)]
    pub fn ask_verify(&self, id: u32) {
        self.emitter.borrow().request(id, Request::Verify);
    }

    /// Makes a backup in a folder; with `copy`, without links.
    #[napi(catch_unwind)]
    pub fn ask_backup(&self, id: u32, folder: String, copy: bool) {
        self.emitter.borrow().request(id, Request::Backup { folder: folder.into(), copy });
    }

    /// Restores the backup in a folder as a new store in another one.
    #[napi(catch_unwind)]
    pub fn ask_restore(&self, id: u32, backup: String, folder: String) {
        self.emitter.borrow().request(id, Request::Restore { backup: backup.into(), folder: folder.into() });
    }

    /// Replaces our version of a log by that of peers; the answer is the log to which ours has moved.
    #[napi(catch_unwind)]
    pub fn ask_adoption(&self, id: u32, log: String, theirs: Option<String>) -> Result<()> {
        let theirs = theirs.as_deref().map(parse_key).transpose()?;
        self.emitter.borrow().request(id, Request::Adopt(log.into(), theirs));
        Ok(())
    }

    /// Copies another store into the log: the Level database of `level`, or the embedded store in a folder, which is only
    /// read. With `identity`, its
    /// emitter's id and its records of peers are copied, too, if this store has none yet.
    #[napi(catch_unwind)]
    pub fn ask_import(&self, id: u32, path: String, level: Option<&LevelHandle>, identity: bool) {
        let bridge = level.map(LevelHandle::bridge);
        let open = move || match bridge {
            Some(bridge) => open_level(bridge, &mut |_, _| {}),
            None => open_read_only(Path::new(&path), &mut |_, _| {}),
        };
        self.emitter.borrow().request(id, Request::Import { open: Box::new(open), identity });
    }

    /// Accepts peers on a port of a host, or of all addresses; the answer is the address bound.
    #[napi(catch_unwind)]
    pub fn ask_listen(&self, id: u32, host: Option<String>, port: u16) {
        self.emitter.borrow().request(id, Request::Listen { host, port });
    }
}

/// A record of a subscription.
#[napi(object)]
pub struct JsRecord {
    /// The change of the event that it is about; 0 for the subscription itself.
    pub change: f64,
    /// Its text; without one it is deleted.
    pub text: Option<String>,
}

/// Records of the subscription `name` as facts.
pub(super) fn facts(name: &str, records: Vec<JsRecord>) -> Vec<(Meta, Option<Bytes>)> {
    let fact =
        |record: JsRecord| (Meta::Consumer(name.to_owned(), change(record.change)), record.text.map(Bytes::from));
    records.into_iter().map(fact).collect()
}

fn parse_key(text: &str) -> Result<Key> {
    text.parse().map_err(|error: NotAKey| thrown(&error.into()))
}

/// `storeId`, `peers` and `myEventPeer` are 1.x's records, `schemas` is ours; anything else is a named consumer's position.
fn meta(fact: String) -> Meta {
    match fact.as_str() {
        "storeId" => Meta::StoreId,
        "peers" => Meta::Peers,
        "myEventPeer" => Meta::MyEventPeer,
        "schemas" => Meta::Schemas,
        _ => Meta::Position(fact.strip_prefix("position:").map_or_else(|| fact.clone(), ToOwned::to_owned)),
    }
}
