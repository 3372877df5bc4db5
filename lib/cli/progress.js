'use strict'

const { count, duration, perSecond } = require('./format')

/** Milliseconds between two redraws: smooth to the eye, and no load for a terminal. */
const REDRAW_MS = 100

/** Milliseconds before the bar appears: short work needs none. */
const QUIET_MS = 300

/**
 * One line of progress, at most `width` characters.
 * @param {{label: string, done: number, total?: number, seconds: number, width: number, format?: (n: number) => string}} state
 *   `total` 0 or absent means unknown; then neither the bar nor the remaining time is shown
 * @returns {string}
 */
function line ({ label, done, total, seconds, width, format = count }) {
  const rate = seconds > 0 ? done / seconds : 0
  if (!total) return `${label} ${format(done)} ${perSecond(rate)}`.slice(0, width)
  const part = Math.min(1, done / total)
  const left = rate > 0 && part < 1 ? ` ${duration((total - done) / rate)} left` : ''
  const text = ` ${String(Math.floor(part * 100)).padStart(3)}% ${format(done)}/${format(total)} ${perSecond(rate)}${left}`
  const room = Math.min(30, width - label.length - text.length - 3)
  if (room < 5) return `${label}${text}`.slice(0, width)
  const full = Math.round(part * room)
  return `${label} [${'#'.repeat(full)}${'-'.repeat(room - full)}]${text}`
}

/**
 * Progress of long work on a terminal; on anything else it does nothing.
 * @param {{stream: NodeJS.WriteStream, label: string, format?: (n: number) => string, now?: () => number}} options
 * @returns {{update: (done: number, total?: number) => void, end: () => void}} `end` removes the line
 */
function progress ({ stream, label, format, now = () => performance.now() }) {
  if (!stream.isTTY) return { update () {}, end () {} }
  const started = now()
  let drawn = started + QUIET_MS - REDRAW_MS
  let shown = false
  return {
    update (done, total) {
      const at = now()
      if (at - drawn < REDRAW_MS) return
      drawn = at
      shown = true
      const width = (stream.columns || 80) - 1
      stream.write(`\r\x1b[K${line({ label, done, total, seconds: (at - started) / 1000, width, format })}`)
    },
    end () {
      if (shown) stream.write('\r\x1b[K')
      shown = false
    }
  }
}

module.exports = { line, progress }
