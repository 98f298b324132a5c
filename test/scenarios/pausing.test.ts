import { describe, expect, test } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { z } from 'zod';
import { durable, StorageFullError, tool, toolActor } from '../../src/index.ts';
import { entriesOf } from '../support/entries.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, still, until } from '../support/simulatedClock.ts';
import { openedWith } from '../support/opened.ts';

/** A paused run: no call begins in it, and everything else goes on. */

const opened = openedWith({ principal: 'ana' });

/** Two calls one after the other, each ended by hand. */
function twoCalls() {
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const call = fromPromise<string, string>(({ input }) => {
    begun.push(input);
    return new Promise((resolve) => ends.push(() => resolve(input)));
  });
  const machine = setup({
    actors: { call },
  }).createMachine({
    initial: 'first',
    states: {
      first: { invoke: { src: 'call', input: 'first', onDone: 'second' } },
      second: { invoke: { src: 'call', input: 'second', onDone: 'done' }, after: { 60_000: 'late' } },
      late: { type: 'final' },
      done: { type: 'final' },
    },
  });
  return { begun, ends, definition: durable(machine, { name: 'two-calls', version: '1' }) };
}

describe('a call whose begin is on record before the pause', () => {
  test('is under way: it ends, and is neither lost nor in doubt', async () => {
    const begun: unknown[] = [];
    const pay = tool({
      name: 'pay',
      description: 'Pays',
      inputSchema: z.object({}),
      effect: 'irreversible',
      timeout: '1s',
      execute: () => void begun.push(1),
    });
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const troupe = await opened({ backend: store, clock });
    const append = store.holdOnce('append', 'x');
    const starting = troupe.start(pay, {}, { id: 'x' });
    await append.reached;
    append.release();
    const run = await starting;
    const intent = store.holdOnce('append', 'x');
    await intent.reached;
    const pausing = run.pause('lunch');
    intent.release();
    await pausing;
    await still();
    clock.increment(60_000);
    await still();
    expect(begun).toHaveLength(1);
    expect(await run.inDoubt()).toEqual([]);
    expect((await run.result()).success).toBe(true);
  });
});

describe('a paused run', () => {
  test('ends the call under way, begins none, and goes on where it was when it is resumed', async () => {
    const { begun, ends, definition } = twoCalls();
    const troupe = await opened();
    const run = await troupe.start(definition);
    await until(() => begun.length === 1, 'the first call has begun');
    await run.pause('lunch');
    expect(run.status).toBe('paused');
    ends[0]?.();
    await until(() => run.getSnapshot()?.value === 'second', 'the result has come in');
    await still();
    expect(begun).toEqual(['first']);
    await run.resume();
    await until(() => begun.length === 2, 'the second call has begun');
    ends[1]?.();
    expect((await run.result()).success).toBe(true);
    const entries = (await entriesOf(run)).filter(({ type }) => type.startsWith('run.'));
    expect(entries.map(({ type, event }) => [type, (event as { by?: string } | null)?.by])).toEqual([
      ['run.created', 'ana'],
      ['run.started', undefined],
      ['run.paused', 'ana'],
      ['run.resumed', 'ana'],
      ['run.completed', undefined],
    ]);
  });

  test('keeps its timers and its deadlines: a state may be left while nothing begins', async () => {
    const { begun, ends, definition } = twoCalls();
    const clock = new SimulatedClock();
    const troupe = await opened({ clock });
    const run = await troupe.start(definition);
    await until(() => begun.length === 1, 'the first call has begun');
    await run.pause();
    ends[0]?.();
    await until(() => run.getSnapshot()?.value === 'second', 'the result has come in');
    clock.increment(60_000);
    expect((await run.result()).success).toBe(true);
    expect(begun).toEqual(['first']);
  });

  test('is paused still after a crash, and after it has left memory', async () => {
    const { begun, ends, definition } = twoCalls();
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const first = await opened({ backend: store });
    const run = await first.start(definition, undefined, { id: 'x' });
    await until(() => begun.length === 1, 'the first call has begun');
    await run.pause();
    ends[0]?.();
    await until(() => run.getSnapshot()?.value === 'second', 'the result has come in');
    await first.close();
    const second = await opened({ backend: store, clock, definitions: [definition], parkAfter: '1s' });
    await still();
    const again = await second.attach('x', definition);
    expect([again.status, begun]).toEqual(['paused', ['first']]);
    clock.increment(1_000);
    await until(() => second.counts.parked === 1, 'it rests outside memory');
    await again.resume();
    await until(() => begun.length === 2, 'the second call has begun');
  });

  test('is refused what does not fit, with what does, and stays as it is', async () => {
    const { definition } = twoCalls();
    const troupe = await opened();
    const run = await troupe.start(definition);
    expect([run.can('pause'), run.can('resume')]).toEqual([true, false]);
    await expect(run.resume()).rejects.toMatchObject({
      code: 'INVALID_STATE_TRANSITION',
      context: { state: 'running', event: 'resume', allowed: expect.arrayContaining(['pause']) as string[] },
    });
    await run.pause();
    await expect(run.pause()).rejects.toMatchObject({ context: { state: 'paused', event: 'pause' } });
    expect([run.can('pause'), run.can('resume')]).toEqual([false, true]);
    await run.kill();
    await expect(run.resume()).rejects.toMatchObject({ context: { state: 'killed', allowed: [] } });
  });

  test('is paused once: a second pause at the same moment is refused', async () => {
    const { definition } = twoCalls();
    const troupe = await opened();
    const run = await troupe.start(definition);
    const pauses = await Promise.allSettled([run.pause('a'), run.pause('b')]);
    expect(pauses.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(run.status).toBe('paused');
  });

  test('begins no call whose intent was on its way when it was paused, and begins it when it is resumed', async () => {
    const begun: string[] = [];
    const call = fromPromise<void, string>(({ input }) => {
      begun.push(input);
      return Promise.resolve();
    });
    const machine = setup({ types: { events: {} as { type: 'GO' } }, actors: { call } }).createMachine({
      initial: 'idle',
      states: {
        idle: { on: { GO: 'calling' } },
        calling: { invoke: { src: 'call', input: 'paid', onDone: 'done' } },
        done: { type: 'final' },
      },
    });
    const pay = durable(machine, { name: 'pay', version: '1', effects: { call: 'irreversible' } });
    const troupe = await opened();
    const run = await troupe.start(pay);
    const sent = run.send({ type: 'GO' });
    const paused = run.pause();
    await Promise.all([sent, paused]);
    await still();
    expect(begun).toEqual([]);
    await run.resume();
    expect((await run.result()).success).toBe(true);
    expect(begun).toEqual(['paid']);
  });

  test('that rests is known as paused by handles that saw it run', async () => {
    const { begun, definition } = twoCalls();
    const clock = new SimulatedClock();
    const troupe = await opened({ clock, parkAfter: '1s' });
    const run = await troupe.start(definition, undefined, { id: 'x' });
    await until(() => begun.length === 1, 'the first call has begun');
    const other = await troupe.attach('x', definition);
    await run.pause();
    await other.resume();
    await other.pause();
    expect((await run.resume()).seq).toBeGreaterThan(0);
    expect(begun).toEqual(['first']);
  });

  test('is paused and resumed from another process; what comes too late is refused on record', async () => {
    const { begun, definition } = twoCalls();
    const store = new FaultyStore();
    const owner = await opened({ backend: store });
    const other = await opened({ backend: store, principal: 'bob' });
    const run = await owner.start(definition, undefined, { id: 'x' });
    await until(() => begun.length === 1, 'the first call has begun');
    const far = await other.attach('x', definition);
    await far.pause('too dear');
    await until(() => run.status === 'paused', 'its owner has heard of it');
    // What it knows of the run is of before.
    let refused = false;
    run.on('message.refused', () => (refused = true));
    expect((await far.pause('too dear still')).seq).toBe(2);
    await until(() => refused, 'it is refused');
    await run.resume();
    const entries: string[][] = [];
    for await (const { type, event, cause } of run.entries()) {
      if (type === 'run.resumed') break;
      if (type === 'run.paused' || type === 'message.refused')
        entries.push([type, (event as { by: string }).by, String(cause)]);
    }
    expect(entries).toEqual([
      ['run.paused', 'bob', 'inbox/1'],
      ['message.refused', 'bob', 'inbox/2'],
    ]);
  });
});

describe('a run that is held', () => {
  /** Its work begins when it is told to. */
  function told() {
    const world = { worked: 0 };
    const machine = setup({
      types: { events: {} as { type: 'GO' } | { type: 'NOTHING' } },
      actors: { work: fromPromise(() => Promise.resolve((world.worked += 1))) },
    }).createMachine({
      initial: 'idle',
      states: { idle: { on: { GO: 'on' } }, on: { invoke: { src: 'work', onDone: 'done' } }, done: { type: 'final' } },
    });
    return { world, definition: durable(machine, { name: 'told', version: '1' }) };
  }

  const full = (): StorageFullError => new StorageFullError('full', {});

  test('goes on when the pause that held it finds no room in the store', async () => {
    const [store, clock, { world, definition }] = [new FaultyStore(), new SimulatedClock(), told()];
    const troupe = await opened({ backend: store, clock, report: () => {} });
    const run = await troupe.start(definition, undefined, { id: 'x' });
    await still();
    const append = store.holdOnce('append', 'x');
    const sent = run.send({ type: 'GO' });
    await append.reached;
    const pausing = expect(run.pause('lunch')).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    await still();
    store.failOnce('append', full(), 'x');
    append.release();
    await Promise.all([sent, pausing]);
    clock.increment(1_000);
    await run.result();
    expect(world.worked).toBe(1);
  });

  /** Its kill cannot be written: the switch only holds it. */
  async function switchedOff() {
    const [store, clock, { world, definition }] = [new FaultyStore(), new SimulatedClock(), told()];
    const troupe = await opened({ backend: store, clock, report: () => {} });
    const other = await opened({ backend: store, clock, report: () => {} });
    const run = await troupe.start(definition, undefined, { id: 'x' });
    const off = async (): Promise<void> => {
      store.failOnce('append', new Error('refused'), 'x');
      await other.kill({ definition: 'told' }, 'stop', { grace: 0 });
    };
    return { store, clock, run, world, off, lift: () => troupe.lift({ definition: 'told' }) };
  }

  test('by a kill switch goes on when that is lifted while the store has no room for something else', async () => {
    const { store, clock, run, world, off, lift } = await switchedOff();
    await off();
    await run.send({ type: 'GO' });
    store.failOnce('append', full(), 'x');
    await expect(run.send({ type: 'NOTHING' })).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    // For a second the run writes nothing.
    await lift();
    expect(world.worked).toBe(0);
    clock.increment(1_000);
    await run.result();
    expect(world.worked).toBe(1);
  });

  test('by a kill switch and paused waits for somebody when that is lifted', async () => {
    const { run, off, lift } = await switchedOff();
    await run.pause('lunch');
    await run.send({ type: 'GO' });
    await off();
    const settled = run.settled();
    await still();
    await lift();
    expect(await settled).toBe('waiting');
  });
});

test.each(['handBack', 'pause', 'fail'] as const)(
  'a pause while it is being recorded that the budget is spent is refused (%s)',
  async (onExhausted) => {
    const store = new FaultyStore();
    const search = tool({
      name: 'search',
      description: 'Searches',
      inputSchema: z.object({}),
      cost: { usd: 0.5 },
      execute: () => 1,
    });
    const machine = setup({
      types: { events: {} as { type: 'GO' } | { type: 'troupe.wrapUp' } },
      actors: { search: toolActor(search) },
    }).createMachine({
      initial: 'idle',
      on: { 'troupe.wrapUp': '.last' },
      states: { idle: { on: { GO: 'searching' } }, searching: { invoke: { src: 'search', input: {} } }, last: {} },
    });
    const troupe = await opened({ backend: store });
    const definition = durable(machine, { name: 'searching', version: '1' });
    const run = await troupe.start(definition, undefined, { id: 'x', budget: { usd: 0.4, onExhausted } });
    await still();
    const held = store.holdBehindMessage(run);
    await run.send({ type: 'GO' });
    const { reached, release } = await held;
    await reached;
    await expect(run.pause('lunch')).rejects.toMatchObject({ code: 'INVALID_STATE_TRANSITION' });
    release();
    await still();
    const status = { handBack: 'wrappingUp', pause: 'paused', fail: 'failed' }[onExhausted];
    expect([run.status, (await run.summary()).status]).toEqual([status, status]);
  },
);

test.each(['pause', 'handBack'] as const)(
  'a call whose turn comes while it is being recorded that the budget is spent does not begin (%s)',
  async (onExhausted) => {
    const store = new FaultyStore();
    const begun: string[] = [];
    const ends: (() => void)[] = [];
    const pay = tool({
      name: 'pay',
      description: 'Pays',
      inputSchema: z.object({ who: z.string() }),
      concurrency: 1,
      cost: { usd: 1 },
      execute: ({ who }) => {
        begun.push(who);
        return new Promise<void>((resolve) => ends.push(resolve));
      },
    });
    const paying = (who: string) => ({ invoke: { src: 'pay' as const, input: { who } } });
    const machine = setup({
      types: { events: {} as { type: 'PAY' } | { type: 'troupe.wrapUp' } },
      actors: { pay: toolActor(pay) },
    }).createMachine({
      type: 'parallel',
      on: { 'troupe.wrapUp': {} },
      states: {
        first: { initial: 'on', states: { on: paying('first') } },
        second: { initial: 'on', states: { on: paying('second') } },
        third: { initial: 'off', states: { off: { on: { PAY: 'on' } }, on: paying('third') } },
      },
    });
    const troupe = await opened({ backend: store });
    const budget = { usd: 2, onExhausted };
    const run = await troupe.start(durable(machine, { name: 'paying', version: '1' }), undefined, { id: 'x', budget });
    await still();
    const exceeding = store.holdBehindMessage(run);
    await run.send({ type: 'PAY' });
    const { reached, release } = await exceeding;
    await reached;
    ends[0]?.();
    await still();
    release();
    await still();
    expect(begun).toEqual(['first']);
  },
);
