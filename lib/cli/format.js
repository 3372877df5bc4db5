'use strict'

const { forTerminal } = require('./escape')

/** 1234567 → 1,234,567 @param {number} number */
function count (number) {
  return Math.round(number).toLocaleString('en-US')
}

/** 1 event, 1,234 events @param {number} number @param {string} noun @param {string} [plural] */
function counted (number, noun, plural = `${noun}s`) {
  return `${count(number)} ${number === 1 ? noun : plural}`
}

/** Bytes for people: 1536 → 1.5 KiB @param {number} bytes */
function size (bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let unit = 0
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024
    unit++
  }
  return `${unit === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`
}

/** Something per second: 12345 → 12.3k/s @param {number} rate */
function perSecond (rate) {
  if (rate >= 999.5e3) return `${(rate / 1e6).toFixed(2)}M/s`
  if (rate >= 999.5) return `${(rate / 1e3).toFixed(1)}k/s`
  return `${rate >= 10 ? Math.round(rate) : rate.toFixed(1)}/s`
}

/** Seconds as m:ss or h:mm:ss @param {number} seconds */
function duration (seconds) {
  const whole = Math.max(0, Math.round(seconds))
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const two = (number) => String(number).padStart(2, '0')
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

/**
 * A table, with the first column aligned left and numbers aligned right. Cells may contain foreign text.
 * @param {Array<Array<string|number>>} rows
 * @returns {string}
 */
function table (rows) {
  const widths = []
  const cells = rows.map((row) => row.map((cell, column) => {
    const text = typeof cell === 'number' ? count(cell) : forTerminal(cell)
    widths[column] = Math.max(widths[column] || 0, text.length)
    return { text, right: typeof cell === 'number' }
  }))
  return cells.map((row) => row.map(({ text, right }, column) =>
    right ? text.padStart(widths[column]) : text.padEnd(widths[column])).join('  ').trimEnd() + '\n').join('')
}

module.exports = { count, counted, size, perSecond, duration, table }
