import { describe, expect, test } from 'vitest';
import { assign, sendTo, setup } from 'xstate';
import { durable, type Moment, type RunHandle, type Step } from '../../src/index.ts';
import { errand, finish, Outside } from '../support/errand.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock } from '../support/simulatedClock.ts';
import { openedWith } from '../support/opened.ts';

/** A run is looked at as its journal has it: at any entry, step by step, and with another version of its machine. */

const opened = openedWith({ parkAfter: false });

/** An errand that has ended. `moments`: what its body was live, by entry. */
async function done(store = new FaultyStore()) {
  const [clock, outside] = [new SimulatedClock(), new Outside()];
  const definition = errand(outside);
  const troupe = await opened({ backend: store, clock, definitions: [definition] });
  const run = (await troupe.start(definition, undefined, { id: 'x' })) as RunHandle;
  const live = new Map<number, unknown>();
  run.on('*', ({ seq }) => {
    const { value, context } = run.getSnapshot() as Moment['snapshot'];
    live.set(seq, { value, context });
  });
  await finish(troupe, run, clock);
  return { troupe, run, clock, outside, definition, store, live };
}

const stepsOf = async (steps: AsyncIterable<Step>): Promise<Step[]> => {
  const all: Step[] = [];
  for await (const step of steps) all.push(step);
  return all;
};

describe('replay.at', () => {
  test('is what the live run was after that entry, nothing executed', async () => {
    const { troupe, live, outside } = await done();
    const told = outside.calls.length;
    const replay = await troupe.replay('x');
    expect(live.size).toBeGreaterThan(15);
    for (const [seq, snapshot] of live) {
      const moment = await replay.at(seq);
      expect({ seq: moment.seq, at: moment.entry.seq, snapshot: moment.snapshot }).toEqual({ seq, at: seq, snapshot });
    }
    expect(outside.calls.length).toBe(told);
  });

  test('takes the label of a checkpoint, the last of that name', async () => {
    const clock = new SimulatedClock();
    const definition = errand(new Outside());
    const troupe = await opened({ clock, definitions: [definition] });
    const run = (await troupe.start(definition, undefined, { id: 'x' })) as RunHandle;
    await run.checkpoint('here');
    await finish(troupe, run, clock);
    const replay = await troupe.replay('x');
    expect(await replay.at('here')).toMatchObject({ status: 'running', entry: { type: 'checkpoint' }, inDoubt: [] });
    await expect(replay.at('there')).rejects.toMatchObject({ code: 'NOT_FOUND', context: { labels: ['here'] } });
  });

  test('of an entry that is not there is refused', async () => {
    const { troupe } = await done();
    const replay = await troupe.replay('x');
    for (const seq of [0, 1.5, replay.entries + 1])
      await expect(replay.at(seq)).rejects.toMatchObject({ code: 'VALIDATION' });
    await expect(replay.steps({ from: 0 }).next()).rejects.toMatchObject({ code: 'VALIDATION' });
  });

  test('shows an actor in a context as its key', async () => {
    const child = setup({}).createMachine({});
    const machine = setup({ types: { context: {} as { child: unknown } }, actors: { child } }).createMachine({
      context: ({ spawn }) => ({ child: spawn('child') }),
    });
    const troupe = await opened();
    await troupe.start(durable(machine, { name: 'spawns', version: '1' }), undefined, { id: 'x' });
    const { snapshot, actors } = await (await troupe.replay('x')).at(2);
    expect(snapshot.context).toEqual({ child: { actor: 'body/child' } });
    expect(actors.map(({ actor }) => actor)).toEqual(['run', 'body', 'body/child']);
  });
});

describe('replay.steps', () => {
  test('goes through all entries, and says which states each left and entered', async () => {
    const { troupe } = await done();
    const replay = await troupe.replay('x');
    const steps = await stepsOf(replay.steps());
    expect(steps.map(({ seq }) => seq)).toEqual(Array.from({ length: replay.entries }, (_, index) => index + 1));
    const body = steps.flatMap(({ changed }) => changed.filter(({ actor }) => actor === 'body'));
    expect(body).toEqual([
      { actor: 'body', from: undefined, to: 'pricing' },
      { actor: 'body', from: 'pricing', to: 'paying' },
      { actor: 'body', from: 'paying', to: 'shipping' },
      { actor: 'body', from: 'shipping', to: 'cooling' },
      { actor: 'body', from: 'cooling', to: 'ticking' },
      { actor: 'body', from: 'ticking', to: 'packing' },
      { actor: 'body', from: 'packing', to: 'waiting' },
      { actor: 'body', from: 'waiting', to: undefined },
    ]);
    expect(steps.at(-1)).toMatchObject({ status: 'completed', entry: { type: 'run.completed' } });
  });

  test('between two entries gives what it gives of them in all', async () => {
    const { troupe } = await done();
    const replay = await troupe.replay('x');
    const all = await stepsOf(replay.steps());
    expect(await stepsOf(replay.steps({ from: 5, to: 9 }))).toEqual(all.slice(4, 9));
  });
});

describe('diff', () => {
  test('of the definition that wrote it is equal', async () => {
    const { troupe, definition, run, outside } = await done();
    const { entries } = await run.summary();
    const told = outside.calls.length;
    expect(await troupe.diff('x', definition)).toEqual({ equal: true, entries, compared: 'states' });
    expect(outside.calls.length).toBe(told);
  });

  test('says at which entry another version first is in another state', async () => {
    const { troupe, outside } = await done();
    const difference = await troupe.diff('x', errand(outside, { version: '2', resting: true }));
    expect(difference).toMatchObject({
      equal: false,
      entry: { type: 'leaf.succeeded', target: 'body/ship' },
      expected: { actors: expect.arrayContaining([{ actor: 'body', state: 'cooling' }]) },
      got: { actors: expect.arrayContaining([{ actor: 'body', state: 'resting' }]) },
      before: expect.arrayContaining([{ actor: 'body', state: 'shipping' }]),
    });
  });

  test('says at which entry its context first is another one', async () => {
    const counter = (by: number) =>
      durable(
        setup({ types: { context: {} as { n: number }, events: {} as { type: 'ADD' } } }).createMachine({
          context: { n: 0 },
          on: { ADD: { actions: assign({ n: ({ context }) => context.n + (context.n > 0 ? by : 1) }) } },
        }),
        { name: 'counter', version: '1' },
      );
    const one = counter(1);
    const troupe = await opened({ definitions: [one] });
    const run = await troupe.start(one, undefined, { id: 'x' });
    for (let n = 0; n < 3; n += 1) await run.send({ type: 'ADD' });
    expect(await troupe.diff('x', counter(1))).toEqual({ equal: true, entries: 5, compared: 'states' });
    expect(await troupe.diff('x', counter(2))).toMatchObject({
      equal: false,
      seq: 4,
      expected: { context: { n: 2 } },
      got: { context: { n: 3 } },
    });
  });

  test('compares what it can of a context that holds a function, and says what it cannot', async () => {
    const holding = (n: number) =>
      durable(
        setup({ types: { context: {} as { n: number; tell: () => void } } }).createMachine({
          context: { n, tell: () => {} },
        }),
        { name: 'holding', version: '1' },
      );
    const one = holding(1);
    const troupe = await opened({ definitions: [one] });
    await troupe.start(one, undefined, { id: 'x' });
    const skipped = ['body.context.tell'];
    expect(await troupe.diff('x', holding(1))).toEqual({ equal: true, entries: 2, compared: 'states', skipped });
    expect(await troupe.diff('x', holding(2))).toMatchObject({
      equal: false,
      seq: 2,
      expected: { context: { n: 1 } },
      got: { context: { n: 2 } },
    });
  });

  test('says at which entry the context of a machine below the body first is another one', async () => {
    const nested = (by: number) => {
      const child = setup({ types: { context: {} as { n: number }, events: {} as { type: 'ADD' } } }).createMachine({
        context: { n: 0 },
        on: { ADD: { actions: assign({ n: ({ context }) => context.n + by }) } },
      });
      return durable(
        setup({ types: { events: {} as { type: 'ADD' } }, actors: { child } }).createMachine({
          invoke: { src: 'child', id: 'child' },
          on: { ADD: { actions: sendTo('child', { type: 'ADD' }) } },
        }),
        { name: 'nested', version: '1' },
      );
    };
    const one = nested(1);
    const troupe = await opened({ definitions: [one] });
    const run = await troupe.start(one, undefined, { id: 'x' });
    await run.send({ type: 'ADD' });
    expect(await troupe.diff('x', nested(1))).toEqual({ equal: true, entries: 3, compared: 'states' });
    expect(await troupe.diff('x', nested(7))).toMatchObject({
      equal: false,
      seq: 3,
      expected: { contexts: { 'body/child': { n: 1 } } },
      got: { contexts: { 'body/child': { n: 7 } } },
    });
  });

  test('says so where only the end is another one', async () => {
    const { store, outside, troupe: first } = await done();
    const better = errand(outside, { version: '2', bonus: 1 });
    await first.close();
    const troupe = await opened({ backend: store, recover: false, definitions: [better] });
    expect(await troupe.diff('x', better)).toMatchObject({
      equal: false,
      entry: { type: 'run.completed' },
      expected: { output: { paid: 100 } },
      got: { output: { paid: 101 } },
    });
  });

  test('without the definition that wrote it tells whether the entries fit', async () => {
    const { store, outside, troupe: first } = await done();
    await first.close();
    const troupe = await opened({ backend: store, recover: false });
    expect(await troupe.diff('x', errand(outside, { version: '2', resting: true }))).toMatchObject({
      equal: false,
      entry: { type: 'timer.fired' },
    });
    expect(await troupe.diff('x', errand(outside, { version: '3' }))).toMatchObject({ equal: true, compared: 'fit' });
    await expect(troupe.diff('nobody', errand(outside))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
