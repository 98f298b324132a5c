import assert from 'node:assert/strict';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ENTRY_VERSION, isEnd, isEntryType, type EntryType } from '../../../src/protocol/entry.ts';

/** For life: journals hold them. */
const ENDS: Record<EntryType, boolean> = {
  'run.created': false,
  'run.continued': false,
  'run.started': false,
  'run.recovered': false,
  'run.forked': false,
  'run.paused': false,
  'run.resumed': false,
  'run.killed': true,
  'run.completed': true,
  'run.failed': true,
  'leaf.started': false,
  'leaf.succeeded': false,
  'leaf.failed': false,
  'leaf.emitted': false,
  'leaf.abandoned': false,
  'timer.fired': false,
  'message.received': false,
  'message.refused': false,
  'action.failed': false,
  'budget.exceeded': false,
  checkpoint: false,
};

test('the format has version 1', () => {
  expect(ENTRY_VERSION).toBe(1);
});

test.each(Object.entries(ENDS))('%s is a type; does it end its run: %s', (type, ends) => {
  expect(isEntryType(type)).toBe(true);
  expect(isEnd(type as EntryType)).toBe(ends);
});

test.each(['', 'run', 'run.', 'RUN.CREATED', 'run.created ', 'run.waiting', 'toString', '__proto__', 'constructor'])(
  '%j is no type',
  (type) => {
    expect(isEntryType(type)).toBe(false);
  },
);

test('nothing else is a type', () => {
  fc.assert(fc.property(fc.anything(), (type) => assert(!isEntryType(type) || Object.hasOwn(ENDS, type))));
  expect(isEntryType(['run.created'])).toBe(false);
});
