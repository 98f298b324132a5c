import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { setup } from 'xstate';
import { durable, type Troupe } from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, still, until } from '../support/simulatedClock.ts';
import { openedWith } from '../support/opened.ts';

/** A signal that is given to many starts kills what has not ended, and keeps nothing of what has. */

const waiting = durable(
  setup({ types: { events: {} as { type: 'GO' } | { type: 'STAY' } } }).createMachine({
    initial: 'waiting',
    states: { waiting: { on: { GO: 'done', STAY: {} } }, done: { type: 'final' } },
  }),
  { name: 'waiting', version: '1' },
);
const opened = openedWith({ definitions: [waiting], parkAfter: '1m', report: () => {} });

const listening = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;
const nothingListens = (signal: AbortSignal): Promise<void> =>
  until(() => listening(signal) === 0, 'nothing listens to the signal');

/** A run that has been parked. */
async function rested(troupe: Troupe, clock: SimulatedClock, signal: AbortSignal) {
  const run = await troupe.start(waiting, undefined, { signal });
  await still();
  clock.increment(60_000);
  await until(() => troupe.counts.parked === 1, 'it is parked');
  await still();
  return run;
}

describe('a signal', () => {
  test.each([0, 1, 2])('lets go of a run that ends after it was woken %d times', async (times) => {
    const clock = new SimulatedClock();
    const [troupe, { signal }] = [await opened({ clock }), new AbortController()];
    const run = await rested(troupe, clock, signal);
    for (let time = 0; time < times; time += 1) {
      await run.send({ type: 'STAY' });
      await still();
      clock.increment(60_000);
      await until(() => troupe.counts.parked === 1, 'it is parked again');
    }
    expect(listening(signal)).toBe(1);
    await run.send({ type: 'GO' });
    await run.result();
    await nothingListens(signal);
  });

  test('lets go of a run that has lived here to its end, or was killed', async () => {
    const [troupe, { signal }] = [await opened(), new AbortController()];
    const [first, second] = await Promise.all([1, 2].map(() => troupe.start(waiting, undefined, { signal })));
    await still();
    expect(listening(signal)).toBe(2);
    await first?.send({ type: 'GO' });
    await first?.result();
    await second?.kill();
    await nothingListens(signal);
  });

  test('lets go of a run that lives and ends in another process', async () => {
    const [store, { signal }] = [new FaultyStore(), new AbortController()];
    const [owner, troupe] = [await opened({ backend: store }), await opened({ backend: store })];
    const run = await owner.start(waiting, undefined, { id: 'x' });
    await troupe.start(waiting, undefined, { id: 'x', signal });
    await still();
    await run.send({ type: 'STAY' });
    await still();
    expect(listening(signal)).toBe(1);
    await run.send({ type: 'GO' });
    await run.result();
    await nothingListens(signal);
  });

  test('is let go of when the troupe is closed', async () => {
    const [store, clock, { signal }] = [new FaultyStore(), new SimulatedClock(), new AbortController()];
    const [owner, troupe] = [await opened({ backend: store }), await opened({ backend: store, clock })];
    await owner.start(waiting, undefined, { id: 'x' });
    await troupe.start(waiting, undefined, { id: 'x', signal });
    await rested(troupe, clock, signal);
    expect(listening(signal)).toBe(2);
    await troupe.close();
    expect(listening(signal)).toBe(0);
  });

  test('kills a run that rests, when it is aborted', async () => {
    const [clock, aborting] = [new SimulatedClock(), new AbortController()];
    const run = await rested(await opened({ clock }), clock, aborting.signal);
    aborting.abort();
    expect(await run.result()).toMatchObject({ success: false, error: { code: 'KILLED' } });
  });
});
