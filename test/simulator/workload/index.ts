import { plan, type Entry } from '../../../src/index.ts';
import type { Kind, Workload } from '../../../src/testing.ts';
import { boss, mischarged, worker } from './family.ts';
import { approving, counting, hasty, office, paying, retrying, timed } from './machines.ts';
import { charge, desk, look, store } from './tools.ts';

const errands = plan({ name: 'errands', module: desk, concurrency: 2 })
  .step('look', look, { input: () => ({ item: 'list' }) })
  .step('each', store, { needs: ['look'], each: () => ['a', 'b', 'c'].map((item) => ({ item })), onFailure: 'skip' })
  .step('pay', charge, { needs: ['look'], input: () => ({ item: 'bill' }), onFailure: 'continue' })
  .step('last', store, { needs: ['each'], optional: ['pay'], input: () => ({ item: 'end' }) });

const outputOf = (entries: readonly Entry[]): unknown => {
  const end = entries.at(-1);
  return end?.type === 'run.completed' ? end.event.output : undefined;
};

/** It counted every message that it had by then, once, in their order. */
const miscounted = (entries: readonly Entry[]): string | undefined => {
  const seen = outputOf(entries);
  if (!Array.isArray(seen)) return undefined;
  const numbers = entries.flatMap(({ type, event }) => {
    const said = type === 'message.received' ? (event.event as { n?: number }) : {};
    return said.n === undefined ? [] : [said.n];
  });
  return JSON.stringify(seen) === JSON.stringify(numbers)
    ? undefined
    : `it counted ${JSON.stringify(seen)}; its journal has ${JSON.stringify(numbers)}`;
};

const onExhausted = ['fail', 'pause'] as const;

/** Of few runs: so many steps, or so much time. */
const little =
  (limit: number): NonNullable<Kind['budget']> =>
  (random) => {
    if (random.chance(0.25)) return { steps: random.whole(1, limit) };
    if (random.chance(0.15)) return { wallClock: random.pick(['300ms', '2s']), onExhausted: random.pick(onExhausted) };
    return undefined;
  };

/** Tokens or dollars, of which it may have too few. */
const money: NonNullable<Kind['budget']> = (random) => {
  if (random.chance(0.4)) return undefined;
  const rest = { onExhausted: random.pick(onExhausted) };
  return random.chance(0.5)
    ? { tokens: random.whole(100, 1_000), ...rest }
    : { usd: random.whole(3, 30) / 10, ...rest };
};

export const workload: Workload = {
  kinds: [
    { definition: retrying, budget: little(4) },
    { definition: timed, message: (n) => ({ type: 'PUSH', n }) },
    { definition: paying, budget: little(3) },
    {
      definition: approving,
      input: (random) => ({ item: random.pick(['rent', 'wages']) }),
      changed: { definition: hasty, misfit: ({ target }) => target.startsWith('body/store') },
    },
    {
      definition: counting,
      input: (random) => ({ flood: random.chance(0.1) ? 990 : random.whole(0, 3) }),
      budget: little(1),
      message: (n) => ({ type: 'ADD', n }),
      finish: { type: 'END' },
      wrong: miscounted,
    },
    { definition: office, input: (random) => ({ fails: random.chance(0.3) }) },
    {
      definition: boss,
      budget: money,
      wrong: mischarged,
    },
    { definition: worker, input: () => ({ item: 'alone' }), budget: little(4), wrong: mischarged },
    { definition: errands, budget: little(7), waitsInLine: true },
  ],
};
