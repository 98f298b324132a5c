import { describe, expect, test } from 'vitest';
import { assign, fromPromise, setup, type AnyActorRef } from 'xstate';
import { z } from 'zod';
import { addressOf, childRun, durable, tool } from '../../../src/index.ts';
import { namesIn, only, perform, planOf, shrink, simulate, type Workload } from '../../../src/testing.ts';
import { workload } from '../../simulator/workload/index.ts';

const acts = (what: string) =>
  fromPromise<string, string>(({ input, self, signal }) => {
    const { run, key: call } = addressOf(self as AnyActorRef);
    return perform(what, { run, call, signal }, { effect: 'idempotent', input, output: what });
  });

/** It takes messages, and loses count where `honest` is false. */
const counting = (honest: boolean): Workload => {
  const machine = setup({
    types: { context: {} as { n: number }, events: {} as { type: 'ADD'; n: number } | { type: 'END' } },
    actors: { look: acts('look') },
  }).createMachine({
    context: { n: 0 },
    invoke: { src: 'look', input: 'once' },
    on: { ADD: { actions: assign({ n: ({ context }) => context.n + 1 }) }, END: '.over' },
    initial: 'open',
    states: { open: {}, over: { type: 'final' } },
    output: ({ context }) => (honest || context.n < 2 ? context.n : 1),
  });
  const added = (entries: readonly { type: string; event: unknown }[]): number =>
    entries.filter(({ event }) => (event as { event?: { type: string } } | null)?.event?.type === 'ADD').length;
  return {
    kinds: [
      {
        definition: durable(machine, { name: 'counting', version: '1' }),
        message: (n) => ({ type: 'ADD', n }),
        finish: { type: 'END' },
        wrong: (entries) => {
          const end = entries.at(-1);
          if (end?.type !== 'run.completed' || end.event.output === added(entries)) return undefined;
          return `it counted ${String(end.event.output)} of ${added(entries)}`;
        },
      },
    ],
  };
};

describe('a simulation', { timeout: 20_000 }, () => {
  test('of one seed leaves the same trace each time; another seed leaves another', async () => {
    for (const seed of [3, 7, 11]) {
      const [one, two] = [
        await simulate(planOf(seed, workload), workload),
        await simulate(planOf(seed, workload), workload),
      ];
      expect(two.trace).toEqual(one.trace);
      expect(two.digest).toBe(one.digest);
      expect(one.violations).toEqual([]);
      expect((await simulate(planOf(seed + 1, workload), workload)).digest).not.toBe(one.digest);
    }
  });

  test('injects faults, and runs come to their end all the same', async () => {
    const faults = new Set<string>();
    for (let seed = 1; seed <= 80; seed += 1) {
      const outcome = await simulate(planOf(seed, counting(true)), counting(true));
      expect(outcome.violations).toEqual([]);
      for (const kind of Object.keys(outcome.faults)) faults.add(kind);
    }
    expect([...faults].sort()).toEqual(
      ['close', 'crash', 'damage', 'deaf', 'duplicates', 'errors', 'freeze', 'jump', 'newer', 'power', 'slow'].sort(),
    );
  });

  test('finds what is wrong with a definition, and shrinks to what it takes', async () => {
    const dishonest = counting(false);
    let seed = 1;
    while ((await simulate(planOf(seed, dishonest), dishonest)).violations.length === 0) seed += 1;
    const whole = planOf(seed, dishonest);
    const { plan } = await shrink(whole, 'model', (smaller) => simulate(smaller, dishonest));
    expect(namesIn(plan).length).toBeLessThan(namesIn(whole).length);
    expect([plan.runs.length, plan.faults.length]).toEqual([1, 0]);
    // What is named can be told again.
    const again = await simulate(only(whole, new Set(namesIn(plan))), dishonest);
    expect(again.violations).toMatchObject([{ promise: 'model' }]);
  });

  test('knows by itself what a definition begins runs of, and who performs by what a source is given', async () => {
    const write = tool({
      name: 'write',
      description: 'Writes',
      effect: 'irreversible',
      inputSchema: z.object({ n: z.number() }),
      execute: ({ n }, context) => perform('write', context, { effect: 'irreversible', input: n, output: n }),
    });
    const machine = setup({
      actors: {
        write: childRun(write),
        read: fromPromise(({ self, signal }) =>
          perform('read', { self, signal }, { effect: 'read', input: null, output: 1 }),
        ),
      },
    }).createMachine({
      initial: 'reading',
      states: {
        reading: { invoke: { src: 'read', onDone: 'writing', onError: 'writing' } },
        writing: { invoke: { src: 'write', input: { n: 3 }, onDone: 'over', onError: 'over' } },
        over: { type: 'final' },
      },
    });
    const shop: Workload = {
      kinds: [{ definition: durable(machine, { name: 'shop', version: '1', effects: { read: 'read' } }) }],
    };
    let begun = 0;
    for (let seed = 1; seed <= 12; seed += 1) {
      const { violations, trace } = await simulate(planOf(seed, shop), shop);
      expect(violations).toEqual([]);
      begun += trace.filter((line) => line.includes(' acts write ')).length;
    }
    expect(begun).toBeGreaterThan(0);
  });

  test('without a workload is refused, and told so', async () => {
    const refused = {
      code: 'VALIDATION',
      message: expect.stringContaining('{ kinds: [{ definition }, …] }') as string,
    };
    // @ts-expect-error: of what?
    expect(() => planOf(42)).toThrow(expect.objectContaining(refused));
    expect(() => planOf(42, { kinds: [] })).toThrow(expect.objectContaining(refused));
    await expect(simulate(planOf(42, workload), {} as Workload)).rejects.toMatchObject(refused);
  });

  test('of another one at the same time is refused', async () => {
    const first = simulate(planOf(1, workload), workload);
    await expect(simulate(planOf(2, workload), workload)).rejects.toThrow('A simulation is under way in this process.');
    await first;
  });
});
