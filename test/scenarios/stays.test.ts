import { describe, expect, test } from 'vitest';
import { setup } from 'xstate';
import { childRun, durable, StorageError, type Troupe } from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { openedWith } from '../support/opened.ts';
import { SimulatedClock, still, until } from '../support/simulatedClock.ts';

/** What is registered as resting and stays in memory after all, or ends at that moment: whoever recovers it goes on with it. */

const child = durable(
  setup({ types: { events: {} as { type: 'GO' } } }).createMachine({
    initial: 'waiting',
    states: { waiting: { on: { GO: 'done' } }, done: { type: 'final' } },
  }),
  { name: 'child', version: '1' },
);
const parent = durable(
  setup({ actors: { below: childRun(child) } }).createMachine({
    initial: 'waiting',
    states: { waiting: { invoke: { src: 'below', onDone: 'done' } }, done: { type: 'final' } },
  }),
  { name: 'parent', version: '1' },
);

const opened = openedWith({ definitions: [parent], report: () => {} });
const MINUTE = 60_000;

async function family(store: FaultyStore, clock: SimulatedClock) {
  const troupe = await opened({ backend: store, clock, parkAfter: '1m' });
  const run = await troupe.start(parent, undefined, { id: 'p' });
  await until(() => troupe.counts.live === 2, 'both live');
  await still();
  const below = (await troupe.runs()).find(({ definition }) => definition === 'child')?.run ?? '';
  return { troupe, run, below };
}

/** The process dies, and another one goes on. */
async function afterwards(store: FaultyStore, clock: SimulatedClock): Promise<Troupe> {
  store.crash();
  // What it tries again comes to nothing.
  clock.increment(1_000);
  return opened({ backend: store });
}

describe('a parent that is registered as resting', () => {
  test('and is looked at meanwhile hears of its child that ends, though its process dies before that is on record', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const { troupe, run, below } = await family(store, clock);
    const written = store.holdOnce('written', 'p');
    clock.increment(MINUTE);
    await written.reached;
    const unsubscribe = run.subscribe(() => {});
    written.release();
    await until(() => troupe.counts.parked === 1, 'its child rests');
    await still();
    store.failOnce('append', new StorageError('gone', {}), 'p');
    await (await troupe.attach(below, child)).send({ type: 'GO' });
    await still();
    unsubscribe();
    const next = await afterwards(store, clock);
    expect((await (await next.attach('p')).result()).success).toBe(true);
  });

  test('and could not be, says the store, which had done it, is gone on with', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const { troupe, below } = await family(store, clock);
    store.failOnce('written', new StorageError('timed out, and done', {}), 'p');
    clock.increment(MINUTE);
    await until(() => troupe.counts.parked === 1, 'its child rests');
    await still();
    store.failOnce('append', new StorageError('gone', {}), 'p');
    await (await troupe.attach(below, child)).send({ type: 'GO' });
    await still();
    const next = await afterwards(store, clock);
    expect((await (await next.attach('p')).result()).success).toBe(true);
  });
});

describe('a child that ends while it is registered as resting', () => {
  test('is found until its parent has been told', async () => {
    const [store, clock] = [new FaultyStore(), new SimulatedClock()];
    const { troupe, below } = await family(store, clock);
    const written = store.holdOnce('written', below);
    clock.increment(MINUTE);
    await written.reached;
    await until(() => troupe.counts.parked === 1, 'its parent rests');
    store.failOnce('append', new StorageError('gone', {}), 'p/inbox');
    await (await troupe.attach(below, child)).send({ type: 'GO' });
    await still();
    written.release();
    await still();
    expect(await store.registered()).toContain(below);
    const next = await afterwards(store, clock);
    expect((await (await next.attach('p')).result()).success).toBe(true);
  });
});

describe('a run that rested and was woken by somebody who only looks', () => {
  /** Its process stands still meanwhile, and another one takes it for gone. */
  async function takenForGone(store: FaultyStore, registers: () => void) {
    const clock = new SimulatedClock();
    const owner = await opened({ backend: store, clock, parkAfter: '1m' });
    const run = await owner.start(child, undefined, { id: 'r' });
    await still();
    clock.increment(MINUTE);
    await until(() => owner.counts.parked === 1, 'it rests');
    const unsubscribe = run.subscribe(() => {});
    await until(() => owner.counts.live === 1, 'it is awake');
    unsubscribe();
    const [gone] = store.owners;
    if (gone !== undefined) store.takenForGone.add(gone);
    registers();
    const other = await opened({ backend: store });
    store.takenForGone.clear();
    await still();
    return { owner, other, clock };
  }

  test('is let go of where it rests in the other one', async () => {
    const { owner, other, clock } = await takenForGone(new FaultyStore(), () => {});
    expect([owner.counts, other.counts]).toEqual([
      { live: 1, parked: 0 },
      { live: 0, parked: 1 },
    ]);
    clock.increment(MINUTE);
    await until(() => owner.counts.live === 0, 'it is let go of');
    await still();
    expect(owner.counts.parked).toBe(0);
    await (await owner.attach('r', child)).send({ type: 'GO' });
    expect((await (await other.attach('r')).result()).success).toBe(true);
  });

  test('is registered as its own again where the other one did not come to more', async () => {
    const store = new FaultyStore();
    const { owner, other, clock } = await takenForGone(store, () =>
      store.failOnce('written', new StorageError('timed out, and done', {}), 'r'),
    );
    expect(other.counts).toEqual({ live: 0, parked: 0 });
    await other.close();
    clock.increment(MINUTE);
    await still();
    clock.increment(MINUTE);
    await until(() => owner.counts.parked === 1, 'it rests again');
    const next = await opened({ backend: store });
    expect(next.counts).toEqual({ live: 0, parked: 0 });
  });
});
