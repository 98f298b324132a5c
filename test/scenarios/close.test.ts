import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ClosedError, module, plan, tool } from '../../src/index.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';
import { Working } from '../support/working.ts';
import { openedWith } from '../support/opened.ts';

/** A troupe is closed while something is under way. */

const opened = openedWith({ report: () => {} });

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

describe('a close while a run is started', () => {
  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8])('leaves no timer and no call, after %i microtasks', async (microtasks) => {
    const [store, clock, working] = [new FaultyStore(), new SimulatedClock(), new Working()];
    const definitions = [working.definition()];
    const troupe = await opened({ backend: store, clock });
    const starting = troupe.start(definitions[0]!, undefined, { id: 'x' }).catch((error: unknown) => error);
    for (let n = 0; n < microtasks; n += 1) await Promise.resolve();
    await troupe.close();
    const started = await starting;
    if (started instanceof Error) expect(started).toBeInstanceOf(ClosedError);
    expect(clock.nextDue).toBeUndefined();
    expect(working.running).toBe(0);

    const next = await opened({ backend: store, clock, definitions });
    expect(await next.runs()).toMatchObject([{ run: 'x', status: 'running', owned: true }]);
    expect(working.running).toBe(1);
  });
});

test('a close just after a switch was thrown leaves no timer', async () => {
  const clock = new SimulatedClock();
  const troupe = await opened({ clock });
  await troupe.kill({ all: true }, 'stop');
  await troupe.lift({ all: true });
  expect(clock.nextDue).toBeDefined();
  await troupe.close();
  expect(clock.nextDue).toBeUndefined();
});

describe('a close while a run is taken over', () => {
  test.each(['append', 'put'] as const)('leaves no timer and no call (at its %s)', async (operation) => {
    const { store, working, definition } = await left();
    const clock = new SimulatedClock();
    const troupe = await opened({ backend: store, clock, definitions: [definition], recover: false });
    const held = store.holdOnce(operation);
    const recovering = troupe.recover();
    await held.reached;
    await troupe.close();
    held.release();
    expect((await recovering).recovered).toEqual([]);
    expect(clock.nextDue).toBeUndefined();
    expect(working.running).toBe(0);
  });

  test('leaves no call though it has to wait for a module', async () => {
    const { store, working, definition } = await left();
    const clock = new SimulatedClock();
    const troupe = await opened({ backend: store, clock, definitions: [definition], recover: false });
    let stop!: () => void;
    const stopping = new Promise<void>((resolve) => (stop = resolve));
    const look = tool({ name: 'look', description: 'Looks', inputSchema: z.object({}), execute: () => 'seen' });
    const eyes = module({ name: 'eyes', tools: [look], stop: () => stopping });
    await troupe.execute(plan({ name: 'looking', tools: [eyes] }).step('a', look, { input: () => ({}) }), {});
    const held = store.holdOnce('append');
    const recovering = troupe.recover();
    await held.reached;
    const closing = troupe.close();
    await turn();
    held.release();
    await recovering;
    stop();
    await closing;
    expect(clock.nextDue).toBeUndefined();
    expect(working.running).toBe(0);
  });
});
