import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { durable, StorageFullError, UnreachableError } from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { list } from '../support/list.ts';
import { SimulatedClock, still, until } from '../support/simulatedClock.ts';
import { Working } from '../support/working.ts';
import { openedWith } from '../support/opened.ts';

/** A run passes from one troupe to the next, and something comes in between. */

const opened = openedWith({ report: () => {} });

/** A store with the run `x` that nobody owns; its call began once. */
async function left() {
  const [store, working] = [new FaultyStore(), new Working()];
  const definition = working.definition();
  const troupe = await opened({ backend: store });
  await troupe.start(definition, undefined, { id: 'x' });
  await until(() => working.begun === 1, 'the call has begun');
  await troupe.close();
  expect(working.running).toBe(0);
  return { store, working, definition };
}

describe('a takeover that cannot be registered', () => {
  test('begins nothing; the next one takes the run, once, and a kill stops it', async () => {
    const { store, working, definition } = await left();
    store.failOnce('put', new StorageFullError('full', {}));
    const troupe = await opened({ backend: store, definitions: [definition] });
    expect(working.running).toBe(0);

    expect(await troupe.recover()).toEqual({ recovered: ['x'], left: [] });
    expect(working.running).toBe(1);
    await troupe.kill('x');
    expect(working.running).toBe(0);
  });

  test('leaves nothing that runs on after close', async () => {
    const { store, working, definition } = await left();
    const clock = new SimulatedClock();
    store.failOnce('put', new StorageFullError('full', {}));
    const troupe = await opened({ backend: store, clock, definitions: [definition] });
    await troupe.recover();
    await troupe.close();
    expect(working.running).toBe(0);
    expect(clock.nextDue).toBeUndefined();
  });
});

describe('a kill', () => {
  test.each(['append', 'put'] as const)(
    'while the run is taken over (at its %s) stops it for good',
    async (operation) => {
      const { store, working, definition } = await left();
      const troupe = await opened({ backend: store, definitions: [definition], recover: false });
      const held = store.holdOnce(operation);
      const recovering = troupe.recover();
      await held.reached;
      const killing = troupe.kill('x');
      // What a kill that does not wait would do by now.
      await turn();
      held.release();
      expect(await killing).toMatchObject({ status: 'killed' });
      await recovering;
      expect(working.running).toBe(0);
      expect(await troupe.runs()).toMatchObject([{ run: 'x', status: 'killed' }]);
      expect(await store.registered()).toEqual([]);
    },
  );

  test('by a call of the run itself, as it begins, is the end of the run', async () => {
    const [store, working] = [new FaultyStore(), new Working()];
    const troupe = await opened({ backend: store });
    let killed: Promise<unknown> | undefined;
    working.onBegin = () => (killed = troupe.kill('x', 'enough'));
    const run = await troupe.start(working.definition(), undefined, { id: 'x' });
    expect(await killed).toMatchObject({ status: 'killed' });
    expect(run.status).toBe('killed');
    expect(working).toMatchObject({ begun: 1, aborted: 1 });
    expect(await run.result()).toMatchObject({ success: false, metadata: { reason: 'enough' } });
  });

  test('by a call of the run itself, as it begins again, is the end of the run', async () => {
    const { store, working, definition } = await left();
    const troupe = await opened({ backend: store, definitions: [definition], recover: false });
    let killed: Promise<unknown> | undefined;
    working.onBegin = () => (killed = troupe.kill('x'));
    await troupe.recover();
    expect(await killed).toMatchObject({ status: 'killed' });
    expect((await troupe.attach('x')).status).toBe('killed');
    expect(working.running).toBe(0);
  });
});

describe('a process that ends', () => {
  test('leaves its runs to another one that lives, within 5 s, though nobody asks', async () => {
    const [store, working] = [new FaultyStore(), new Working()];
    const definition = working.definition();
    const clock = new SimulatedClock();
    const first = await opened({ backend: store });
    const second = await opened({ backend: store, clock, definitions: [definition] });
    await first.start(definition, undefined, { id: 'x' });
    await until(() => working.begun === 1, 'the call has begun');
    clock.increment(5_000);
    await turn();
    expect(second.counts.live).toBe(0);
    await first.close();
    clock.increment(5_000);
    await until(() => second.counts.live === 1, 'the run lives in the other one');
    await until(() => working.begun === 2, 'the call has begun again');
  });

  test('leaves a run that it had let go of just before', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const first = await opened({ backend: store, definitions: [list] });
    const second = await opened({ backend: store, clock, definitions: [list] });
    await first.start(list, undefined, { id: 'x' });
    store.failOnce('append', new StorageFullError('full', {}), 'x');
    await expect(first.kill('x')).rejects.toBeInstanceOf(StorageFullError);
    expect(first.counts).toEqual({ live: 0, parked: 0 });
    await first.close();
    clock.increment(5_000);
    await until(() => second.counts.live === 1, 'the run lives in the other one');
  });

  test('leaves its runs to another one though the store fails at the first look', async () => {
    const [store, working] = [new FaultyStore(), new Working()];
    const definition = working.definition();
    const clock = new SimulatedClock();
    const first = await opened({ backend: store });
    const second = await opened({ backend: store, clock, definitions: [definition] });
    await first.start(definition, undefined, { id: 'x' });
    await first.close();
    store.failOnce('append', new StorageFullError('full', {}));
    clock.increment(5_000);
    for (let turns = 0; turns < 20; turns += 1) await turn();
    expect(second.counts.live).toBe(0);
    clock.increment(5_000);
    await until(() => second.counts.live === 1, 'the run lives in the other one');
  });

  test('is waited for by one that lacks the definition: the run is left, reported once', async () => {
    const [store, working] = [new FaultyStore(), new Working()];
    const clock = new SimulatedClock();
    const reports: string[] = [];
    const first = await opened({ backend: store });
    const second = await opened({ backend: store, clock, report: (_, where) => void reports.push(where) });
    await first.start(working.definition(), undefined, { id: 'x' });
    await first.close();
    for (let look = 0; look < 3; look += 1) {
      clock.increment(5_000);
      for (let turns = 0; turns < 20; turns += 1) await turn();
    }
    expect(reports).toEqual(['run x was left as it is']);
    expect(second.counts.live).toBe(0);
    expect(await store.registered()).toEqual(['x']);
  });
});

test('a message that comes while a run is taken over is delivered to the run that lives, not to its fold', async () => {
  const [store, acted] = [new FaultyStore(), [] as number[]];
  const machine = setup({
    types: { events: {} as { type: 'ADD'; n: number } },
    actions: { act: (_, { n }: { n: number }) => void acted.push(n) },
  }).createMachine({
    initial: 'open',
    states: { open: { on: { ADD: { actions: { type: 'act', params: ({ event }) => ({ n: event.n }) } } } } },
  });
  const definition = durable(machine, { name: 'acting', version: '1' });
  const first = await opened({ backend: store, definitions: [definition] });
  await first.start(definition, undefined, { id: 'x' });
  await first.close();
  const second = await opened({ backend: store, definitions: [definition], recover: false });
  const run = await second.attach('x', definition);
  const held = store.holdOnce('put');
  const sent = [run.send({ type: 'ADD', n: 1 })];
  await held.reached;
  sent.push(run.send({ type: 'ADD', n: 2 }));
  for (let turns = 0; turns < 5; turns += 1) await turn();
  held.release();
  await Promise.all(sent);
  expect(acted).toEqual([1, 2]);
});

test('a run is not taken from whoever has just taken it over and is not registered yet', async () => {
  const [store, working] = [new FaultyStore(), new Working()];
  const definition = working.definition();
  const first = await opened({ backend: store });
  await first.start(definition, undefined, { id: 'x' });
  await until(() => working.begun === 1, 'the call has begun');
  await first.close();
  const options = { backend: store, definitions: [definition], recover: false };
  const [second, third] = [await opened(options), await opened(options)];
  const held = store.holdOnce('put');
  const taking = second.recover('x');
  await held.reached;
  expect((await third.recover('x')).left).toMatchObject([{ run: 'x', error: { code: 'STALE_OWNER' } }]);
  held.release();
  expect((await taking).recovered).toEqual(['x']);
  expect([second.counts.live, third.counts.live, working.begun]).toEqual([1, 0, 2]);
});

test('a run that somebody else is faster in taking over is not reported as left, and is looked after', async () => {
  const [store, working] = [new FaultyStore(), new Working()];
  const definition = working.definition();
  const first = await opened({ backend: store });
  await first.start(definition, undefined, { id: 'x' });
  await until(() => working.begun === 1, 'the call has begun');
  await first.close();
  const [clock, reports] = [new SimulatedClock(), [] as string[]];
  const second = await opened({ backend: store, definitions: [definition], recover: false });
  // The faster one is not registered yet, and ends before it is.
  const held = store.holdOnce('put');
  const taking = second.recover();
  await held.reached;
  const report = (error: unknown): void => void reports.push(String(error));
  const third = await opened({ backend: store, clock, definitions: [definition], report });
  clock.increment(5_000);
  for (let turns = 0; turns < 20; turns += 1) await turn();
  expect(third.counts.live).toBe(0);
  const closing = second.close();
  held.release();
  await Promise.all([closing, taking]);
  clock.increment(5_000);
  await until(() => third.counts.live === 1, 'the run lives in the third one');
  expect(reports).toEqual([]);
});

test.each(['killed', 'taken over'])(
  'an owner that learns that its run was %s begins nothing more in it',
  async (how) => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    let begun = 0;
    const work = fromPromise<unknown>(() => {
      begun += 1;
      return new Promise<never>(() => {});
    });
    const machine = setup({ types: { events: {} as { type: 'GO' } }, actors: { work } }).createMachine({
      initial: 'idle',
      states: { idle: { on: { GO: 'working' } }, working: { invoke: { src: 'work' } } },
    });
    const definition = durable(machine, { name: 'working', version: '1', effects: { work: 'idempotent' } });
    const owner = await opened({ backend: store, clock });
    const [first] = store.owners;
    const other = await opened({ backend: store, clock, definitions: [definition], recover: false });
    const run = await owner.start(definition, undefined, { id: 'x' });
    const going = store.holdOnce('append', 'x');
    const sent = run.send({ type: 'GO' });
    await going.reached;
    // What is wanted waits for the pause, which is refused.
    const paused = run.pause('lunch').catch(() => {});
    const pausing = store.holdOnce('append', 'x');
    going.release();
    await sent;
    await pausing.reached;
    if (how === 'killed') {
      store.failOnce('request', new UnreachableError('nobody', {}));
      await other.kill('x', 'stop', { grace: 0 });
    } else {
      if (first !== undefined) store.takenForGone.add(first);
      await other.recover('x');
    }
    await still();
    const before = begun;
    pausing.release();
    await paused;
    await still();
    expect(begun).toBe(before);
  },
);
