'use strict'

/**
 * Layouts of what the native half packs into buffers; src/js/packed.rs is the other end and says more. Sizes are in bytes.
 */
module.exports = {
  HEAD_BYTES: 16,

  ACK_BYTES: 32,
  ACK_NODE: 0,
  ACK_NEXT_NODE: 1,
  ACK_RUN: 2,
  ACK_ERROR: 3,

  EVENT_BYTES: 24,

  ROW_BYTES: 56,
  /** `name length` of a row whose value is no event container. */
  NOT_AN_EVENT: 0xffffffff,
  /** Stands for a name or log that has no number. */
  UNNUMBERED: 0xffffffff,
  /** Asks for rows with whole values instead of payloads. */
  WHOLE_VALUES: 1,

  KEY_LENGTH: 64,

  /** In the result of the calls that move data. */
  MORE_ACKS: 1,
  MORE_EVENTS: 2,
  MORE_NOTICES: 4
}
