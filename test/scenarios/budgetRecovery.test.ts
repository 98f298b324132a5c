import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { assign, fromPromise, setup } from 'xstate';
import {
  durable,
  ownerId,
  embedded,
  tool,
  toolActor,
  type Backend,
  type BackendFactory,
  type Stored,
} from '../../src/index.ts';
import { runId } from '../../src/protocol/ids.ts';
import { accountOf, mustStayWithin } from '../support/accounts.ts';
import { driven } from '../support/driven.ts';
import { entriesOf } from '../support/entries.ts';
import { bare } from '../support/spending.ts';
import { SimulatedClock, until } from '../support/simulatedClock.ts';
import { openedWith } from '../support/opened.ts';

/** What was spent is spent, once, whatever a run goes through. */

const opened = openedWith();

describe('a crash', () => {
  /** Calls of all kinds; what each costs is the same each time. */
  const flaky = new Set<string>();
  const work = tool({
    ...bare,
    cost: { tokens: 30 },
    retry: { attempts: 3, delay: '1s' },
    execute: (_, context) => {
      context.charge({ tokens: 10 + context.attempt, usd: 0.1 });
      if (context.attempt === 1) throw new Error(`try ${context.attempt} of ${context.call}`);
      flaky.add(context.call);
      return 'done';
    },
  });
  const machine = setup({
    types: { context: {} as { n: number } },
    actors: {
      work: toolActor(work),
      plain: fromPromise(async () => 1),
      slow: fromPromise(() => new Promise<never>(() => {})),
    },
  }).createMachine({
    context: { n: 0 },
    initial: 'plain',
    states: {
      plain: { invoke: { src: 'plain', onDone: 'both' } },
      both: {
        type: 'parallel',
        states: {
          a: {
            initial: 'working',
            states: { working: { invoke: { src: 'work', input: {}, onDone: 'over' } }, over: { type: 'final' } },
          },
          b: {
            initial: 'working',
            states: { working: { invoke: { src: 'work', input: {}, onDone: 'over' } }, over: { type: 'final' } },
          },
        },
        onDone: 'leaving',
      },
      leaving: { invoke: { src: 'slow' }, after: { 5_000: 'done' } },
      done: { type: 'final' },
    },
  });
  const mixed = durable(machine, {
    name: 'mixed',
    version: '1',
    costs: { plain: { tokens: 7 }, slow: () => ({ usd: 0.25 }) },
  });
  const id = runId('mixed');
  const budget = { tokens: 100, usd: 5, steps: 6, toolCalls: 2 };

  async function on(stored: readonly Stored[]) {
    const clock = new SimulatedClock();
    const backend: Backend = await embedded().open({ owner: ownerId('somebody'), clock });
    if (stored.length > 0) await backend.journal.append(id, stored, { epoch: 1, after: 0 });
    const factory: BackendFactory = { open: () => Promise.resolve(backend) };
    const troupe = await opened({ clock, backend: factory, definitions: [mixed] });
    return { clock, backend, troupe };
  }

  test('after any entry charges nothing twice: what is spent in the end is what it would have been', async () => {
    const { clock, backend, troupe } = await on([]);
    const run = await troupe.start(mixed, undefined, { id, budget });
    expect((await driven(clock, run)).error).toBeUndefined();
    const whole = accountOf(await entriesOf(run)).spent;
    expect(whole).toMatchObject({ tokens: 7 + 2 * (11 + 12), usd: 0.65, steps: 6, toolCalls: 2 });
    const stored: Stored[] = [];
    for await (const one of backend.journal.read(id)) stored.push(one);
    for (let cut = 2; cut < stored.length; cut += 1) {
      const next = await on(stored.slice(0, cut));
      await next.troupe.recover(id);
      const again = await next.troupe.attach(id);
      const { error } = await driven(next.clock, again);
      expect(error, `cut after ${cut}`).toBeUndefined();
      const entries = await entriesOf(again);
      mustStayWithin(entries);
      const { spent } = accountOf(entries);
      expect({ ...spent, wallClockMs: 0 }, `cut after ${cut}`).toEqual({ ...whole, wallClockMs: 0 });
    }
  });
});

describe('a run that begins anew', () => {
  const CALLS = 1_100;
  const long = (may: () => boolean) => {
    const machine = setup({
      types: { input: {} as number, context: {} as { n: number }, events: {} as { type: 'GO' } | { type: 'LOOK' } },
      actors: { call: fromPromise(async () => 1) },
    }).createMachine({
      context: ({ input }) => ({ n: input }),
      initial: 'calling',
      states: {
        calling: {
          invoke: {
            src: 'call',
            onDone: { target: 'next', actions: assign({ n: ({ context }) => context.n + 1 }) },
          },
        },
        next: {
          always: [
            { guard: ({ context }) => context.n === CALLS, target: 'waiting' },
            { guard: ({ context }) => context.n === CALLS + 3, target: 'done' },
            { target: 'calling' },
          ],
        },
        waiting: { on: { GO: 'calling', LOOK: {} } },
        done: { type: 'final' },
      },
    });
    return durable(machine, {
      name: 'long',
      version: '1',
      costs: { call: { tokens: 1 } },
      continueAs: ({ context }) => (may() && context.n === CALLS ? context.n - 1 : undefined),
    });
  };

  test('goes on with what it had spent, and not while it is paused', async () => {
    let may = false;
    const troupe = await opened();
    const run = await troupe.start(
      long(() => may),
      0,
      { budget: { tokens: CALLS + 3, onExhausted: 'pause' } },
    );
    await until(() => (run.getSnapshot() as { value?: unknown } | undefined)?.value === 'waiting', 'it waits');
    await run.pause('wait');
    may = true;
    await run.send({ type: 'LOOK' });
    await turn();
    expect(run.status).toBe('paused');
    await run.resume({ budget: { tokens: CALLS + 2, onExhausted: 'pause' } });
    await until(() => run.status === 'running', 'it goes on');
    // It calls once more, waits again, and has two more to make: one too many.
    await until(() => (run.getSnapshot() as { value?: unknown } | undefined)?.value === 'waiting', 'it waits again');
    may = false;
    await run.send({ type: 'GO' });
    await until(() => run.status === 'paused', 'its budget is spent');
    await run.resume({ budget: { tokens: 2 * CALLS } });
    expect((await run.result()).success).toBe(true);
    const entries = await entriesOf(run);
    const continued = entries.filter(({ type }) => type === 'run.continued');
    expect(continued).toHaveLength(1);
    expect(continued[0]?.event).toMatchObject({
      budget: { tokens: CALLS + 2 },
      spent: { tokens: CALLS, steps: CALLS },
    });
    expect(accountOf(entries).spent).toMatchObject({ tokens: CALLS + 4, steps: CALLS + 4 });
  });
});
