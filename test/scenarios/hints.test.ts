import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { assign, setup } from 'xstate';
import {
  childRun,
  createTroupe,
  durable,
  StorageError,
  StorageFullError,
  type Troupe,
  type TroupeOptions,
} from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { list } from '../support/list.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';
import { Working } from '../support/working.ts';

/** What the registry and signals say is old, or lost, or came in between: the journals decide, and nobody waits for ever. */

/** Waits for one run that it has begun; told to, it does without. */
const parent = durable(
  setup({
    types: { events: {} as { type: 'SKIP' }, context: {} as { got: unknown } },
    actors: { below: childRun(list) },
  }).createMachine({
    context: { got: null },
    initial: 'waiting',
    states: {
      waiting: {
        invoke: { src: 'below', onDone: { target: 'done', actions: assign({ got: ({ event }) => event.output }) } },
        on: { SKIP: 'done' },
      },
      done: { type: 'final' },
    },
    output: ({ context }) => context.got,
  }),
  { name: 'parent', version: '1' },
);

const open: Troupe[] = [];
const opened = async (options: TroupeOptions): Promise<Troupe> => {
  const clock = new SimulatedClock();
  const troupe = await createTroupe({ clock, report: () => {}, definitions: [list, parent], ...options });
  open.push(troupe);
  return troupe;
};
afterEach(async () => {
  await Promise.all(open.splice(0).map((troupe) => troupe.close()));
});

const eventually = async (fact: () => Promise<boolean>, what: string): Promise<void> => {
  for (let turns = 0; turns < 1_000; turns += 1, await turn()) if (await fact()) return;
  throw new Error(`It did not come to be that ${what}.`);
};
const broken = (): StorageError => new StorageError('input/output error', {});
const childOf = async (troupe: Troupe): Promise<string> => {
  const all = await troupe.runs();
  return all.find(({ definition }) => definition === 'list')?.run ?? '';
};

/** A run that is started, and what another process has sent it, which its owner could not read. */
async function unread<Near, Far>(
  start: (owner: Troupe) => Promise<Near>,
  attach: (other: Troupe) => Promise<Far>,
  send: (far: Far) => Promise<unknown>,
) {
  const [store, clock] = [new FaultyStore(), new SimulatedClock()];
  const reported: string[] = [];
  const owner = await opened({ backend: store, clock, report: (_, where) => void reported.push(where) });
  const near = await start(owner);
  const far = await attach(await opened({ backend: store }));
  store.failOnce('read', broken());
  await send(far);
  await until(() => reported.length > 0, 'its inbox cannot be read');
  return { near, clock };
}

describe('a message', () => {
  test('whose inbox could not be read is taken a second later, though nobody signals it again', async () => {
    const { near, clock } = await unread(
      (owner) => owner.start(list, undefined, { id: 'x' }),
      (other) => other.attach('x', list),
      (far) => far.send({ type: 'ADD', n: 1 }),
    );
    clock.increment(1_000);
    await until(() => near.getSnapshot()?.context.seen.length === 1, 'it is taken');
  });

  test('comes before one that its owner is told later, also where its inbox could not be read at first', async () => {
    const { near } = await unread(
      (owner) => owner.start(list, undefined, { id: 'x' }),
      (other) => other.attach('x', list),
      (far) => far.send({ type: 'ADD', n: 1 }),
    );
    await near.send({ type: 'ADD', n: 2 });
    await near.send({ type: 'END' });
    expect((await near.result()).data).toEqual([1, 2]);
  });

  test('that was acknowledged while the process of its run stood still comes before what fell due there', async () => {
    const deadline = durable(
      setup({ types: { events: {} as { type: 'GO' } } }).createMachine({
        initial: 'waiting',
        states: {
          waiting: { on: { GO: 'went' }, after: { 5_000: 'late' } },
          went: { type: 'final' },
          late: { type: 'final' },
        },
      }),
      { name: 'deadline', version: '1' },
    );
    const { near, clock } = await unread(
      (owner) => owner.start(deadline, undefined, { id: 'x' }),
      (other) => other.attach('x', deadline),
      (far) => far.send({ type: 'GO' }),
    );
    clock.jump(60_000);
    await near.result();
    expect(near.getSnapshot()?.value).toBe('went');
  });

  test('to a run that is on record already, and is registered at this moment, is taken once it lives', async () => {
    const store = new FaultyStore();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store });
    const held = store.holdOnce('put');
    const starting = owner.start(list, undefined, { id: 'x' });
    await held.reached;
    await (await other.attach('x', list)).send({ type: 'END' });
    held.release();
    expect((await (await starting).result()).success).toBe(true);
  });

  test('to a run whose start could not be registered is not lost when its process ends', async () => {
    const store = new FaultyStore();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store });
    store.failOnce('put', new StorageFullError('full', {}));
    await expect(owner.start(list, undefined, { id: 'x' })).rejects.toThrow(StorageFullError);
    const far = await other.attach('x', list);
    await far.send({ type: 'END' });
    await owner.close();
    expect((await other.recover()).recovered).toEqual(['x']);
    expect((await far.result()).success).toBe(true);
  });
});

describe('what was said to a run before its process ended', () => {
  /** Hears until it is late. */
  const heard = durable(
    setup({
      types: { events: {} as { type: 'NOW' }, context: {} as { when: string }, output: {} as string },
    }).createMachine({
      context: { when: '' },
      initial: 'waiting',
      states: {
        waiting: {
          on: { NOW: { target: 'over', actions: assign({ when: 'in time' }) } },
          after: { 10_000: { target: 'over', actions: assign({ when: 'late' }) } },
        },
        over: { type: 'final' },
      },
      output: ({ context }) => context.when,
    }),
    { name: 'heard', version: '1' },
  );

  test('comes before what fell due since', async () => {
    const store = new FaultyStore();
    const times = [new SimulatedClock(), new SimulatedClock()] as const;
    const reported: string[] = [];
    const report = (_: unknown, where: string): void => void reported.push(where);
    const owner = await opened({ backend: store, clock: times[0], definitions: [heard], report });
    const other = await opened({ backend: store, clock: times[1], definitions: [heard], recover: false });
    await owner.start(heard, undefined, { id: 'x' });
    // Its owner does not come to read it.
    const far = await other.attach('x', heard);
    store.failOnce('read', broken());
    await far.send({ type: 'NOW' });
    await until(() => reported.length > 0, 'it could not be read');
    await owner.close();
    times[1].increment(20_000);
    // Nor can whoever takes it over, at first.
    store.failOnce('read', broken(), 'x/inbox');
    await other.recover('x');
    for (let turns = 0; turns < 20; turns += 1) await turn();
    times[1].increment(1_000);
    expect((await (await other.attach('x', heard)).result()).data).toBe('in time');
  });
});

describe('a result', () => {
  test('of a run that lives elsewhere is awaited no more where the troupe is closed', async () => {
    const store = new FaultyStore();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store });
    await owner.start(list, undefined, { id: 'x' });
    const result = (await other.attach('x', list)).result();
    const closed = expect(result).rejects.toMatchObject({ code: 'CLOSED' });
    for (let turns = 0; turns < 20; turns += 1) await turn();
    await other.close();
    await closed;
  });
});

describe('a message that its run could not take', () => {
  test('is taken later, before those behind it', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const reported: string[] = [];
    const owner = await opened({ backend: store, clock, report: (_, where) => void reported.push(where) });
    const other = await opened({ backend: store });
    await owner.setBudget({ tenant: 'acme', tokens: 1_000, period: '1d' });
    await owner.start(list, undefined, { id: 'x', tenant: 'acme', budget: { tokens: 10 } });
    await (await owner.attach('x')).pause();
    const far = await other.attach('x', list);
    store.failOnce('budget', broken());
    await far.resume({ budget: { tokens: 20 } });
    await far.checkpoint('behind');
    await until(() => reported.length > 0, 'it could not draw');
    clock.increment(1_000);
    const types: string[] = [];
    for await (const { type } of (await owner.attach('x')).entries()) {
      types.push(type);
      if (type === 'checkpoint') break;
    }
    expect(types.slice(-2)).toEqual(['run.resumed', 'checkpoint']);
  });
});

describe('whether a run that is parked waits for somebody', () => {
  test('depends on what it has begun', async () => {
    const clock = new SimulatedClock();
    const working = new Working();
    const above = durable(
      setup({ actors: { below: childRun(working.definition()) } }).createMachine({
        initial: 'waiting',
        states: { waiting: { invoke: { src: 'below' } } },
      }),
      { name: 'above', version: '1' },
    );
    const troupe = await opened({ clock, parkAfter: '2s' });
    const run = await troupe.start(above, undefined, { id: 'x' });
    await until(() => working.running === 1, 'the other one works');
    clock.increment(2_000);
    await until(() => troupe.counts.parked === 1, 'it rests');
    let settled: string | undefined;
    void run.settled().then(
      (how) => (settled = how),
      () => {},
    );
    for (let turns = 0; turns < 50; turns += 1) await turn();
    expect(settled).toBeUndefined();
  });
});

describe('a kill', () => {
  test('keeps a run from being brought here while it is fenced', async () => {
    const [store, working] = [new FaultyStore(), new Working()];
    const definition = working.definition();
    const before = await opened({ backend: store });
    await before.start(definition, undefined, { id: 'x' });
    await until(() => working.begun === 1, 'the call has begun');
    await before.close();
    const troupe = await opened({ backend: store, definitions: [definition], recover: false });
    const fence = store.holdOnce('append');
    const killing = troupe.kill('x');
    await fence.reached;
    const recovering = troupe.recover('x');
    for (let turns = 0; turns < 20; turns += 1) await turn();
    fence.release();
    expect(await killing).toMatchObject({ status: 'killed', left: [] });
    await recovering;
    expect([working.begun, working.running, troupe.counts.live]).toEqual([1, 0, 0]);
  });

  test('of a run that cannot be read says that it does not know what that has begun, and finds it later', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const before = await opened({ backend: store });
    await before.start(parent, undefined, { id: 'x' });
    await eventually(async () => (await childOf(before)) !== '', 'the other one is begun');
    await before.close();
    // It does not know their definitions: what it finds it cannot go on with.
    const troupe = await opened({ backend: store, clock, definitions: [] });
    const child = await childOf(troupe);
    store.failOnce('read', broken());
    const { status, left } = await troupe.kill('x');
    expect([status, left.map(({ run }) => run)]).toEqual(['killed', ['x']]);
    clock.increment(5_000);
    await eventually(async () => (await troupe.attach(child)).status === 'killed', 'what it has begun is killed');
    await eventually(async () => (await store.registered()).length === 0, 'both are forgotten');
  });
});

describe('a run that another one has begun', () => {
  test('and does not need any more is killed, however often the store fails; the other one is remembered until then', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const troupe = await opened({ backend: store, clock });
    const run = await troupe.start(parent, undefined, { id: 'x' });
    await until(() => troupe.counts.live === 2, 'both live');
    const child = await childOf(troupe);
    store.failOnce('append', broken(), child);
    await run.send({ type: 'SKIP' });
    await run.result();
    for (let turns = 0; turns < 20; turns += 1) await turn();
    expect(await store.registered()).toContain('x');
    clock.increment(1_000);
    await eventually(async () => (await store.registered()).length === 0, 'both are forgotten');
    expect((await troupe.attach(child)).status).toBe('killed');
  });

  test('and does not need any more is killed though its process ends at that moment', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const before = await opened({ backend: store });
    await before.start(parent, undefined, { id: 'x' });
    await until(() => before.counts.live === 2, 'both live');
    await before.close();
    const other = await opened({ backend: store, clock, definitions: [list] });
    clock.increment(5_000);
    for (let turns = 0; turns < 50; turns += 1) await turn();
    // From here on it hears of nobody but by what they say themselves.
    const owner = await opened({ backend: store });
    expect([owner.counts.live, other.counts.live]).toEqual([1, 1]);
    const [run, child] = [await owner.attach('x', parent), await childOf(other)];
    const killing = store.holdOnce('get', child);
    await run.send({ type: 'SKIP' });
    await run.result();
    await killing.reached;
    await owner.close();
    killing.release();
    clock.increment(5_000);
    await eventually(async () => (await store.registered()).length === 0, 'both are forgotten');
    expect((await other.attach(child)).status).toBe('killed');
  });

  test('tells it how it ended though the store fails once', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const troupe = await opened({ backend: store, clock });
    const run = await troupe.start(parent, undefined, { id: 'x' });
    await until(() => troupe.counts.live === 2, 'both live');
    const child = await troupe.attach(await childOf(troupe), list);
    await child.send({ type: 'ADD', n: 1 });
    store.failOnce('tail', broken(), child.id);
    await child.send({ type: 'END' });
    await until(() => {
      clock.increment(1_000);
      return run.status !== 'running';
    }, 'the other one has ended');
    expect(await run.result()).toMatchObject({ success: true, data: [1] });
  });

  test('tells it how it ended also where that is being parked, and its process ends before it could record that', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const owner = await opened({ backend: store, clock, parkAfter: '2s' });
    await owner.start(parent, undefined, { id: 'x' });
    await until(() => owner.counts.live === 2, 'both live');
    const child = await owner.attach(await childOf(owner), list);
    // Whoever looks at it keeps it in memory.
    child.subscribe(() => {});
    const parking = store.holdOnce('written');
    clock.increment(2_000);
    await parking.reached;
    store.failOnce('append', broken(), 'x');
    await child.send({ type: 'END' });
    await eventually(async () => (await store.registered()).length === 1, 'the one that has ended is forgotten');
    store.crash();
    parking.release();
    const other = await opened({ backend: store });
    expect((await (await other.attach('x', parent)).result()).success).toBe(true);
    // What it tries again then finds that its process is gone.
    clock.increment(1_000);
  });

  test('tells it how it ended also where that has been taken over while it rested', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const owner = await opened({ backend: store, clock, parkAfter: '2s' });
    const run = await owner.start(parent, undefined, { id: 'x' });
    await until(() => owner.counts.live === 2, 'both live');
    const child = await childOf(owner);
    await until(() => {
      clock.increment(1_000);
      return owner.counts.parked === 2;
    }, 'both rest');
    const later = new SimulatedClock();
    const other = await opened({ backend: store, clock: later, parkAfter: '2s', recover: false });
    const [first] = store.owners;
    if (first === undefined) throw new Error('nobody is there');
    store.takenForGone.add(first);
    expect((await other.recover('x')).recovered).toEqual(['x']);
    store.takenForGone.clear();
    await until(() => {
      later.increment(1_000);
      return other.counts.parked === 1;
    }, 'it rests there');
    await (await owner.attach(child, list)).send({ type: 'END' });
    expect((await run.result()).success).toBe(true);
  });
});

describe('a kill that reaches a run in another process', () => {
  test('stops it there, also where its owner could not look at first', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const reported: unknown[] = [];
    const owner = await opened({ backend: store, clock, report: (error) => void reported.push(error) });
    const other = await opened({ backend: store, clock });
    await owner.start(list, undefined, { id: 'x' });
    const fence = store.holdOnce('append', 'x');
    const killing = other.kill('x', 'why not', { grace: 0 });
    await fence.reached;
    store.failOnce('tail', broken(), 'x');
    fence.release();
    await until(() => reported.length > 0, 'it could not look');
    await until(() => owner.counts.live === 0, 'it has stopped');
    // Nobody answers a kill that could not be looked at.
    let receipt: unknown;
    void killing.then((complete) => (receipt = complete));
    await until(() => {
      clock.increment(1_000);
      return receipt !== undefined;
    }, 'the receipt is complete');
    expect(receipt).toMatchObject({ status: 'killed', answered: false });
  });

  test('stops it there, also where it is coming to be at that moment', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const owner = await opened({ backend: store, clock });
    const other = await opened({ backend: store, clock });
    const registered = store.holdOnce('written', 'x');
    const starting = owner.start(list, undefined, { id: 'x' });
    await registered.reached;
    const killing = other.kill('x');
    await eventually(async () => (await other.attach('x')).status === 'killed', 'it is fenced');
    for (let turns = 0; turns < 50; turns += 1) await turn();
    registered.release();
    expect(await killing).toMatchObject({ status: 'killed', answered: true });
    await starting;
    expect(owner.counts).toEqual({ live: 0, parked: 0 });
  });
});

describe('a kill of a run in another process that cannot be told', () => {
  test('is told a second later', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const owner = await opened({ backend: store, clock });
    const other = await opened({ backend: store, clock });
    await owner.start(list, undefined, { id: 'x' });
    store.failOnce('request', broken());
    expect(await other.kill('x')).toMatchObject({ status: 'killed', answered: false });
    expect(owner.counts.live).toBe(1);
    clock.increment(1_000);
    await until(() => owner.counts.live === 0, 'it has stopped');
  });
});

describe('a run that is being begun', () => {
  test('stays registered where somebody finds at this moment that there is none', async () => {
    const store = new FaultyStore();
    const owner = await opened({ backend: store });
    store.failOnce('append', broken(), 'x');
    await expect(owner.start(list, undefined, { id: 'x' })).rejects.toThrow(StorageError);
    const late = store.holdOnce('tail', 'x');
    const recovering = owner.recover();
    await late.reached;
    const starting = owner.start(list, undefined, { id: 'x' });
    for (let turns = 0; turns < 20; turns += 1) await turn();
    late.release();
    await recovering;
    await starting;
    expect(await store.registered()).toEqual(['x']);
  });
});
