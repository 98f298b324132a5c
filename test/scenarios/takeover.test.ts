import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { createTroupe, StorageFullError, type Troupe, type TroupeOptions } from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';
import { Working } from '../support/working.ts';

/** A run passes from one troupe to the next, and something comes in between. */

const open: Troupe[] = [];
const opened = async (options: TroupeOptions): Promise<Troupe> => {
  const troupe = await createTroupe({ clock: new SimulatedClock(), report: () => {}, ...options });
  open.push(troupe);
  return troupe;
};
afterEach(async () => {
  await Promise.all(open.splice(0).map((troupe) => troupe.close()));
});

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
