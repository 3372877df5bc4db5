'use strict'

/**
 * The marks that tell how an event's payload is encoded (docs/design/log.md, "Event container"; src/event.rs).
 *
 * `PLAIN` and `EXACT` differ only for messages with bare fields (src/codec/v1/bare_fields.rs): before `EXACT` existed, 2.0
 * wrote these fields with their lengths. The native half marks events of 1.x as `EXACT`.
 */
module.exports = {
  /** 1.x's encoding, with every length. The mark of custom codecs, too. */
  PLAIN: 0,
  /** Standard protobuf. */
  STANDARD: 1,
  /** 1.x's encoding, byte for byte. */
  EXACT: 2,
  /** The largest mark that this version knows. */
  LAST: 2
}
