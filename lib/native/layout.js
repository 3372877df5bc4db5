'use strict'

/**
 * The layout of the buffers through which the two halves exchange data. src/js/layout.rs is its definition and says more; a
 * test compares the two.
 *
 * Sizes are in bytes. All other positions count from the start of the head, or of the record, in elements of the typed array
 * through which the number is read: 4 bytes for `…_WORD`, 8 bytes for `…_DOUBLE`.
 */
module.exports = {
  // The head of a pack.
  HEAD_BYTES: 16,
  COUNT_WORD: 0,
  /** Of acks: how many have a key. */
  KEYS_WORD: 1,
  USED_WORD: 2,
  /** If nothing fitted: how many bytes are enough for the first record. */
  NEED_WORD: 3,
  /** Of rows: whether these are the last ones, and the change after which to continue. */
  DONE_WORD: 1,
  NEXT_DOUBLE: 1,

  // An ack.
  ACK_BYTES: 32,
  ACK_CHANGE_DOUBLE: 0,
  ACK_SEQ_DOUBLE: 1,
  ACK_KIND_WORD: 4,
  ACK_LINKS_WORD: 5,
  ACK_VALUE_LENGTH_WORD: 6,
  ACK_LOG_WORD: 7,
  // Kinds of acks.
  ACK_NODE: 0,
  /** A node whose only link is the node acknowledged before it. */
  ACK_NEXT_NODE: 1,
  /** As many emits as `seq` says, which asked for no node. */
  ACK_RUN: 2,
  ACK_ERROR: 3,

  // An event for listeners.
  EVENT_BYTES: 24,
  EVENT_CHANGE_DOUBLE: 0,
  EVENT_LISTENERS_WORD: 2,
  EVENT_PAYLOAD_LENGTH_WORD: 3,
  EVENT_ENCODING_WORD: 4,

  // A row for readers.
  ROW_BYTES: 64,
  ROW_CHANGE_DOUBLE: 0,
  ROW_SEQ_DOUBLE: 1,
  /** NaN where the event has no time. */
  ROW_TIME_DOUBLE: 2,
  ROW_NAME_WORD: 6,
  ROW_LOG_WORD: 7,
  ROW_NAME_LENGTH_WORD: 8,
  ROW_BODY_LENGTH_WORD: 9,
  ROW_ENCODING_WORD: 10,
  ROW_LINKS_WORD: 11,
  /** Lengths plus one; 0 where there is none. */
  ROW_IDENTITY_WORD: 12,
  ROW_SIGNATURE_WORD: 13,
  ROW_TAGS_WORD: 14,
  /** The length of the name of a row whose value is not an event container. */
  NOT_AN_EVENT: 0xffffffff,
  /** The number of a name or log that has none. */
  UNNUMBERED: 0xffffffff,
  /** Asks for rows with whole values instead of payloads. */
  WHOLE_VALUES: 1,

  /** A key in hexadecimal. */
  KEY_LENGTH: 64,

  // An emit, as JavaScript writes it.
  EMIT_HEAD_BYTES: 8,
  EMIT_LENGTH_WORD: 0,
  /** The name's number, and in the higher bits the kind of answer and the encoding of the payload. */
  EMIT_FLAGS_WORD: 1,
  EMIT_ACK_SHIFT: 16,
  EMIT_ENCODING_SHIFT: 24,
  /** A bit of the encoding: tags follow the payload. */
  EMIT_TAGGED: 0x80,
  EMIT_ALIGNMENT: 4,
  /** Kinds of answers: only whether the event is stored, or its node. */
  ASK_PLAIN: 1,
  ASK_NODE: 2,
  /** Marks the head of a batch: the number of its events, which follow, and what the batch demands. */
  BATCH: 3,
  DEMAND_ID: 1,
  DEMAND_CONDITION: 2,

  // What waits, in the result of the calls that move data.
  MORE_ACKS: 1,
  MORE_EVENTS: 2,
  MORE_NOTICES: 4
}
