import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { fromPromise, setup } from 'xstate';
import { durable, type BudgetOptions } from '../../src/index.ts';
import { accountOf } from '../support/accounts.ts';
import { entriesOf } from '../support/entries.ts';
import { Calls } from '../support/spending.ts';
import { FaultyStore } from '../support/faultyStore.ts';
import { pass, SimulatedClock, until } from '../support/simulatedClock.ts';
import { openedWith } from '../support/opened.ts';

/** The time that a run may take. */

const opened = openedWith();

describe('time', () => {
  const working = (calls: Calls) => {
    const machine = setup({
      types: { events: {} as { type: 'GO' } },
      actors: { call: fromPromise(() => calls.take()) },
    }).createMachine({
      initial: 'idle',
      states: {
        idle: { on: { GO: 'calling' } },
        calling: { invoke: { src: 'call', onDone: 'done' } },
        done: { type: 'final' },
      },
    });
    return durable(machine, { name: 'timed', version: '1' });
  };

  /** Knows which timeouts of more than nine hours stand. */
  class FarClock extends SimulatedClock {
    readonly far = new Set<unknown>();

    override setTimeout(run: () => void, ms: number): number {
      const handle = super.setTimeout(run, ms);
      if (ms > 9 * 3_600_000) this.far.add(handle);
      return handle;
    }

    override clearTimeout(handle: unknown): void {
      this.far.delete(handle);
      super.clearTimeout(handle);
    }
  }

  async function started(budget: BudgetOptions, store = new FaultyStore()) {
    const [clock, calls] = [new FarClock(), new Calls()];
    const definition = working(calls);
    const troupe = await opened({ clock, backend: store, definitions: [definition] });
    const run = await troupe.start(definition, undefined, { budget });
    // Waiting for somebody is not counted.
    clock.increment(100_000);
    await run.send({ type: 'GO' });
    await until(() => calls.begun === 1, 'the call has begun');
    await turn();
    return { clock, calls, troupe, run, store, definition };
  }

  test('that is over fails the run, whatever is under way', async () => {
    const { clock, run, troupe } = await started({ wallClock: '10s' });
    clock.increment(9_999);
    await turn();
    expect(run.status).toBe('running');
    clock.increment(1);
    expect(await run.result()).toMatchObject({
      error: { code: 'BUDGET_EXCEEDED', data: { resource: 'wallClockMs', spent: 10_000, limit: 10_000 } },
    });
    expect(await troupe.replay(run.id)).toMatchObject({ status: 'failed' });
  });

  test('does not pass while the run is paused, and goes on with a larger budget', async () => {
    const { clock, run, calls } = await started({ wallClock: '10s', onExhausted: 'pause' });
    clock.increment(4_000);
    await run.pause('lunch');
    clock.increment(60_000);
    await run.resume();
    await turn();
    clock.increment(5_999);
    await turn();
    expect(run.status).toBe('running');
    clock.increment(1);
    await until(() => run.status === 'paused', 'its time is over');
    await run.resume({ budget: { wallClock: '15s' } });
    await turn();
    clock.increment(4_000);
    calls.answer();
    expect((await run.result()).success).toBe(true);
    expect(accountOf(await entriesOf(run)).spent.wallClockMs).toBe(14_000);
  });

  test('does not pass while nobody owns the run', async () => {
    const { clock, run, troupe, store, definition } = await started({ wallClock: '10s' });
    clock.increment(4_000);
    await run.send({ type: 'GO' });
    await troupe.close();
    clock.increment(60_000);
    const next = await opened({ clock, backend: store, definitions: [definition] });
    const again = await next.attach(run.id);
    await turn();
    clock.increment(5_999);
    await turn();
    expect(again.status).toBe('running');
    clock.increment(1);
    expect((await again.result()).error).toMatchObject({ code: 'BUDGET_EXCEEDED' });
  });

  test('is not watched when a run has ended: nothing keeps its process', async () => {
    const { clock, run } = await started({ wallClock: '10h' });
    expect(clock.far.size).toBe(1);
    await run.kill('enough');
    expect(clock.far.size).toBe(0);
  });
});

test('a call that a switch held back for longer than its run may take is stopped when it begins', async () => {
  const [store, clock, calls] = [new FaultyStore(), new SimulatedClock(), new Calls()];
  const machine = setup({
    types: { events: {} as { type: 'GO' } },
    actors: { call: fromPromise(() => calls.take()) },
  }).createMachine({
    initial: 'idle',
    states: { idle: { on: { GO: 'calling' } }, calling: { invoke: { src: 'call' } } },
  });
  const troupe = await opened({ backend: store, clock, report: () => {} });
  const other = await opened({ backend: store, clock, report: () => {} });
  const definition = durable(machine, { name: 'timed', version: '1', effects: { call: 'irreversible' } });
  const run = await troupe.start(definition, undefined, { id: 'x', budget: { wallClock: '1s' } });
  const intent = store.holdBehindMessage(run);
  await run.send({ type: 'GO' });
  const { reached, release } = await intent;
  await reached;
  store.failOnce('append', new Error('refused'), 'x');
  await other.kill({ definition: 'timed' }, 'stop', { grace: 0 });
  release();
  await pass(clock, 1_500);
  expect(calls.begun).toBe(0);
  await other.lift({ definition: 'timed' });
  await pass(clock, 500);
  expect(calls.begun).toBe(1);
  expect((await run.result()).error?.code).toBe('BUDGET_EXCEEDED');
});
