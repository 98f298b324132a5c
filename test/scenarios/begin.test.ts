import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { assign, setup } from 'xstate';
import { durable, StorageFullError } from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';
import { Working } from '../support/working.ts';
import { openedWith } from '../support/opened.ts';

/** What happens to a run, and to its store, while it is being created. */

const opened = openedWith({ report: () => {} });

const adding = durable(
  setup({ types: { context: {} as { n: number }, events: {} as { type: 'ADD'; n: number } } }).createMachine({
    context: { n: 0 },
    on: { ADD: { actions: assign({ n: ({ context, event }) => context.n + event.n }) } },
  }),
  { name: 'adding', version: '1' },
);

test('a message that comes when a run is recorded and does not live yet waits until it does', async () => {
  const store = new FaultyStore();
  const reports: unknown[] = [];
  const troupe = await opened({ backend: store, report: (error) => void reports.push(error) });
  const held = store.holdOnce('put');
  const starting = troupe.start(adding, undefined, { id: 'x' });
  await held.reached;
  for (let turns = 0; turns < 5; turns += 1) await turn();
  const sending = troupe.attach('x', adding).then((run) => run.send({ type: 'ADD', n: 2 }));
  for (let turns = 0; turns < 5; turns += 1) await turn();
  held.release();
  const run = await starting;
  await sending;
  expect(run.getSnapshot()?.context).toEqual({ n: 2 });
  expect([troupe.counts.live, reports]).toEqual([1, []]);
  const { entries } = await troupe.replay('x');
  expect(entries).toBe(3);
});

test('a run that is recorded, and whose start failed all the same, is gone on with by its process', async () => {
  const [store, working, clock] = [new FaultyStore(), new Working(), new SimulatedClock()];
  const troupe = await opened({ backend: store, clock });
  store.failOnce('put', new StorageFullError('full', {}));
  await expect(troupe.start(working.definition(), undefined, { id: 'x' })).rejects.toThrow('full');
  expect([troupe.counts.live, working.begun]).toEqual([0, 0]);
  clock.increment(5_000);
  await until(() => working.begun === 1, 'its call has begun');
  expect(troupe.counts.live).toBe(1);
  expect(await store.registered()).toEqual(['x']);
});
