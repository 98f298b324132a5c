import { describe, expect, test } from 'vitest';
import { setup } from 'xstate';
import { z } from 'zod';
import {
  childRun,
  durable,
  plan,
  ReplayDivergenceError,
  StorageFullError,
  tool,
  type RunHandle,
  type Troupe,
} from '../../src/index.ts';
import { entriesOf } from '../support/entries.ts';
import { errand, finish } from '../support/errand.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock } from '../support/simulatedClock.ts';

import { done, opened, seqOf } from '../support/forking.ts';
/** A fork that is refused: nothing was written. */

describe('is refused, and nothing is written', () => {
  const missing = async (troupe: Troupe, store: FaultyStore): Promise<void> => {
    await expect(troupe.attach('fork')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await store.registered()).toEqual([]);
  };

  test('a definition that does not fit what is on record; one that does may be tried then', async () => {
    const store = new FaultyStore();
    const { troupe, clock, outside, entries } = await done(store);
    const hasty = durable(setup({}).createMachine({}), { name: 'other', version: '1' });
    await expect(troupe.fork('first', { id: 'fork', definition: hasty })).rejects.toThrow(ReplayDivergenceError);
    await missing(troupe, store);
    const other = errand(outside, { name: 'other', bonus: 1 });
    const fork = await troupe.fork('first', { id: 'fork', definition: other, at: entries.length - 2 });
    await finish(troupe, fork as RunHandle, clock);
    expect((await fork.result()).data).toEqual({ paid: 101, ticks: 2 });
  });

  test('a result after which the rest of the record does not fit', async () => {
    const store = new FaultyStore();
    const { troupe, entries } = await done(store);
    const seq = seqOf(entries, 'leaf.succeeded');
    await expect(
      troupe.fork('first', { id: 'fork', replace: { [seq]: { error: new Error('sold out') } } }),
    ).rejects.toMatchObject({ code: 'REPLAY_DIVERGENCE', context: { run: 'fork' } });
    await missing(troupe, store);
  });

  test('an output that the tool could not have given', async () => {
    const store = new FaultyStore();
    const troupe = await opened({ clock: new SimulatedClock(), backend: store });
    const shared = { description: 'd', inputSchema: z.object({}), effect: 'read' } as const;
    const roll = tool({
      ...shared,
      name: 'roll',
      outputSchema: z.object({ eyes: z.number() }),
      execute: () => ({ eyes: 1 }),
    });
    const dated = tool({
      ...shared,
      name: 'dated',
      outputSchema: z.string().transform(Number),
      execute: () => '1984',
    });
    const game = plan({ name: 'game', version: '1' })
      .step('rolled', roll, {})
      .step('dated', dated, {
        needs: ['rolled'],
      });
    const run = await troupe.start(game, {}, { id: 'first' });
    await run.result();
    const entries = await entriesOf(run);
    const resultOf = (step: string): number => seqOf(entries, 'leaf.succeeded', `body/${step}/attempt`);
    const at = resultOf('rolled');
    for (const output of [{ eyes: 'banana' }, {}, 'nothing', null])
      await expect(troupe.fork('first', { at, id: 'fork', replace: { [at]: { output } } })).rejects.toMatchObject({
        code: 'VALIDATION',
        context: { run: 'first', seq: at, call: 'body/rolled/attempt' },
      });
    await missing(troupe, store);
    const fork = await troupe.fork('first', {
      id: 'fork',
      // As it is on record: what the schema has made of it.
      replace: { [at]: { output: { eyes: 6 } }, [resultOf('dated')]: { output: 2_026 } },
    });
    expect((await fork.result()).data).toEqual({ rolled: { eyes: 6 }, dated: 2_026 });
  });

  test('an output that the tool of a child run could not have given', async () => {
    const store = new FaultyStore();
    const troupe = await opened({ clock: new SimulatedClock(), backend: store });
    const count = tool({
      name: 'count',
      description: 'd',
      inputSchema: z.object({}),
      outputSchema: z.number(),
      effect: 'read',
      execute: () => 1,
    });
    const machine = setup({ actors: { count: childRun(count) } }).createMachine({
      initial: 'counting',
      states: { counting: { invoke: { src: 'count', input: {}, onDone: 'over' } }, over: { type: 'final' } },
    });
    const run = await troupe.start(durable(machine, { name: 'counting', version: '1' }), undefined, { id: 'first' });
    await run.result();
    const at = seqOf(await entriesOf(run), 'leaf.succeeded', 'body/count');
    const fork = (output: unknown) => troupe.fork('first', { at, id: 'fork', replace: { [at]: { output } } });
    await expect(fork('text')).rejects.toMatchObject({ code: 'VALIDATION', context: { call: 'body/count' } });
    expect((await (await fork(2)).result()).success).toBe(true);
  });

  test('what is no place to fork, no result, no id that is free', async () => {
    const store = new FaultyStore();
    const { troupe, entries } = await done(store);
    const refused = async (options: Parameters<Troupe['fork']>[1]): Promise<void> => {
      await expect(troupe.fork('first', { id: 'fork', ...options })).rejects.toMatchObject({ code: 'VALIDATION' });
    };
    for (const at of [0, 1, 1.5, entries.length, entries.length + 1, Number.NaN]) await refused({ at });
    await refused({ replace: { 2: { output: 1 } } });
    await refused({ at: 4, replace: { [seqOf(entries, 'leaf.succeeded', 'body/pay/attempt')]: { output: 1 } } });
    await refused({ replace: { 3: {} as { output: unknown } } });
    await refused({ id: 'first' });
    await expect(troupe.fork('first', { at: 'nowhere' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(troupe.fork('nobody')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await missing(troupe, store);
  });

  test('an append that fails', async () => {
    const store = new FaultyStore();
    const { troupe, clock } = await done(store);
    store.failOnce('append', new StorageFullError('full', {}));
    await expect(troupe.fork('first', { id: 'fork', at: 5 })).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    const fork = (await troupe.fork('first', { id: 'fork', at: 5 })) as RunHandle;
    await finish(troupe, fork, clock);
    expect((await fork.result()).success).toBe(true);
  });
});
