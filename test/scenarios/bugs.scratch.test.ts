import assert from 'node:assert/strict';
import { test } from 'vitest';
import { assign, fromCallback, fromPromise, setup, raise } from 'xstate';
import { StorageFullError } from '../../src/protocol/errors.ts';
import { CutJournal } from '../support/journal.ts';
import { plainXState, Process } from '../support/stage.ts';
import { say, answer, type Reference } from '../support/world.ts';

const live = async (r: Reference) => { const p = await Process.start(r); await p.drive(); return p; };
const show = (p: Process) => p.journal.groups.map((g) => g.map((e) => `${e.seq} ${e.type} ${e.target}`).join(', ')).join(' | ');

const throwing: Reference = {
  name: 't', effects: { charge: 'irreversible' },
  create: (world) => setup({
    types: { events: {} as { type: 'GO' } },
    actors: { charge: fromPromise(({ signal }) => world.call('charge', null, signal)), look: fromPromise(({ signal }) => world.call('look', null, signal)) },
    actions: { check: () => { world.act('check'); throw new Error('bad'); }, mail: () => world.act('mail') },
  }).createMachine({ initial: 'a', states: { a: { on: { GO: { target: 'b', actions: ['check', 'mail'] } } }, b: { entry: 'mail', invoke: [{ src: 'charge' }, { src: 'look' }] } } }),
  rules: [say('a', { type: 'GO' })], end: { type: 'run.failed', error: {} },
};
test('after throw', async () => {
  const raw = await plainXState(throwing);
  const p = await live(throwing);
  console.log(show(p), p.world.acted, p.world.begun, 'raw', raw.world.acted, raw.world.begun, p.reports);
});
test('throw into final', async () => {
  const r: Reference = { name: 'f', create: (world) => setup({ types: { events: {} as { type: 'GO' } }, actions: { check: () => { world.act('check'); throw new Error('bad'); } } }).createMachine({ initial: 'a', states: { a: { on: { GO: { target: 'b', actions: ['check'] } } }, b: { type: 'final' } } }),
    rules: [say('a', { type: 'GO' })], end: { type: 'run.failed', error: {} } };
  const raw = await plainXState(r);
  const p = await live(r);
  console.log(show(p), (raw.actor.getSnapshot() as any).status, p.reports);
});
test('initial throw', async () => {
  const r: Reference = { name: 'f', create: (world) => setup({ actions: { check: () => { world.act('check'); throw new Error('bad'); } } }).createMachine({ initial: 'a', entry: 'check', states: { a: { } } }), end: { type: 'run.failed', error: {} } };
  const raw = await plainXState(r);
  const p = await live(r);
  console.log(show(p), (raw.actor.getSnapshot() as any).status, p.run.end);
});
test('in one group: a message that leaves the state, and an irreversible intent', async () => {
  const r: Reference = { name: 'g', effects: { charge: 'irreversible' }, create: (world) => setup({ types: { events: {} as { type: 'STOP' } }, actors: { charge: fromPromise(({ signal }) => world.call('charge', null, signal)), look: fromPromise(() => world.call('look')) } }).createMachine({ initial: 'look', states: { look: { invoke: { src: 'look', onDone: 'charge' } }, charge: { invoke: { src: 'charge' }, on: { STOP: 'over' } }, over: { type: 'final' } } }), end: { type: 'run.completed', output: undefined } };
  const p = await Process.start(r);
  await p.quiet();
  // STOP is asked for by an observer the moment the result is delivered, before the intent
  let sent = false;
  p.run.observe((e) => { if (e.type === 'leaf.succeeded' && !sent) { sent = true; void p.run.send('body', { type: 'STOP' }, null); } });
  p.world.open('look')[0]?.resolve(1);
  await p.quiet();
  console.log(show(p), p.world.begun, p.run.status);
});
test('send to unknown', async () => {
  const r: Reference = { name: 'g', create: () => setup({}).createMachine({}), end: { type: 'run.completed', output: undefined } };
  const p = await Process.start(r);
  await p.run.send('body/nobody', { type: 'X' }, null).then((x) => console.log('ok', x), (e) => console.log('rejected', String(e)));
  await p.quiet();
  console.log(show(p), p.reports, p.run.status, await p.run.ended.catch((e: unknown) => String(e)));
  await Process.fold(r, p.journal).catch((e: unknown) => console.log('fold', String(e)));
});
test('unkeepable emission', async () => {
  let disposed = 0;
  const r: Reference = { name: 'g', create: () => setup({ actors: { cb: fromCallback(({ sendBack }) => { sendBack({ type: 'A', f: () => {} }); return () => { disposed += 1; }; }) } }).createMachine({ invoke: { src: 'cb', onError: '.over' }, initial: 'a', states: { a: {}, over: { after: { 10: 'end' } }, end: { type: 'final' } } }), end: { type: 'run.completed', output: undefined } };
  const p = await live(r);
  console.log(show(p), 'disposed', disposed, p.reports);
});
test('receiver throws', async () => {
  let disposed = 0;
  const r: Reference = { name: 'g', create: () => setup({ actors: { cb: fromCallback(({ receive }) => { receive(() => { throw new Error('r'); }); return () => { disposed += 1; }; }) } }).createMachine({ invoke: { src: 'cb', id: 'cb', onError: '.over' }, initial: 'a', states: { a: { entry: ({ self }) => (self.getSnapshot() as any).children.cb.send({ type: 'X' }) }, over: { after: { 10: 'end' } }, end: { type: 'final' } } }), end: { type: 'run.completed', output: undefined } };
  const p = await live(r);
  console.log(show(p), 'disposed', disposed, p.reports);
});
test('end then store full then send', async () => {
  const r: Reference = { name: 'g', create: () => setup({}).createMachine({ initial: 'a', states: { a: { after: { 10: 'b' } }, b: { type: 'final' } } }), end: { type: 'run.completed', output: undefined } };
  const p = await Process.start(r);
  await p.quiet();
  const own = p.journal.append.bind(p.journal);
  let full = 0;
  p.journal.append = async (run, entries, at) => { if (at.after === 3 && full++ === 0) throw new StorageFullError('full', {}); return own(run, entries, at); };
  p.clock.increment(10);
  await p.quiet();
  p.run.send('body', { type: 'X' }, null).catch((e: unknown) => console.log('rejected', String(e)));
  await p.quiet();
  p.clock.increment(1000);
  await p.quiet();
  console.log(show(p), p.run.status);
});
test('guard throws, spawned before', async () => {
  const r: Reference = { name: 'g', create: (world) => setup({ types: { events: {} as { type: 'GO' } }, actors: { s: fromPromise(() => world.call('s')) } }).createMachine({ context: {}, initial: 'a', states: { a: { on: { GO: { actions: [assign(({ spawn }) => { spawn('s'); return {}; }), assign(() => { throw new Error('assign'); })] } } } } }), rules: [say('a', { type: 'GO' })], end: { type: 'run.failed', error: {} } };
  const raw = await plainXState(r);
  const p = await live(r);
  console.log(show(p), p.world.begun, raw.world.begun, [...p.run.system.actors()].map(([k]) => k), p.run.system.leaf('body/s')?.key);
});
void answer; void raise; void assert;
