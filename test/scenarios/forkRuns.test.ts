import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { assign, setup } from 'xstate';
import { childRun, durable, type Troupe } from '../../src/index.ts';
import { entriesOf } from '../support/entries.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';

import { opened, seqOf } from '../support/forking.ts';
/** Forks of runs that have begun others, or have begun anew. */

describe('a run that has begun others', () => {
  test('is forked without them: a call that was open begins a run of its own, and killing the fork leaves the others alone', async () => {
    const child = durable(
      setup({ types: { events: {} as { type: 'ANSWER' } } }).createMachine({
        initial: 'waiting',
        states: { waiting: { on: { ANSWER: 'done' } }, done: { type: 'final' } },
        output: 'rain',
      }),
      { name: 'child', version: '1' },
    );
    const parent = durable(
      setup({ actors: { first: childRun(child), second: childRun(child) } }).createMachine({
        initial: 'asking',
        states: {
          asking: { invoke: { src: 'first', onDone: 'again' } },
          again: { invoke: { src: 'second', onDone: 'done' } },
          done: { type: 'final' },
        },
        output: 'told',
      }),
      { name: 'parent', version: '1' },
    );
    const troupe = await opened({ clock: new SimulatedClock() });
    const children = async (): Promise<string[]> =>
      (await troupe.runs()).filter(({ definition }) => definition === 'child').map(({ run }) => run);
    const newest = async (known: readonly string[]): Promise<string> => {
      let found: string | undefined;
      for (let turns = 0; found === undefined && turns < 200; turns += 1) {
        await turn();
        found = (await children()).find((run) => !known.includes(run));
      }
      if (found === undefined) throw new Error('no other child is begun');
      return found;
    };
    const answer = async (run: string): Promise<void> =>
      void (await (await troupe.attach(run, child)).send({ type: 'ANSWER' }));

    const statusOf = async (run: string): Promise<string> => (await (await troupe.attach(run)).summary()).status;

    const run = await troupe.start(parent, undefined, { id: 'first' });
    const one = await newest([]);
    await answer(one);
    const two = await newest([one]);
    const fork = await troupe.fork('first', { id: 'fork' });
    const three = await newest([one, two]);
    const killed = await troupe.fork('first', { id: 'killed' });
    const four = await newest([one, two, three]);
    await killed.kill('not wanted');
    await run.pause();
    // It is killed before its call has begun again, and so before it has begun any run.
    const receipt = await (await troupe.fork('first', { id: 'paused' })).kill('not wanted');
    expect(receipt.runs.map(({ run: killed }) => killed)).toEqual(['paused']);
    expect(await Promise.all([one, two, three, four].map(statusOf))).toEqual([
      'completed',
      'running',
      'running',
      'killed',
    ]);
    await run.resume();
    for (const child of [two, three]) await answer(child);
    for (const ended of [run, fork]) expect((await ended.result()).data).toBe('told');
    for (const id of ['first', 'fork', 'killed', 'paused'])
      expect(await troupe.replay(id)).toMatchObject({ equal: true });
  });
});

test('a fork is killed without the runs that the other one had begun, also those that have ended', async () => {
  const rain = durable(setup({}).createMachine({ initial: 'done', states: { done: { type: 'final' } } }), {
    name: 'rain',
    version: '1',
  });
  const asker = durable(
    setup({ types: { events: {} as { type: 'GO' } }, actors: { ask: childRun(rain) } }).createMachine({
      initial: 'asking',
      states: {
        asking: { invoke: { src: 'ask', onDone: 'waiting' } },
        waiting: { on: { GO: 'again' } },
        again: { invoke: { src: 'ask', onDone: 'over' } },
        over: {},
      },
    }),
    { name: 'asker', version: '1' },
  );
  const backend = new FaultyStore();
  const troupe = await opened({ backend });
  await (await troupe.start(asker, undefined, { id: 'first' })).settled();
  const reached = async (by: Troupe, fork: string): Promise<string[]> =>
    (await by.kill(fork, 'not wanted')).runs.map(({ run }) => run);

  await troupe.fork('first', { id: 'fork' });
  expect(await reached(troupe, 'fork')).toEqual(['fork']);
  // By whoever has only its journal to go by.
  await troupe.fork('first', { id: 'unknown' });
  const elsewhere = await opened({ backend, recover: false });
  expect(await reached(elsewhere, 'unknown')).toEqual(['unknown']);

  const own = await troupe.fork<typeof asker>('first', { id: 'own' });
  await own.send({ type: 'GO' });
  await until(() => JSON.stringify(own.getSnapshot()?.value) === '"over"', 'it has begun one, too');
  const ofIts = (await troupe.runs()).filter(({ parent }) => parent?.run === 'own').map(({ run }) => run);
  expect(ofIts).toHaveLength(1);
  expect(await reached(troupe, 'own')).toEqual(['own', ...ofIts]);
});

describe('a run that has begun anew', () => {
  const counter = (version: string, more: Partial<Parameters<typeof durable<typeof counting>>[1]> = {}) =>
    durable(counting, { name: 'counter', version, continueAs: ({ context }) => context.n, ...more });
  const counting = setup({
    types: {
      input: {} as number | undefined,
      context: {} as { n: number },
      events: {} as { type: 'ADD' } | { type: 'END' },
      output: {} as number,
    },
  }).createMachine({
    context: ({ input }) => ({ n: input ?? 0 }),
    initial: 'open',
    states: {
      open: { on: { ADD: { actions: assign({ n: ({ context }) => context.n + 1 }) }, END: 'closed' } },
      closed: { type: 'final' },
    },
    output: ({ context }) => context.n,
  });

  test('is forked before and after that', async () => {
    const store = new FaultyStore();
    const troupe = await opened({ backend: store, clock: new SimulatedClock() });
    const other = await opened({ backend: store, clock: new SimulatedClock() });
    const run = await troupe.start(counter('1'), undefined, { id: 'first' });
    const far = await other.attach('first');
    for (let n = 0; n < 3; n += 1) await far.send({ type: 'ADD' });
    await until(() => run.getSnapshot()?.context.n === 3, 'these are taken');
    for (let n = 3; n < 1_010; n += 1) await run.send({ type: 'ADD' });
    await run.send({ type: 'END' });
    expect((await run.result()).data).toBe(1_010);
    const entries = await entriesOf(run);
    const anew = seqOf(entries, 'run.continued');
    for (const [at, n] of [
      [anew - 1, anew - 3],
      [anew, anew - 3],
      [anew + 2, anew - 1],
    ] as const) {
      const fork = await troupe.fork('first', { at, id: `at-${at}`, budget: { steps: 5 } });
      // The first of its own inbox.
      expect((await (await other.attach(fork.id)).send({ type: 'END' })).seq).toBe(1);
      expect((await fork.result()).data, `forked at ${at}`).toBe(n);
      const begun = (await entriesOf(fork)).filter(({ type }) => type === 'run.created' || type === 'run.continued');
      for (const { event } of begun)
        expect(event).toMatchObject({ origins: [{ run: 'first', at }], budget: { steps: 5 } });
      expect(await troupe.replay(fork.id)).toMatchObject({ equal: true });
    }
  });

  test('of a version before goes on with the one of today', async () => {
    const store = new FaultyStore();
    const before = counter('1');
    const first = await opened({ backend: store, clock: new SimulatedClock(), definitions: [before] });
    const run = await first.start(before, undefined, { id: 'first' });
    for (let n = 0; n < 3; n += 1) await run.send({ type: 'ADD' });
    await run.send({ type: 'END' });
    await run.result();
    await first.close();
    const today = counter('2', { migrate: { from: before, to: ({ context }) => context.n * 10 } });
    const troupe = await opened({ backend: store, clock: new SimulatedClock(), definitions: [today] });
    const fork = await troupe.fork('first', { at: 4, id: 'fork' });
    await fork.send({ type: 'ADD' });
    await fork.send({ type: 'END' });
    expect((await fork.result()).data).toBe(21);
    const types = (await entriesOf(fork)).map(({ type }) => type);
    expect(types.slice(4, 7)).toEqual(['run.forked', 'run.recovered', 'run.continued']);
    expect(await troupe.replay('fork')).toMatchObject({ equal: true, status: 'completed' });
  });
});
