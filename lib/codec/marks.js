'use strict'

/**
 * The marks that tell how an event's payload is encoded (docs/design/log.md, "Event container"; src/event.rs).
 *
 * Bytes of 1.x's encoding are the same under `PLAIN` and `EXACT`, but for messages with bare fields (src/codec/v1/bare_fields.rs):
 * of these, 2.0 wrote every length before `EXACT` existed. The native half gives events of 1.x `EXACT`.
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
