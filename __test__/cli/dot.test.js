'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { toDot } = require('../../lib/cli/dot')

const key = (text) => text.padEnd(64, '0')
const event = (change, name, log, links = []) => ({ change, key: key(String(change)), log, seq: change, links: links.map((link) => key(String(link))), name })

/** A fork of two logs, merged. */
const events = [event(1, 'Start', 'a'), event(2, 'Left', 'a', [1]), event(3, 'Right', 'b', [1]), event(4, 'Merge', 'a', [2, 3])]

async function draw (dot, format = 'json') {
  const { instance } = await import('@viz-js/viz')
  return (await instance()).renderString(dot, { format })
}

test('every event and every link is drawn once; heads have a double border; logs have different colours', async () => {
  const drawn = JSON.parse(await draw(toDot(events, [key('4')])))
  const nodes = drawn.objects.filter(({ label }) => /\\n/.test(label ?? ''))
  assert.deepEqual(nodes.map(({ label }) => label), ['Start\\n1', 'Left\\n2', 'Right\\n3', 'Merge\\n4'])
  assert.deepEqual(nodes.filter(({ peripheries }) => peripheries === '2').map(({ label }) => label), ['Merge\\n4'])
  assert.equal(new Set(nodes.map(({ fillcolor }) => fillcolor)).size, 2)
  const name = (id) => drawn.objects.find(({ _gvid }) => _gvid === id).label.split('\\n')[0]
  assert.deepEqual(drawn.edges.map(({ tail, head }) => `${name(tail)}>${name(head)}`).sort(), ['Left>Merge', 'Right>Merge', 'Start>Left', 'Start>Right'])
})

test('causes outside the selection are drawn and marked', async () => {
  const drawn = JSON.parse(await draw(toDot(events.slice(3), [])))
  assert.deepEqual(drawn.objects.filter(({ style }) => style === 'dotted').map(({ name }) => name).sort(), [key('2'), key('3')])
  assert.deepEqual(drawn.edges.map(({ style }) => style), ['dashed', 'dashed'])
})

test('a log has the same colour in every selection', () => {
  const fill = (dot) => /label="Merge\\n4", fillcolor="([^"]+)"/.exec(dot)[1]
  assert.equal(fill(toDot(events, [], ['b', 'a'])), fill(toDot(events.slice(3), [], ['a', 'b'])))
})

test('names with special characters are only labels', async () => {
  for (const name of ['a"b', 'a\\', '\\"', 'a\nb', '<b>x</b>', 'x]; evil [', '\\N', 'ünïcode 🦀', '&amp;', '']) {
    const drawn = JSON.parse(await draw(toDot([event(1, name, 'log"\\')], [])))
    assert.equal(drawn.objects.filter(({ label }) => /\\n1$/.test(label ?? '')).length, 1, JSON.stringify(name))
    assert.equal(drawn.objects.some(({ name }) => name === 'evil'), false)
  }
})

test('an empty store gives an empty picture', async () => {
  assert.match(await draw(toDot([], []), 'svg'), /<svg/)
})

test('the SVG has the labels', async () => {
  const svg = await draw(toDot(events, [key('4')]), 'svg')
  for (const name of ['Start', 'Left', 'Right', 'Merge', 'logs']) assert.ok(svg.includes(`>${name}</text>`), name)
})
