import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { assign, fromPromise, setup } from 'xstate';
import { durable, StorageError, type Troupe, type TroupeOptions } from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { pass, SimulatedClock, until } from '../support/simulatedClock.ts';
import { openedWith } from '../support/opened.ts';

/** A run that only waits leaves memory, and nobody can tell from how it goes on. */

const MINUTE = 60_000;
const began: string[] = [];
const acted: string[] = [];

const order = setup({
  types: {
    context: {} as { paid: number[] },
    events: {} as { type: 'PAY'; cents: number } | { type: 'SHIP' },
    output: {} as number[],
  },
  actors: { pack: fromPromise(async () => void began.push('pack')) },
  actions: { note: () => void acted.push('note') },
}).createMachine({
  context: { paid: [] },
  initial: 'packing',
  states: {
    packing: { invoke: { src: 'pack', onDone: 'waiting' } },
    waiting: {
      entry: 'note',
      on: {
        PAY: { actions: assign({ paid: ({ context, event }) => [...context.paid, event.cents] }) },
        SHIP: 'done',
      },
      after: { [60 * MINUTE]: 'late' },
    },
    late: { on: { SHIP: 'done' } },
    done: { type: 'final' },
  },
  output: ({ context }) => context.paid,
});
const definition = durable(order, { name: 'order', version: '1' });

const opened = openedWith({ definitions: [definition], parkAfter: '1m' });
afterEach(() => {
  began.length = 0;
  acted.length = 0;
});

const parked = (troupe: Troupe, count = 1): Promise<void> =>
  until(() => troupe.counts.parked === count && troupe.counts.live === 0, `${count} runs are parked`);

/** A troupe with one run, `x`, that is parked. */
async function resting(options: TroupeOptions = {}) {
  const clock = new SimulatedClock();
  const store = new FaultyStore();
  const troupe = await opened({ clock, backend: store, ...options });
  const run = await troupe.start(definition, undefined, { id: 'x' });
  await until(() => acted.length === 1, 'it waits');
  await turn();
  clock.increment(MINUTE);
  await parked(troupe);
  return { clock, store, troupe, run };
}

describe('a run that waits', () => {
  test('leaves memory after a minute, not before, and its status stays', async () => {
    const clock = new SimulatedClock();
    const troupe = await opened({ clock });
    const run = await troupe.start(definition, undefined);
    await until(() => acted.length === 1, 'it waits');
    await turn();
    clock.increment(MINUTE - 1);
    await turn();
    expect(troupe.counts).toEqual({ live: 1, parked: 0 });
    clock.increment(1);
    await parked(troupe);
    expect([run.status, (await troupe.runs())[0]?.owned]).toEqual(['running', true]);
  });

  test('is woken by a message and goes on as if it had stayed: no call begins again, no action runs again', async () => {
    const { troupe, run } = await resting();
    await run.send({ type: 'PAY', cents: 5 });
    expect(troupe.counts).toEqual({ live: 1, parked: 0 });
    await run.send({ type: 'SHIP' });
    expect((await run.result()).data).toEqual([5]);
    expect([began, acted]).toEqual([['pack'], ['note']]);
    const types = [];
    for await (const { type } of run.entries()) types.push(type);
    expect(types).not.toContain('run.recovered');
    expect(troupe.counts).toEqual({ live: 0, parked: 0 });
  });

  test('is woken by its timer, at its time', async () => {
    const { clock, troupe, run } = await resting();
    clock.increment(59 * MINUTE - 1);
    await turn();
    expect(troupe.counts.parked).toBe(1);
    clock.increment(1);
    await until(() => troupe.counts.live === 1, 'it is awake');
    await until(() => JSON.stringify(run.getSnapshot()?.value) === '"late"', 'its timer has fired');
  });

  test('its result is there for whoever has waited since before', async () => {
    const clock = new SimulatedClock();
    const troupe = await opened({ clock });
    const run = await troupe.start(definition, undefined);
    const result = run.result();
    await until(() => acted.length === 1, 'it waits');
    await turn();
    clock.increment(MINUTE);
    await parked(troupe);
    await (await troupe.attach(run.id)).send({ type: 'SHIP' });
    expect((await result).success).toBe(true);
  });

  test('stays while somebody observes it', async () => {
    const clock = new SimulatedClock();
    const troupe = await opened({ clock });
    const run = await troupe.start(definition, undefined);
    const leave = run.subscribe(() => {});
    await until(() => acted.length === 1, 'it waits');
    await turn();
    clock.increment(10 * MINUTE);
    await turn();
    expect(troupe.counts.live).toBe(1);
    leave();
    clock.increment(MINUTE);
    await parked(troupe);
  });

  test('can be killed, and killed it stays', async () => {
    const { clock, troupe, run } = await resting();
    const receipt = await run.kill('enough');
    expect([receipt.status, troupe.counts]).toEqual(['killed', { live: 0, parked: 0 }]);
    clock.increment(120 * MINUTE);
    await turn();
    expect((await run.result()).metadata.status).toBe('killed');
    expect(troupe.counts).toEqual({ live: 0, parked: 0 });
  });

  test('a message that comes while it is being parked is taken', async () => {
    const clock = new SimulatedClock();
    const store = new FaultyStore();
    const troupe = await opened({ clock, backend: store });
    const run = await troupe.start(definition, undefined, { id: 'x' });
    await until(() => acted.length === 1, 'it waits');
    await turn();
    const held = store.holdOnce('put');
    clock.increment(MINUTE);
    await held.reached;
    const sent = run.send({ type: 'PAY', cents: 7 });
    held.release();
    await sent;
    await run.send({ type: 'SHIP' });
    expect((await run.result()).data).toEqual([7]);
  });

  test('one that ends while it is being parked is not left in the registry', async () => {
    const clock = new SimulatedClock();
    const store = new FaultyStore();
    const troupe = await opened({ clock, backend: store });
    const run = await troupe.start(definition, undefined, { id: 'x' });
    await until(() => acted.length === 1, 'it waits');
    await turn();
    const held = store.holdOnce('put');
    clock.increment(MINUTE);
    await held.reached;
    await run.send({ type: 'SHIP' });
    await run.result();
    held.release();
    for (let turns = 0; turns < 20; turns += 1) await turn();
    expect(await store.registered()).toEqual([]);
  });

  test('with parkAfter: false it stays', async () => {
    const clock = new SimulatedClock();
    const troupe = await opened({ clock, parkAfter: false });
    await troupe.start(definition, undefined);
    await until(() => acted.length === 1, 'it waits');
    await turn();
    clock.increment(50 * MINUTE);
    await turn();
    expect(troupe.counts).toEqual({ live: 1, parked: 0 });
  });
});

describe('waking a run', () => {
  test('that fails for now is tried again: its timer is not lost', async () => {
    const reports: unknown[] = [];
    const { clock, store, troupe, run } = await resting({ report: (error) => void reports.push(error) });
    store.failOnce('read', new StorageError('busy', {}));
    clock.increment(60 * MINUTE);
    await until(() => reports.length === 1, 'it could not be woken');
    expect(troupe.counts.live).toBe(0);
    clock.increment(1_000);
    await until(() => troupe.counts.live === 1, 'it is awake');
    await until(() => JSON.stringify(run.getSnapshot()?.value) === '"late"', 'its timer has fired');
  });

  test('is done by whoever observes it, and it stays awake as long', async () => {
    const { clock, troupe, run } = await resting();
    const seen: unknown[] = [];
    const types: string[] = [];
    const ends = [
      run.subscribe((snapshot) => void seen.push(snapshot.context.paid)),
      run.on('*', ({ type }) => void types.push(type)),
    ];
    await until(() => troupe.counts.live === 1, 'it is awake');
    await run.send({ type: 'PAY', cents: 5 });
    expect([seen.at(-1), types]).toEqual([[5], ['message.received']]);
    clock.increment(10 * MINUTE);
    await turn();
    expect(troupe.counts.live).toBe(1);
    for (const end of ends) end();
    clock.increment(MINUTE);
    await parked(troupe);
    // Nobody has a snapshot of a run that rests.
    expect(run.getSnapshot()).toBeUndefined();
  });

  test('that then comes to doubt tells whoever waits for it to settle', async () => {
    const clock = new SimulatedClock();
    const machine = setup({ actors: { pay: fromPromise(() => Promise.reject(new Error('lost'))) } }).createMachine({
      initial: 'waiting',
      states: {
        waiting: { after: { [5 * MINUTE]: 'paying' } },
        paying: { invoke: { src: 'pay', onError: 'open' } },
        open: { on: { CLOSE: 'closed' } },
        closed: { type: 'final' },
      },
    });
    const late = durable(machine, { name: 'late', version: '1' });
    const troupe = await opened({ clock, definitions: [late] });
    const run = await troupe.start(late);
    await turn();
    clock.increment(MINUTE);
    await parked(troupe);
    const settled = run.settled();
    await turn();
    clock.increment(10 * MINUTE);
    expect(await settled).toBe('waiting');
  });

  test('lets it be parked again though somebody waits for its result', async () => {
    const { clock, troupe, run } = await resting();
    const result = run.result();
    await run.send({ type: 'PAY', cents: 1 });
    await turn();
    clock.increment(MINUTE);
    await parked(troupe);
    await run.send({ type: 'SHIP' });
    expect((await result).data).toEqual([1]);
  });
});

describe('a run whose process ends while it rests', () => {
  test('is taken over without being folded, and woken by its timer', async () => {
    const { clock, store, troupe } = await resting();
    await troupe.close();
    const before = store.read;
    const next = await opened({ clock, backend: store });
    expect(next.counts).toEqual({ live: 0, parked: 1 });
    expect(store.read).toBe(before);
    clock.increment(60 * MINUTE);
    await until(() => next.counts.live === 1, 'it is awake');
    const run = await next.attach('x', definition);
    await run.send({ type: 'SHIP' });
    expect((await run.result()).success).toBe(true);
    const types = [];
    for await (const { type } of run.entries()) types.push(type);
    expect(types.filter((type) => type === 'run.recovered')).toHaveLength(1);
  });

  test('is folded when something has come meanwhile that its record does not know', async () => {
    const { clock, store, troupe, run } = await resting();
    await run.send({ type: 'PAY', cents: 3 });
    await troupe.close();
    const next = await opened({ clock, backend: store });
    expect(next.counts).toEqual({ live: 1, parked: 0 });
    const again = await next.attach('x', definition);
    await again.send({ type: 'SHIP' });
    expect((await again.result()).data).toEqual([3]);
  });

  test('is left, for a process that can go on with it, where the definition has another chart', async () => {
    const { clock, store, troupe } = await resting();
    await troupe.close();
    const other = setup({}).createMachine({ initial: 'other', states: { other: {} } });
    const misfit = durable(other, { name: 'order', version: '1' });
    const second = await opened({ clock, backend: store, definitions: [misfit], report: () => {} });
    expect(second.counts).toEqual({ live: 0, parked: 0 });
    const third = await opened({ clock, backend: store });
    expect(third.counts).toEqual({ live: 0, parked: 1 });
  });

  test('is left and reported where its definition is missing', async () => {
    const { clock, store, troupe } = await resting();
    await troupe.close();
    const reports: unknown[] = [];
    const next = await opened({
      clock,
      backend: store,
      definitions: [],
      report: (error) => void reports.push((error as { code?: string }).code),
    });
    expect([next.counts, reports]).toEqual([{ live: 0, parked: 0 }, ['DEFINITION_CHANGED']]);
  });
});

test('many runs rest, and each is woken by its own timer, in due order', async () => {
  const clock = new SimulatedClock();
  const woken: string[] = [];
  const alarm = setup({
    types: { input: {} as number, context: {} as { ms: number } },
    actions: { ring: ({ self }) => void woken.push(self.id) },
    delays: { due: ({ context }) => context.ms },
  }).createMachine({
    context: ({ input }) => ({ ms: input }),
    initial: 'set',
    states: {
      set: { after: { due: 'rung' } },
      rung: { type: 'final', entry: ({ context }) => void woken.push(`${context.ms}`) },
    },
  });
  const alarms = durable(alarm, { name: 'alarm', version: '1' });
  const troupe = await opened({ clock, definitions: [alarms] });
  const due = Array.from({ length: 500 }, (_, index) => 2 * MINUTE + ((index * 7919) % 500) * 1_000);
  for (const ms of due) await troupe.start(alarms, ms);
  await turn();
  clock.increment(MINUTE);
  await parked(troupe, due.length);
  for (const ms of due.toSorted((a, b) => a - b)) {
    clock.increment(Math.max(0, ms - MINUTE - (clock.now() - Date.UTC(2026, 0, 1)) + MINUTE));
    await until(() => woken.at(-1) === `${ms}`, `${ms} has rung`);
  }
  expect(woken).toEqual(due.toSorted((a, b) => a - b).map(String));
});

test('a run that rests is parked, however often somebody recovers', async () => {
  const clock = new SimulatedClock();
  const idle = durable(setup({}).createMachine({ initial: 'idle', states: { idle: { on: { GO: {} } } } }), {
    name: 'idle',
    version: '1',
  });
  const troupe = await opened({ clock, parkAfter: 1_000 });
  await troupe.start(idle, undefined, { id: 'x' });
  for (let halves = 0; halves < 6; halves += 1) {
    await pass(clock, 500);
    await troupe.recover();
  }
  expect(troupe.counts).toEqual({ live: 0, parked: 1 });
});
