import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { fromPromise, setup, spawnChild } from 'xstate';
import { z } from 'zod';
import {
  childRun,
  durable,
  StorageError,
  StorageFullError,
  tool,
  toolActor,
  type DurableDefinition,
} from '../../src/index.ts';
import { deafTool } from '../support/deaf.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { pass, SimulatedClock, still, until } from '../support/simulatedClock.ts';
import { Working } from '../support/working.ts';
import { openedWith } from '../support/opened.ts';

/** Kills of runs, and what their receipts say. */

const opened = openedWith({ report: () => {}, principal: 'ana' });

/** A tree of runs: each begins two of the next level and works. */
function tree(levels: number) {
  const working = { begun: 0, aborted: 0 };
  const work = fromPromise<unknown>(({ signal }) => {
    working.begun += 1;
    signal.addEventListener('abort', () => (working.aborted += 1));
    return new Promise<never>(() => {});
  });
  const definition: DurableDefinition = durable(
    setup({
      types: { input: {} as number, context: {} as { level: number } },
      actors: { work, child: childRun((): DurableDefinition => definition) },
      guards: { isLeaf: ({ context }) => context.level === 0 },
    }).createMachine({
      context: ({ input }) => ({ level: input }),
      type: 'parallel',
      states: {
        own: { initial: 'on', states: { on: { invoke: { src: 'work' } } } },
        below: {
          initial: 'deciding',
          states: {
            deciding: { always: [{ guard: 'isLeaf', target: 'none' }, { target: 'two' }] },
            two: {
              invoke: [
                { src: 'child', id: 'a', input: ({ context }: { context: { level: number } }) => context.level - 1 },
                { src: 'child', id: 'b', input: ({ context }: { context: { level: number } }) => context.level - 1 },
              ],
            },
            none: {},
          },
        },
      },
    }),
    { name: 'tree', version: '1' },
  );
  return { definition, working, runs: 2 ** (levels + 1) - 1 };
}

describe('a kill of a run', () => {
  test('reaches all that it has begun, and its receipt names every actor with its state', async () => {
    const { definition, working, runs } = tree(3);
    const troupe = await opened();
    const run = await troupe.start(definition, 3, { id: 'root' });
    await until(() => working.begun === runs, 'all of them work');
    const receipt = await run.kill('enough', { by: 'bob' });
    expect(receipt).toMatchObject({ run: 'root', status: 'killed', reason: 'enough', by: 'bob', unanswered: [] });
    expect(receipt.runs).toHaveLength(runs);
    expect(receipt.runs[0]?.run).toBe('root');
    expect(receipt.stopped).toContainEqual({ actor: 'body/work', state: 'active', ms: 0 });
    for (const killed of receipt.runs)
      expect(killed).toMatchObject({ status: 'killed', definition: 'tree', answered: true });
    expect(working.aborted).toBe(runs);
    expect(troupe.counts).toEqual({ live: 0, parked: 0 });
    expect((await troupe.runs()).every(({ status }) => status === 'killed')).toBe(true);
  });

  test('at whatever moment of the growth of its tree leaves nothing that lives', async () => {
    for (let turns = 0; turns < 24; turns += 1) {
      const { definition, working } = tree(3);
      const store = new FaultyStore();
      const troupe = await opened({ backend: store });
      await troupe.start(definition, 3, { id: 'root' });
      for (let at = 0; at < turns; at += 1) await turn();
      await troupe.kill('root');
      await still();
      expect([turns, working.begun - working.aborted, troupe.counts.live]).toEqual([turns, 0, 0]);
      expect(await store.registered()).toEqual([]);
      const statuses = (await troupe.runs()).map(({ status }) => status);
      expect(statuses.every((status) => status === 'killed')).toBe(true);
      await troupe.close();
    }
  });

  test('keeps a child from being begun by an owner that does not know of it yet', async () => {
    const { definition, working } = tree(1);
    const store = new FaultyStore();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store });
    // Its intent is on record, and the process stands still before it can begin the child.
    const intents = (async () => {
      for (;;) {
        const held = store.holdOnce('append');
        await held.reached;
        if ((await store.registered()).length >= 1 && working.begun === 1) return held;
        held.release();
      }
    })();
    await owner.start(definition, 1, { id: 'root' });
    const held = await intents;
    const killing = other.kill('root', 'enough', { grace: 0 });
    await still();
    held.release();
    await killing;
    await still();
    expect(owner.counts.live).toBe(0);
    expect((await other.runs()).every(({ status }) => status === 'killed')).toBe(true);
    // Whoever comes to begin it finds its tombstone.
    const again = await other.kill('root');
    expect(again.runs.every(({ status }) => status === 'killed')).toBe(true);
  });

  test('reaches what its owner does not know to be on record', async () => {
    const [store, clock, working] = [new FaultyStore(), new SimulatedClock(), new Working()];
    const machine = setup({ actors: { child: childRun(working.definition()) } }).createMachine({
      initial: 'calling',
      states: { calling: { invoke: { src: 'child' } } },
    });
    const troupe = await opened({ backend: store, clock });
    await troupe.start(durable(machine, { name: 'parent', version: '1' }), undefined, { id: 'p' });
    // The begin of its child is written, and seems to have failed; then the store is full.
    store.failOnce('appended', new StorageError('timed out, perhaps done', {}), 'p');
    await still();
    store.failOnce('append', new StorageFullError('full', {}), 'p');
    const killing = troupe.kill('p');
    await pass(clock, 3_000);
    expect((await killing).runs.map(({ definition, status }) => `${definition} ${status}`)).toEqual([
      'parent killed',
      'working killed',
    ]);
    expect(working.begun).toBe(0);
  });

  test('is refused at the door where it would wait longer than an hour', async () => {
    const troupe = await opened();
    const run = await troupe.start(new Working().definition(), undefined, { id: 'x' });
    await expect(run.kill('enough', { grace: '30d' })).rejects.toThrow('is too long: 3600000 ms at most');
    expect(run.status).toBe('running');
  });

  test('in another process is answered also where all that stopped there does not fit in a message', async () => {
    const work = fromPromise<unknown>(() => new Promise<never>(() => {}));
    const long = 'x'.repeat(1_500);
    const states = { [long]: { invoke: { src: 'work' as const } } };
    const one = setup({ actors: { work } }).createMachine({ initial: long, states });
    const many = setup({ actors: { one } }).createMachine({
      entry: Array.from({ length: 600 }, (_, index) => spawnChild('one', { id: `${long}${index}` })),
    });
    const store = new FaultyStore();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store });
    await owner.start(durable(many, { name: 'many', version: '1' }), undefined, { id: 'x' });
    const { answered, unanswered, stopped } = await other.kill('x');
    expect({ answered, unanswered }).toEqual({ answered: true, unanswered: [] });
    expect(stopped.length).toBeGreaterThan(50);
  });

  test('in another process names what has not stopped also among more than fit in a message', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const idle = setup({}).createMachine({});
    const { deaf } = deafTool();
    const machine = setup({ actors: { idle, deaf: toolActor(deaf) } }).createMachine({
      entry: Array.from({ length: 2_100 }, (_, index) => spawnChild('idle', { id: `idle-${index}` })),
      initial: 'on',
      states: { on: { always: 'calling' }, calling: { invoke: { src: 'deaf', input: {} } } },
    });
    const owner = await opened({ backend: store, clock });
    const other = await opened({ backend: store, clock });
    await owner.start(durable(machine, { name: 'many', version: '1' }), undefined, { id: 'x' });
    await still();
    const killing = other.kill('x', 'enough', { grace: '1s' });
    await pass(clock, 3_000);
    expect((await killing).unanswered).toEqual([{ run: 'x', actor: expect.stringContaining('attempt') }]);
  });

  test('in another process is answered by it, with what stopped there', async () => {
    const store = new FaultyStore();
    const working = new Working();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store });
    await owner.start(working.definition(), undefined, { id: 'x' });
    await until(() => working.running === 1, 'its call has begun');
    await still();
    const receipt = await other.kill('x');
    expect(receipt).toMatchObject({ answered: true, unanswered: [], owner: expect.any(String) as string });
    expect(receipt.stopped.map(({ actor }) => actor)).toEqual(['run', 'body', 'body/work']);
    expect(working.running).toBe(0);
  });

  test('waits for what is told to stop, at most for the grace period, and names who has not', async () => {
    const clock = new SimulatedClock();
    const ends: (() => void)[] = [];
    const deaf = tool({
      name: 'deaf',
      description: 'Ignores its signal',
      inputSchema: z.object({}),
      execute: () => new Promise<void>((resolve) => ends.push(resolve)),
    });
    const troupe = await opened({ clock });
    const first = await troupe.start(deaf, {}, { id: 'first' });
    const second = await troupe.start(deaf, {}, { id: 'second' });
    await until(() => ends.length === 2, 'both have begun');
    const late = first.kill('enough', { grace: '2s' });
    const intime = second.kill('enough', { grace: '2s' });
    await still();
    clock.increment(500);
    ends[1]?.();
    await still();
    clock.increment(1_500);
    const [one, two] = await Promise.all([late, intime]);
    expect(one).toMatchObject({ unanswered: [{ run: 'first', actor: 'body/attempt' }], inDoubt: ['body'] });
    expect(two).toMatchObject({
      unanswered: [],
      stopped: expect.arrayContaining([{ actor: 'body/attempt', state: 'active', ms: 500 }]) as [],
    });
    ends[0]?.();
    await still();
    expect(first.status).toBe('killed');
  });

  test('that has been killed says so, and changes nothing', async () => {
    const working = new Working();
    const troupe = await opened();
    const run = await troupe.start(working.definition(), undefined, { id: 'x' });
    const first = await run.kill('enough', { by: 'bob' });
    const second = await run.kill('again');
    expect(second).toMatchObject({ status: 'killed', reason: 'enough', by: 'bob', seq: first.seq, stopped: [] });
    await expect(troupe.kill('y')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

test('a run that was killed before its end was recorded is killed, in a replay, too', async () => {
  const store = new FaultyStore();
  const quick = tool({ name: 'quick', description: '', inputSchema: z.object({}), execute: () => 1 });
  const troupe = await opened({ backend: store });
  const run = await troupe.start(quick, {}, { id: 'x' });
  const types: string[] = [];
  let killing: Promise<unknown> | undefined;
  run.on('*', ({ type }) => {
    types.push(type);
    if (type === 'leaf.succeeded') killing = troupe.kill('x');
  });
  await until(() => types.includes('leaf.succeeded'), 'its call has ended');
  await killing;
  const { status } = (await run.result()).metadata;
  expect([run.status, (await troupe.replay('x')).status]).toEqual([status, status]);
});

describe('two kills of a run at once', () => {
  test('both wait for what has not stopped, and both name it', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const { deaf, counts } = deafTool();
    const owner = await opened({ backend: store, clock });
    const others = [await opened({ backend: store, clock }), await opened({ backend: store, clock }), owner];
    await owner.start(deaf, {}, { id: 'x' });
    await until(() => counts.begun === 1, 'it works');
    const killing = others.map((troupe, n) => troupe.kill('x', `by ${n}`, { grace: '2s' }));
    await pass(clock, 8_000);
    for (const receipt of await Promise.all(killing))
      expect(receipt).toMatchObject({ status: 'killed', unanswered: [{ run: 'x', actor: 'body/attempt' }] });
  });
});

describe('a kill of a run that has ended', () => {
  test.each(['by its run', 'by all'])('elsewhere, while here it seemed to live, stops it here (%s)', async (how) => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const aborted: string[] = [];
    const working = (name: string) =>
      durable(
        setup({
          types: { events: {} as { type: 'GO' } },
          actors: {
            work: fromPromise<unknown>(({ signal }) => {
              signal.addEventListener('abort', () => aborted.push(name));
              return new Promise<never>(() => {});
            }),
          },
        }).createMachine({
          initial: 'on',
          states: { on: { invoke: { src: 'work' }, on: { GO: 'done' } }, done: { type: 'final' } },
        }),
        { name: 'working', version: '1' },
      );
    const owner = await opened({ backend: store, clock });
    const run = await owner.start(working('here'), undefined, { id: 'x' });
    await still();
    for (const one of store.owners) store.takenForGone.add(one);
    const other = await opened({ backend: store, clock, definitions: [working('there')], recover: false });
    await other.recover('x');
    await (await other.attach('x')).send({ type: 'GO' });
    await still();
    if (how === 'by its run') await run.kill();
    else await other.kill({ all: true });
    await pass(clock, 5_000);
    expect(aborted).toEqual(['there', 'here']);
    expect((await run.result()).metadata.status).toBe('completed');
  });

  test('reaches what it had begun and left', async () => {
    const [store, clock, working] = [new FaultyStore(), new SimulatedClock(), new Working()];
    const child = working.definition();
    const machine = setup({
      types: { events: {} as { type: 'GO' } },
      actors: { child: childRun(child) },
    }).createMachine({
      initial: 'on',
      states: { on: { invoke: { src: 'child' }, on: { GO: 'off' } }, off: { type: 'final' } },
    });
    const parent = durable(machine, { name: 'parent', version: '1' });
    const shared = { backend: store, clock, definitions: [parent, child] };
    const first = await opened(shared);
    await first.start(parent, undefined, { id: 'p' });
    await until(() => working.running === 1, 'its child works');
    await still();
    const left = (await first.runs()).find(({ run }) => run !== 'p')?.run ?? '';
    await first.close();
    // Parent and child go on in two processes; that of the parent cannot kill the child, and dies.
    const second = await opened({ ...shared, recover: false });
    await second.recover(left);
    await still();
    const third = await opened({ ...shared, recover: false });
    await third.recover('p');
    store.refused.add(left);
    await (await third.attach('p')).send({ type: 'GO' });
    await still();
    await third.close();
    store.refused.delete(left);
    expect(working.running).toBe(1);
    const { runs } = await second.kill('p');
    expect(runs.map(({ run, status }) => [run, status])).toEqual([
      ['p', 'completed'],
      [left, 'killed'],
    ]);
    expect(working.running).toBe(0);
    expect(await store.registered()).toEqual([]);
  });
});

test.each(['here', 'elsewhere'])(
  'a kill that is tried again after the store has refused it (%s) names what has not stopped',
  async (where) => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const { deaf } = deafTool();
    const owner = await opened({ backend: store, clock });
    const other = await opened({ backend: store, clock, recover: false });
    await owner.start(deaf, {}, { id: 'x' });
    await still();
    store.failOnce('append', new StorageError('refused', {}), 'x');
    await owner.kill('x', 'stop', { grace: 0 }).catch(() => {});
    const killing = (where === 'here' ? owner : other).kill('x', 'stop', { grace: 0 });
    await pass(clock, 2_000);
    expect((await killing).unanswered).toEqual([{ run: 'x', actor: 'body/attempt' }]);
  },
);
