import { describe, expect, test } from 'vitest';
import { assign, setup } from 'xstate';
import { z } from 'zod';
import { AuthError, childRun, durable, tool, type RunHandle } from '../../src/index.ts';
import { entriesOf } from '../support/entries.ts';
import { errand, finish, Outside } from '../support/errand.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { SimulatedClock } from '../support/simulatedClock.ts';

import { bytesOf, done, opened, pricedIn, seqOf, shared } from '../support/forking.ts';
import { directory } from '../support/opened.ts';
/** A run that begins as another one did, and goes on by itself from there. */

describe.each([
  ['memory', () => new FaultyStore()],
  ['a directory', directory],
])('with %s', (_, backend) => {
  test('a run can be forked after every entry, and each fork goes on to the same end', async () => {
    const { troupe, clock, outside, entries } = await done(backend());
    const before = await bytesOf(troupe, 'first');
    expect(entries.length).toBeGreaterThan(18);
    for (let at = 2; at < entries.length; at += 1) {
      const told = outside.calls.length;
      const fork = (await troupe.fork('first', { at, id: `at-${at}` })) as RunHandle;
      await finish(troupe, fork, clock);
      expect(await fork.result(), `forked at ${at}`).toMatchObject({ success: true, data: { paid: 100, ticks: 2 } });
      const own = await entriesOf(fork);
      expect(own.slice(0, at).map(shared)).toEqual(entries.slice(0, at).map(shared));
      expect(own[at]).toMatchObject({
        run: `at-${at}`,
        type: 'run.forked',
        epoch: (entries[at - 1]?.epoch ?? 0) + 1,
        event: { by: 'test', origin: { run: 'first', at }, replaced: [] },
      });
      const keys = new Set(outside.calls.slice(0, told).map(({ key }) => key));
      expect(outside.calls.slice(told).filter(({ key }) => keys.has(key))).toEqual([]);
      expect(await troupe.replay(fork.id)).toMatchObject({ equal: true, status: 'completed', entries: own.length });
    }
    expect(await bytesOf(troupe, 'first')).toEqual(before);
  });

  test('a fork goes on where its process has ended', async () => {
    const [clock, outside, store] = [new SimulatedClock(), new Outside(), backend()];
    const definition = errand(outside);
    const first = await opened({ backend: store, clock, definitions: [definition] });
    const run = (await first.start(definition, undefined, { id: 'first' })) as RunHandle;
    await finish(first, run, clock);
    await first.fork('first', { at: 8, id: 'fork' });
    await first.close();
    const second = await opened({ backend: store, clock, definitions: [definition] });
    const fork = await second.attach('fork', definition);
    await finish(second, fork as RunHandle, clock);
    expect((await fork.result()).data).toEqual({ paid: 100, ticks: 2 });
    expect(await second.replay('fork')).toMatchObject({ equal: true, status: 'completed' });
  });
});

describe('a fork of a fork', () => {
  test('goes on to the same end, wherever it is cut', async () => {
    const { troupe, clock, entries } = await done();
    for (const first of [4, 9, entries.length - 2]) {
      const one = (await troupe.fork('first', { at: first, id: `one-${first}` })) as RunHandle;
      await finish(troupe, one, clock);
      const length = (await entriesOf(one)).length;
      for (let second = 2; second < length; second += 1) {
        const two = (await troupe.fork(one.id, { at: second, id: `two-${first}-${second}` })) as RunHandle;
        await finish(troupe, two, clock);
        expect((await two.result()).data, `${first}, then ${second}`).toEqual({ paid: 100, ticks: 2 });
        expect(await troupe.replay(two.id)).toMatchObject({ equal: true });
      }
    }
  });

  test('names all that it comes from', async () => {
    const { troupe } = await done();
    await troupe.fork('first', { at: 6, id: 'one' });
    const two = (await troupe.fork('one', { at: 4, id: 'two', by: 'ana' })) as RunHandle;
    for await (const { type, event } of two.entries()) {
      expect({ type, event }).toMatchObject({
        type: 'run.created',
        event: {
          by: 'ana',
          parent: null,
          origins: [
            { run: 'first', at: 6 },
            { run: 'one', at: 4 },
          ],
        },
      });
      break;
    }
  });
});

describe('with another', () => {
  test('budget: what was spent before the cut is spent', async () => {
    const [clock, outside] = [new SimulatedClock(), new Outside()];
    const definition = errand(outside);
    const troupe = await opened({ clock, definitions: [definition] });
    const run = (await troupe.start(definition, undefined, { id: 'first', budget: { steps: 2 } })) as RunHandle;
    await finish(troupe, run, clock);
    expect(await run.result()).toMatchObject({ success: false, error: { code: 'BUDGET_EXCEEDED' } });
    const at = seqOf(await entriesOf(run), 'budget.exceeded') - 1;
    const outcomes = await Promise.all(
      [{ steps: 2 }, { steps: 3 }, { steps: 5 }, null].map(async (budget, index) => {
        const fork = (await troupe.fork('first', { at, id: `fork-${index}`, budget })) as RunHandle;
        await finish(troupe, fork, clock);
        return (await fork.result()).success;
      }),
    );
    expect(outcomes).toEqual([false, false, true, true]);
  });

  test('result: the run goes on as if the call had given that, and the call counts as before', async () => {
    const { troupe, run, clock, entries, outside } = await done();
    const priced = pricedIn(entries);
    const told = outside.calls.length;
    const fork = (await troupe.fork('first', {
      at: priced,
      id: 'fork',
      replace: { [priced]: { output: { cents: 7 } } },
    })) as RunHandle;
    await finish(troupe, fork, clock);
    expect((await fork.result()).data).toEqual({ paid: 7, ticks: 2 });
    expect(outside.calls.slice(told).map(({ call }) => call)).toEqual(['pay', 'ship']);
    const own = await entriesOf(fork);
    expect(own[priced - 1]?.event).toMatchObject({ output: { cents: 7 }, by: 'test' });
    expect(own[priced]?.event).toMatchObject({ replaced: [priced] });
    expect((await fork.summary()).steps).toBe((await run.summary()).steps);
    expect(await troupe.replay('fork')).toMatchObject({ equal: true });
  });

  test('result that is an error: the run takes the other way', async () => {
    const { troupe, entries } = await done();
    const seq = pricedIn(entries);
    const fork = await troupe.fork('first', {
      at: seq,
      id: 'fork',
      replace: { [seq]: { error: new AuthError('who are you?') } },
    });
    expect((await fork.result()).data).toEqual({ paid: 0, ticks: 0 });
    expect(await troupe.replay('fork')).toMatchObject({ equal: true });
  });

  test('result of a child run that has failed: what the schema of its tool would have made', async () => {
    const count = tool({
      name: 'count',
      description: 'd',
      inputSchema: z.object({}),
      outputSchema: z.string().transform(Number),
      effect: 'read',
      retry: { attempts: 1 },
      execute: () => Promise.reject<string>(new Error('no')),
    });
    const machine = setup({ actors: { count: childRun(count) } }).createMachine({
      context: { counted: 0 },
      initial: 'counting',
      states: {
        counting: {
          invoke: {
            src: 'count',
            input: {},
            onDone: { target: 'over', actions: assign({ counted: ({ event }) => event.output }) },
            onError: 'over',
          },
        },
        over: { type: 'final' },
      },
      output: ({ context }) => context.counted,
    });
    const troupe = await opened();
    const run = await troupe.start(durable(machine, { name: 'counting', version: '1' }), undefined, { id: 'first' });
    expect((await run.result()).data).toBe(0);
    const at = seqOf(await entriesOf(run), 'leaf.failed', 'body/count');
    const fork = await troupe.fork('first', { at, id: 'fork', replace: { [at]: { output: 3 } } });
    expect((await fork.result()).data).toBe(3);
  });

  test('definition: it goes on from there by the new one', async () => {
    const { troupe, clock, outside, entries } = await done();
    const better = errand(outside, { name: 'better', version: '2', bonus: 5 });
    const fork = await troupe.fork('first', { definition: better, id: 'fork', at: entries.length - 2 });
    await finish(troupe, fork as RunHandle, clock);
    expect((await fork.result()).data).toEqual({ paid: 105, ticks: 2 });
    expect(await (await troupe.attach('fork', better)).summary()).toMatchObject({ definition: 'better' });
  });
});
