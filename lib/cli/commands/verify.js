'use strict'

const { forJson, forTerminal } = require('../escape')
const { EXIT } = require('../exit')
const { count, counted } = require('../format')

module.exports = {
  name: 'verify',
  summary: 'check every event of a store',
  usage: ['verify DB [--json]'],
  description: ['Reads the whole store and checks that each event matches its key, that the events it links to are there, that no log has a gap, and that the digests are right. It reports where the first damage is.'],
  operands: [{ name: 'DB', value: 'DIR' }],
  options: {
    json: { type: 'boolean', help: 'print one JSON object: ok, nodes, duplicates, logs, digest; for a damaged store ok, code, damage' }
  },
  exits: [['3', 'the store is damaged']],
  examples: [['Check a backup', 'hypem verify /backup/db && echo sound']],
  async run (context, values, [db]) {
    let result
    try {
      const hyper = await context.open(db, null, { mustExist: true, readOnly: true })
      const bar = context.onProgress('verifying')
      const { nodes, duplicates, logs } = await context.or(hyper.verify(bar))
      bar.end()
      result = { ok: true, nodes, duplicates, logs, digest: await hyper.digest() }
    } catch (error) {
      if (!DAMAGE.has(error.code)) throw error
      result = { ok: false, code: error.code, damage: error.message }
    }
    await context.print(values.json ? forJson(result, 2) + '\n' : text(result))
    return result.ok ? EXIT.OK : EXIT.FOUND
  }
}

/** What a damaged store is refused or reported with. */
const DAMAGE = new Set(['ERR_HYPER_DAMAGED', 'ERR_HYPER_CHECKSUM_MISMATCH', 'ERR_HYPER_FORK'])

function text (result) {
  if (!result.ok) return `damaged: ${forTerminal(result.damage)}\n`
  const more = result.duplicates > 0 ? `, ${count(result.duplicates)} of them known under several logs` : ''
  return `sound: ${counted(result.nodes, 'event')} in ${counted(result.logs, 'log')}${more}\ndigest ${result.digest}\n`
}
