//! The Node-API interface: classes that convert arguments, call the core and convert results. Everything else is pulled by
//! lib/, which owns listeners, callbacks and their order.

// napi passes arguments as owned values.
#![allow(clippy::needless_pass_by_value)]

pub mod codec;
mod derived;
pub mod doorbell;
pub mod emit_buffer;
pub mod error;
pub mod filter;
pub mod layout;
pub mod leaving;
pub mod level;
pub mod links;
pub mod names;
pub mod notice;
pub mod options;
pub mod pack;
pub mod requests;
pub mod seals;
pub mod trust;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use napi::bindgen_prelude::{BufferSlice, Function};
use napi::Env;
use napi_derive::napi;

use self::doorbell::Doorbell;
use self::error::{internal, thrown, Result};
use self::filter::JsFilter;
use self::layout::{MORE_ACKS, MORE_EVENTS, MORE_NOTICES};
use self::leaving::Leaving;
use self::level::LevelHandle;
use self::names::{Interest, TextTable};
use self::notice::{JsNotice, Tables};
use self::options::{settings, source, CoreOptions};
use self::requests::{facts, JsRecord};
use crate::emitter::{Bell, Emitter};
use crate::event::Encoding;
use crate::hyperlog::{Ack, Batch, Condition, Demands};
use crate::net::pipe::Carrier;
use crate::node::{Change, Key};
use crate::row::Row;
use crate::store::ReadLimit;

/// Acks taken from the core at a time. Those that do not fit into the buffer wait here.
const ACKS: usize = 256;

/// Rows, and bytes of them, taken from the core at a time for listeners.
const EVENTS: ReadLimit = ReadLimit { rows: 256, bytes: 64 * 1024 };

/// Batches of rows looked at in one call while none of them has listeners.
const IDLE_BATCHES: usize = 16;

/// What has been taken from the core and not yet handed to JavaScript, and the tables both ends share.
#[derive(Default)]
struct Desk {
    names: TextTable,
    logs: TextTable,
    interest: Interest,
    acks: VecDeque<Ack>,
    last_key: Option<Key>,
    /// Rows taken for listeners. They are kept until the next ones are taken, so that a listener added in the meantime hears the
    /// rest of them.
    rows: Vec<Row>,
    /// The row format that each pending read asked for.
    reads: HashMap<u32, u32>,
    /// The ends of streams that JavaScript carries.
    streams: HashMap<u32, Carrier>,
}

/// The native half of one emitter. Belongs to one environment; nothing here is shared between environments.
#[napi]
pub struct Core {
    emitter: RefCell<Arc<Emitter>>,
    bell: Arc<Doorbell>,
    desk: RefCell<Desk>,
    leaving: RefCell<Option<Leaving>>,
}

#[napi]
impl Core {
    /// Opens the store in the background; a `ready` or `failed` notice follows. `bell` is called without arguments when something
    /// waits to be taken. With `level`, the log is kept in its Level database.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        env: Env,
        options: CoreOptions,
        bell: Function<'_, (), ()>,
        level: Option<&LevelHandle>,
    ) -> Result<Self> {
        let bridge = level.map(LevelHandle::bridge);
        let bell = Arc::new(Doorbell::new(&bell).map_err(|error| internal(&error))?);
        let ringer: Arc<dyn Bell> = bell.clone();
        let leaving_bridge = bridge.as_ref().map(Arc::downgrade);
        let source = source(&options, bridge);
        let settings = settings(&options).map_err(|error| thrown(&error))?;
        let emitter = Emitter::open(source, settings, ringer).map_err(|error| thrown(&error))?;
        let leaving = Leaving::register(&env, &emitter, &bell, leaving_bridge).map_err(|error| internal(&error))?;
        let desk = Desk { logs: TextTable::for_logs(), ..Desk::default() };
        Ok(Core {
            emitter: RefCell::new(emitter),
            bell,
            desk: RefCell::new(desk),
            leaving: RefCell::new(Some(leaving)),
        })
    }

    /// The number by which an emit names its event; `undefined` when there are too many names.
    #[napi(catch_unwind)]
    pub fn name_number(&self, name: String) -> Option<u32> {
        self.desk.borrow_mut().names.number(&name)
    }

    /// The event name with a number that packed rows use.
    #[napi(catch_unwind)]
    pub fn name_text(&self, number: u32) -> String {
        self.desk.borrow().names.text(number).map_or_else(String::new, ToString::to_string)
    }

    /// The log id with a number that packed acks and rows use.
    #[napi(catch_unwind)]
    pub fn log_text(&self, number: u32) -> String {
        self.desk.borrow().logs.text(number).map_or_else(String::new, ToString::to_string)
    }

    /// Sets the number by which JavaScript knows the listeners of an event name; no number means that there are no listeners.
    #[napi(catch_unwind)]
    pub fn set_interest(&self, name: String, number: Option<u32>) {
        self.desk.borrow_mut().interest.set(&name, number);
    }

    /// Appends the emits in the first `length` bytes of `records`. Returns whether something waits to be taken.
    #[napi(catch_unwind)]
    pub fn flush(&self, records: &[u8], length: u32) -> Result<bool> {
        let records = records.get(..length as usize).unwrap_or(records);
        let names = &self.desk.borrow().names;
        let batches = emit_buffer::batches(records, |number| names.text(number)).map_err(|error| thrown(&error))?;
        Ok(self.emitter.borrow().append_all(batches))
    }

    /// Appends one event that does not fit the emit buffer, or whose name has no number.
    #[napi(catch_unwind)]
    pub fn append(
        &self,
        name: String,
        payload: &[u8],
        ack: u8,
        encoding: u8,
        tags: Option<Vec<String>>,
    ) -> Result<bool> {
        let ack = emit_buffer::ack_kind(ack.into()).map_err(|error| thrown(&error))?;
        let mut batch = Batch::default();
        let tags = tags.unwrap_or_default();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let encoding = Encoding::from_mark(u64::from(encoding));
        batch.push_tagged(&name.into(), payload, &tags, encoding, ack).map_err(|error| thrown(&error))?;
        Ok(self.emitter.borrow().append(batch))
    }

    /// Appends events that are stored together or not at all. Each record names its event by an index into `names`. A second append
    /// with the same `id` is taken for a repetition. With `items`, the append fails if an event that matches them was stored after
    /// change `after`. `kept` records of the subscription `consumer` are stored in the same commit.
    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments)] // All that an append may demand.
    pub fn append_batch(
        &self,
        names: Vec<String>,
        records: &[u8],
        id: Option<String>,
        items: Option<JsFilter>,
        after: Option<f64>,
        consumer: Option<String>,
        kept: Option<Vec<JsRecord>>,
    ) -> Result<bool> {
        let names: Vec<Arc<str>> = names.into_iter().map(Arc::from).collect();
        let mut batch =
            emit_buffer::batch(records, |number| names.get(number as usize)).map_err(|error| thrown(&error))?;
        let condition = |items: JsFilter| -> crate::error::Result<Condition> {
            let query = items.read()?.query;
            Ok(Condition { query, after: change(after.unwrap_or_default()) })
        };
        let fail_if = items.map(condition).transpose();
        let facts = facts(&consumer.unwrap_or_default(), kept.unwrap_or_default());
        let demands = fail_if.map(|fail_if| Demands { id: id.map(String::into_boxed_str), fail_if, facts });
        demands.and_then(|demands| batch.make_demanding(demands)).map_err(|error| thrown(&error))?;
        Ok(self.emitter.borrow().append(batch))
    }

    /// Packs acks into `out` from byte `base` on. Returns what else waits.
    #[napi(catch_unwind)]
    pub fn take_acks(&self, mut out: BufferSlice<'_>, base: u32) -> u32 {
        self.bell.answer();
        let desk = &mut *self.desk.borrow_mut();
        if desk.acks.is_empty() {
            desk.acks.extend(self.emitter.borrow().take_acks(ACKS));
        }
        let out = out.get_mut(base as usize..).unwrap_or_default();
        pack::pack_acks(&mut desk.acks, out, &mut desk.logs, &mut desk.last_key);
        self.waiting(desk)
    }

    /// Packs events after change `after` that have listeners into `out` from byte `base` on. Returns what else waits.
    ///
    /// Events come after their callbacks: while acks wait, no event is packed.
    #[napi(catch_unwind)]
    pub fn take_events(&self, mut out: BufferSlice<'_>, base: u32, after: f64) -> u32 {
        self.bell.answer();
        let desk = &mut *self.desk.borrow_mut();
        let out = out.get_mut(base as usize..).unwrap_or_default();
        pack::pack_events(&[], 0, out, &desk.interest);
        if !desk.acks.is_empty() {
            return self.waiting(desk);
        }
        if desk.interest.is_empty() {
            desk.rows.clear();
            self.emitter.borrow().skip_events();
            return self.waiting(desk);
        }
        let after = change(after);
        let mut batches = 0;
        // The rows that were taken are packed before this returns, because there may be no further call.
        while pack::pack_events(&desk.rows, after, out, &desk.interest) == 0 && !needs_room(out) {
            if batches == IDLE_BATCHES {
                break;
            }
            batches += 1;
            desk.rows = self.emitter.borrow().take_events(EVENTS.rows, EVENTS.bytes);
            if desk.rows.is_empty() {
                break;
            }
        }
        self.waiting(desk)
    }

    /// Takes everything else that happened, in order.
    #[napi(catch_unwind)]
    pub fn take_notices(&self) -> Vec<JsNotice> {
        self.bell.answer();
        let notices = self.emitter.borrow().take_notices();
        let desk = &mut *self.desk.borrow_mut();
        let mut tables = Tables { names: &mut desk.names, logs: &mut desk.logs };
        let reads = &mut desk.reads;
        notices
            .into_iter()
            .map(|notice| JsNotice::from(notice, |id| reads.remove(&id).unwrap_or_default(), &mut tables))
            .collect()
    }

    /// Whether committed events have not been taken yet; the bell rings when they can be.
    #[napi(catch_unwind)]
    pub fn behind(&self) -> bool {
        self.emitter.borrow().has_events()
    }

    /// The last change stored; 0 before the store is open.
    #[napi(catch_unwind)]
    #[allow(clippy::cast_precision_loss)] // Changes stay below 2^53.
    pub fn changes(&self) -> f64 {
        self.emitter.borrow().last_change() as f64
    }

    /// How many stored events are not in the index that a search needs; 0 before the store is open.
    #[napi(catch_unwind)]
    #[allow(clippy::cast_precision_loss)] // Changes stay below 2^53.
    pub fn unindexed(&self) -> f64 {
        self.emitter.borrow().unindexed() as f64
    }

    /// The change up to which no event waits to be packed for listeners, if listeners have been given all events up to `after`.
    #[napi(catch_unwind)]
    #[allow(clippy::cast_precision_loss)] // Changes stay below 2^53.
    pub fn delivered(&self, after: f64) -> f64 {
        let desk = self.desk.borrow();
        let waiting = pack::first_event(&desk.rows, change(after), &desk.interest);
        waiting.map_or_else(|| self.emitter.borrow().delivered(), |change| change.saturating_sub(1)) as f64
    }

    /// Ends a link abruptly. A link that this emitter dialled is dialled again.
    #[napi(catch_unwind)]
    pub fn drop_link(&self, key: String) {
        self.emitter.borrow().drop_link(&key);
    }

    /// Finishes what waits and closes the store.
    #[napi(catch_unwind)]
    pub fn close(&self, id: u32) {
        self.emitter.borrow().close(id);
    }

    /// Releases everything, after `close` has been answered. When this returns, the emitter's descriptors, threads and memory are
    /// free, even if this object is collected much later. The bell never rings again, and all further requests fail.
    #[napi(catch_unwind)]
    pub fn release(&self, env: Env) {
        self.bell.silence();
        if let Some(leaving) = self.leaving.borrow_mut().take() {
            leaving.cancel(&env);
        }
        let desk = &mut *self.desk.borrow_mut();
        (desk.acks, desk.rows, desk.reads, desk.streams) = Default::default();
        let closed = self.emitter.borrow().closed();
        drop(self.emitter.replace(closed));
    }

    fn waiting(&self, desk: &Desk) -> u32 {
        let waiting = self.emitter.borrow().waiting();
        let acks = waiting.acks || !desk.acks.is_empty();
        u32::from(acks) * MORE_ACKS
            + u32::from(self.emitter.borrow().has_events_at_hand()) * MORE_EVENTS
            + u32::from(waiting.notices) * MORE_NOTICES
    }
}

/// Whether a pack says that nothing fitted.
fn needs_room(out: &[u8]) -> bool {
    out.get(layout::word(layout::NEED_WORD)..).and_then(<[u8]>::first_chunk).is_some_and(|need| *need != [0; 4])
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Saturates, which is what is meant.
fn change(number: f64) -> Change {
    number as Change
}
