'use strict'

const { readFileSync } = require('node:fs')
const { writeFile } = require('node:fs/promises')
const { forJson } = require('../escape')
const { planOf } = require('../schema')
const { toTypeScript } = require('../typescript')

module.exports = {
  name: 'types',
  summary: 'TypeScript types for the messages of a schema',
  usage: ['types SCHEMA [--out FILE] [--protobuf 1.x|standard]'],
  description: ['Prints a TypeScript module with a type per message and the event map Events, for new HyperEmitter<Events>(…): names and payloads are then checked in emit, append, on and read.'],
  operands: [{ name: 'SCHEMA', value: 'FILE' }],
  options: {
    out: { type: 'string', short: 'o', value: 'FILE', help: 'write to this file instead of standard output' },
    protobuf: { type: 'string', value: 'KIND', choices: ['1.x', 'standard'], help: 'as the emitter\'s option of this name (1.x)' },
    json: { type: 'boolean', help: 'the compiled schema as JSON instead' }
  },
  examples: [['Keep them beside the schema', 'hypem types messages.proto --out messages.ts']],
  async run (context, values, [file]) {
    const text = readFileSync(file)
    const plan = planOf(text, file, context.HyperEmitter.compile)
    const result = values.json ? forJson(plan, 2) + '\n' : toTypeScript(plan, { source: file, standard: values.protobuf === 'standard' })
    if (values.out) await writeFile(values.out, result)
    else await context.print(result)
  }
}
