'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { compile } = require('../..')
const { completer } = require('../../lib/cli/completer')
const { Schema } = require('../../lib/cli/schema')

const messages = compile(`
message Hello { optional string from = 1; optional string message = 2; optional Place place = 3; repeated Place places = 4; }
message Help { optional bool yes = 1; map<string, Place> by = 2; }
message Place { optional int32 x = 1; optional int32 y = 2; optional Place next = 3; }
`)
const complete = completer(new Schema(messages))

const cases = {
  "hyper.emit('": [['Hello', 'Help', 'Place', 'EventPeer'], ''],
  "hyper.emit('Hel": [['Hello', 'Help'], 'Hel'],
  "hyper.on('Hell": [["Hello'"], 'Hell'],
  'hyper.append("E': [['EventPeer"'], 'E'],
  'await hyper.append(`Pl': [['Place`'], 'Pl'],
  "hyper.emit('Hello', {": [['from', 'message', 'place', 'places'], ''],
  "hyper.emit('Hello', { fr": [['from: '], 'fr'],
  "hyper.emit('Hello', { from: 'a, b', ": [['message', 'place', 'places'], ''],
  "hyper.emit('Hello', { from: 'it is {', me": [['message: '], 'me'],
  "hyper.emit('Hello', { place: { ": [['x', 'y', 'next'], ''],
  "hyper.emit('Hello', { place: { next: { x: 1, y": [['y: '], 'y'],
  "hyper.emit('Hello', { place: { x: 1 }, m": [['message: '], 'm'],
  "hyper.emit('Hello', { places: [{ x: 1 }, { n": [['next: '], 'n'],
  "hyper.emit('Help', { y": [['yes: '], 'y'],
  "hyper.emit('Help', { by: { k: { ": undefined,
  "hyper.emit('Hello', { from: fr": undefined,
  "hyper.emit('Hello', { nosuch: { ": undefined,
  "hyper.emit('Other', { ": undefined,
  "hyper.on('Hello', { ": undefined,
  'hyper.em': undefined,
  'console.log(': undefined,
  "other.emit('H": undefined
}

for (const [line, expected] of Object.entries(cases)) {
  test(`at ${line}`, () => assert.deepEqual(complete(line), expected))
}
