'use strict'

const { isUtf8 } = require('node:buffer')

/**
 * Longest line accepted, in bytes. The largest event (8 MiB by default) is 11 MiB as base64 and 32 MiB in 1.x's form of bytes
 * (`[255,255,…]`). A longer line must be a mistake, and would have to be held in memory.
 */
const MAX_LINE = 64 * 1024 * 1024

const NEWLINE = 0x0a

/**
 * Splits bytes into lines, and yields the lines of each chunk together: each with its `text`, or with the `fault` that makes it
 * unreadable. Numbers count from 1. Carriage returns before a newline, and a byte order mark at the beginning, are not part of a
 * line. `end` is the offset after the line.
 * @param {AsyncIterable<Buffer>} source
 * @param {{maxLine?: number}} [options]
 * @returns {AsyncGenerator<Array<{number: number, text?: string, fault?: string, end: number}>>}
 */
async function * lines (source, { maxLine = MAX_LINE } = {}) {
  let number = 0
  let offset = 0
  let kept = []
  let keptBytes = 0
  let tooLong = false

  function take (bytes) {
    number++
    const line = { number, end: offset }
    if (tooLong) line.fault = `longer than ${maxLine} bytes`
    else if (!isUtf8(bytes)) line.fault = 'not UTF-8'
    else {
      line.text = bytes.toString('utf8')
      if (number === 1 && line.text.charCodeAt(0) === 0xfeff) line.text = line.text.slice(1)
      if (line.text.endsWith('\r')) line.text = line.text.slice(0, -1)
    }
    tooLong = false
    return line
  }

  for await (const chunk of source) {
    const group = []
    let from = 0
    for (let to = chunk.indexOf(NEWLINE); to !== -1; to = chunk.indexOf(NEWLINE, from)) {
      offset += to + 1 - from
      let bytes = chunk.subarray(from, to)
      if (keptBytes > 0) {
        if (keptBytes + bytes.length > maxLine) tooLong = true
        else bytes = Buffer.concat([...kept, bytes])
        kept = []
        keptBytes = 0
      }
      if (bytes.length > maxLine) tooLong = true
      group.push(take(bytes))
      from = to + 1
    }
    if (from < chunk.length) {
      const rest = chunk.subarray(from)
      offset += rest.length
      if (tooLong || keptBytes + rest.length > maxLine) {
        tooLong = true
        kept = []
        keptBytes = 0
      } else {
        kept.push(rest)
        keptBytes += rest.length
      }
    }
    if (group.length > 0) yield group
  }
  if (keptBytes > 0 || tooLong) yield [take(Buffer.concat(kept))]
}

module.exports = { lines }
