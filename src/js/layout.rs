//! The layout of the buffers through which the two halves exchange data. This is its only definition: lib/native/layout.js
//! repeats it for speed, and a test compares the two ([`layout`]).
//!
//! Numbers are little-endian; `f64` where JavaScript wants a number beyond 2^32. Sizes are in bytes. All other positions
//! count from the start of the head, or of the record, in elements of the typed array through which JavaScript reads the
//! number: 4 bytes for `…_WORD`, 8 bytes for `…_DOUBLE`.
//!
//! A *pack* begins at a multiple of 8 with a head (`HEAD_BYTES`). Then comes one record for each ack, event or row, and then the
//! data that belongs to the records, in their order:
//!
//! | pack | after its records |
//! | --- | --- |
//! | acks | the hex keys of all nodes, then the hex keys of their links, then their values |
//! | events | their payloads |
//! | rows | for each: hex key, hex keys of its links, name (only without a number), body, identity, signature, tags |
//!
//! In an ack that is an error, the value is the JSON text of the error's fields (`error.rs`). The body of a row is the payload, or
//! the whole value when that was asked for or the value is no event container.
//!
//! An emit goes the other way: a record, then its payload, then its tags if it says so, padded to a multiple of
//! `EMIT_ALIGNMENT`. The tags of an emit begin with a byte that counts them. A tag is one byte (its length minus 1), and then its text.
//!
//! A batch begins with a record of its own, its head; the emits of the batch follow. The head's payload is what the batch demands:
//! a byte of flags (`DEMAND_ID`, `DEMAND_CONDITION`), the id as a list of one tag, the change of the condition (`f64`), a byte that
//! counts the condition's items, and for each item its names and its tags, as two lists of tags.

use std::collections::HashMap;

use napi_derive::napi;

/// Defines constants, and a list of all of them with their names.
macro_rules! constants {
    ($($(#[$about:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$about])* pub const $name: u32 = $value;)*

        /// All constants by name.
        const ALL: &[(&str, u32)] = &[$((stringify!($name), $name)),*];
    };
}

constants! {
    /// The head of a pack.
    HEAD_BYTES = 16;
    /// Records.
    COUNT_WORD = 0;
    /// Of acks: how many have a key.
    KEYS_WORD = 1;
    /// Bytes of the whole pack, a multiple of 8.
    USED_WORD = 2;
    /// 0; or, if nothing fitted, how many bytes are enough for the first record.
    NEED_WORD = 3;
    /// Of rows: 1 if these are the last ones.
    DONE_WORD = 1;
    /// Of rows: the change after which to continue.
    NEXT_DOUBLE = 1;

    /// An ack.
    ACK_BYTES = 32;
    /// Change of a node.
    ACK_CHANGE_DOUBLE = 0;
    /// Seq of a node; emits of a run.
    ACK_SEQ_DOUBLE = 1;
    /// One of the kinds below.
    ACK_KIND_WORD = 4;
    /// Links of a node.
    ACK_LINKS_WORD = 5;
    /// Bytes of its value.
    ACK_VALUE_LENGTH_WORD = 6;
    /// Number of a node's log.
    ACK_LOG_WORD = 7;

    /// A node.
    ACK_NODE = 0;
    /// A node whose only link is the node acknowledged before it; that link is left out.
    ACK_NEXT_NODE = 1;
    /// As many emits as the seq says, which asked for no node.
    ACK_RUN = 2;
    /// An error.
    ACK_ERROR = 3;

    /// An event for listeners.
    EVENT_BYTES = 24;
    /// Its change.
    EVENT_CHANGE_DOUBLE = 0;
    /// The number under which JavaScript knows its listeners.
    EVENT_LISTENERS_WORD = 2;
    /// Bytes of its payload.
    EVENT_PAYLOAD_LENGTH_WORD = 3;
    /// How the payload is encoded.
    EVENT_ENCODING_WORD = 4;

    /// A row for readers.
    ROW_BYTES = 64;
    /// Its change.
    ROW_CHANGE_DOUBLE = 0;
    /// Its seq.
    ROW_SEQ_DOUBLE = 1;
    /// Time of the event; NaN if it has none.
    ROW_TIME_DOUBLE = 2;
    /// Number of the event's name.
    ROW_NAME_WORD = 6;
    /// Number of the log.
    ROW_LOG_WORD = 7;
    /// Bytes of the name, if it is spelled out; or [`NOT_AN_EVENT`].
    ROW_NAME_LENGTH_WORD = 8;
    /// Bytes of the body.
    ROW_BODY_LENGTH_WORD = 9;
    /// How the payload is encoded.
    ROW_ENCODING_WORD = 10;
    /// Links.
    ROW_LINKS_WORD = 11;
    /// Bytes of the identity, plus one; 0 if there is none.
    ROW_IDENTITY_WORD = 12;
    /// Bytes of the signature, plus one; 0 if there is none.
    ROW_SIGNATURE_WORD = 13;
    /// Bytes of the tags.
    ROW_TAGS_WORD = 14;

    /// In place of a name's length: the value is not an event container.
    NOT_AN_EVENT = u32::MAX;
    /// In place of the number of a name or a log that has none.
    UNNUMBERED = u32::MAX;
    /// Asks for rows with whole values instead of payloads.
    WHOLE_VALUES = 1;
    /// A key in hexadecimal.
    KEY_LENGTH = 64;

    /// An emit.
    EMIT_HEAD_BYTES = 8;
    /// Bytes of its payload.
    EMIT_LENGTH_WORD = 0;
    /// The name's number in 16 bits, then the kind of answer and the encoding of the payload, in 8 bits each.
    EMIT_FLAGS_WORD = 1;
    /// Bit position of the kind of answer in the flags.
    EMIT_ACK_SHIFT = 16;
    /// Bit position of the encoding in the flags.
    EMIT_ENCODING_SHIFT = 24;
    /// A bit of the encoding: tags follow the payload.
    EMIT_TAGGED = 0x80;
    /// An emit begins at a multiple of this.
    EMIT_ALIGNMENT = 4;
    /// Asks only whether the event was stored.
    ASK_PLAIN = 1;
    /// Asks for its node.
    ASK_NODE = 2;
    /// Marks the head of a batch. In place of a name's number it has the number of the batch's events.
    BATCH = 3;
    /// The batch has an id.
    DEMAND_ID = 1;
    /// The batch has a condition.
    DEMAND_CONDITION = 2;

    /// In the result of the calls that move data: more acks wait.
    MORE_ACKS = 1;
    /// Events can be taken at once.
    MORE_EVENTS = 2;
    /// Notices wait.
    MORE_NOTICES = 4;
}

/// All constants by name, for the test that compares the two halves.
#[napi(catch_unwind)]
#[must_use]
pub fn layout() -> HashMap<String, u32> {
    ALL.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

/// The byte at which a word is.
pub(super) const fn word(index: u32) -> usize {
    4 * index as usize
}

/// The byte at which a double is.
pub(super) const fn double(index: u32) -> usize {
    8 * index as usize
}
