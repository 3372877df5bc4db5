'use strict'

/** What happened when a link ended for these reasons. The text of its error is 1.x's, which says nothing about that. */
const ORDERLY = {
  closing: 'the peer closes',
  dropped: 'the link was destroyed here',
  ended: 'the peer closed the connection',
  renewed: 'the link is replaced by a new one'
}

/**
 * Why a link ended, in words.
 * @param {string} reason `reason` of `disconnected` and of `lastEnd` in `stats()`
 * @param {string} message text of the link's error
 */
exports.endText = (reason, message) => ORDERLY[reason] ?? message
