import { appendFileSync } from 'node:fs';
import { setTimeout as pass } from 'node:timers/promises';
import { addressOf, durable, idempotencyKey, plan, tool, type AnyDefinition, type ToolContext } from 'troupe';
import { assign, fromPromise, setup, type AnyActorRef } from 'xstate';
import { z } from 'zod';

/** What the service runs: a hundred runs of seven kinds. Each call leaves a line outside, `<what> <run> <key>`. */

const PACE_MS = 15;
const MARKS = process.env['SERVICE_MARKS'] ?? '';

/** Somewhere within the call, so that a kill falls before it or after it. */
async function act(what: string, run: string, key: string): Promise<void> {
  await pass(PACE_MS);
  appendFileSync(MARKS, `${what} ${run} ${key}\n`);
  await pass(PACE_MS);
}
const call = async (what: string, self: AnyActorRef): Promise<string> => {
  const key = idempotencyKey(self);
  await act(what, addressOf(self).run, key);
  return key;
};

const work = fromPromise<string>(({ self }) => call('work', self));

/** Calls and short timers in turn. */
const steps = setup({
  types: { context: {} as { keys: string[] }, output: {} as string[] },
  actors: { work },
}).createMachine({
  context: { keys: [] },
  initial: 'working',
  states: {
    working: {
      invoke: {
        src: 'work',
        onDone: {
          target: 'resting',
          actions: assign({ keys: ({ context, event }) => [...context.keys, event.output] }),
        },
      },
    },
    resting: {
      always: { guard: ({ context }) => context.keys.length === 12, target: 'done' },
      after: { 30: 'working' },
    },
    done: { type: 'final' },
  },
  output: ({ context }) => context.keys,
});

/** Waits long enough to be parked, again and again. */
const sleepy = setup({
  types: { context: {} as { keys: string[] }, output: {} as string[] },
  actors: { work },
}).createMachine({
  context: { keys: [] },
  initial: 'asleep',
  states: {
    asleep: { after: { 400: 'working' } },
    working: {
      invoke: {
        src: 'work',
        onDone: [
          {
            guard: ({ context }) => context.keys.length === 3,
            target: 'done',
            actions: assign({ keys: ({ context, event }) => [...context.keys, event.output] }),
          },
          { target: 'asleep', actions: assign({ keys: ({ context, event }) => [...context.keys, event.output] }) },
        ],
      },
    },
    done: { type: 'final' },
  },
  output: ({ context }) => context.keys,
});

/** Two calls that must not happen twice. */
const pay = setup({
  types: { context: {} as { receipts: string[] }, output: {} as string[] },
  actors: {
    work,
    charge: fromPromise<string, { nth: number }>(async ({ input, self }) => {
      await call(`charge-${input.nth}`, self);
      return receipt(input.nth);
    }),
  },
}).createMachine({
  context: { receipts: [] },
  initial: 'preparing',
  states: {
    preparing: { after: { 200: 'working' } },
    working: { invoke: { src: 'work', onDone: 'charging' } },
    charging: {
      invoke: {
        src: 'charge',
        input: ({ context }) => ({ nth: context.receipts.length }),
        onDone: {
          target: 'charged',
          actions: assign({ receipts: ({ context, event }) => [...context.receipts, event.output] }),
        },
      },
    },
    charged: {
      always: { guard: ({ context }) => context.receipts.length === 6, target: 'done' },
      after: { 150: 'charging' },
    },
    done: { type: 'final' },
  },
  output: ({ context }) => context.receipts,
});
/** What the world answers to the charge of that number. */
export const receipt = (nth: number): string => `receipt ${nth}`;

/** Messages from outside (`ADD`, `END`), and from the service itself (`LOCAL`), which may die in the middle of one. */
const list = setup({
  types: {
    context: {} as { seen: number[] },
    events: {} as { type: 'ADD' | 'LOCAL'; n: number } | { type: 'END' },
    output: {} as number[],
  },
}).createMachine({
  context: { seen: [] },
  initial: 'open',
  states: {
    open: {
      on: {
        ADD: { actions: assign({ seen: ({ context, event }) => [...context.seen, event.n] }) },
        LOCAL: {},
        END: 'closed',
      },
    },
    closed: { type: 'final' },
  },
  output: ({ context }) => context.seen,
});

/** Many timers, so that it begins anew; its messages must not get lost or be taken again thereby. */
const REGIONS = Array.from({ length: 10 }, (_, index) => index);
const ROUNDS = 120;
interface Counted {
  counts: number[];
  seen: number[];
  ended: boolean;
}
const counter = setup({
  types: {
    context: {} as Counted,
    input: {} as Counted | undefined,
    events: {} as { type: 'ADD'; n: number } | { type: 'END' },
    output: {} as Counted,
  },
  actions: {
    count: assign({
      counts: ({ context }, at: { index: number }) => context.counts.map((n, i) => (i === at.index ? n + 1 : n)),
    }),
  },
}).createMachine({
  context: ({ input }) => input ?? { counts: REGIONS.map(() => 0), seen: [], ended: false },
  type: 'parallel',
  states: {
    ear: {
      initial: 'open',
      states: {
        open: {
          always: { guard: ({ context }) => context.ended, target: 'closed' },
          on: {
            ADD: { actions: assign({ seen: ({ context, event }) => [...context.seen, event.n] }) },
            END: { actions: assign({ ended: true }) },
          },
        },
        closed: { type: 'final' },
      },
    },
    ...Object.fromEntries(
      REGIONS.map((index) => [
        `region${index}`,
        {
          initial: 'on',
          states: {
            on: {
              always: {
                guard: ({ context }: { context: Counted }) => (context.counts[index] ?? 0) >= ROUNDS,
                target: 'off',
              },
              after: {
                10: { target: 'on', reenter: true, actions: { type: 'count' as const, params: { index } } },
              },
            },
            off: { type: 'final' as const },
          },
        },
      ]),
    ),
  },
  output: ({ context }) => context,
});

/** Never ends by itself. */
const stuck = setup({
  actors: {
    hang: fromPromise<string>(({ self }) => call('hang', self).then(() => new Promise<never>(() => {}))),
  },
}).createMachine({ initial: 'hanging', states: { hanging: { invoke: { src: 'hang' } } } });

const book = tool({
  name: 'book',
  description: 'Books an item',
  inputSchema: z.object({ nth: z.number() }),
  outputSchema: z.string(),
  effect: 'irreversible',
  execute: async ({ nth }, { run, idempotencyKey: key }: ToolContext) => {
    await act(`charge-${nth}`, run, key);
    return receipt(nth);
  },
});
const orders = plan({ name: 'orders' })
  .step(
    'items',
    async (_scope, { run, idempotencyKey: key }) => {
      await act('work', run, key);
      return Array.from({ length: 8 }, (_, nth) => ({ nth }));
    },
    {},
  )
  .step('booked', book, { needs: ['items'], each: ({ items }) => items, concurrency: 2 })
  .step(
    'noted',
    async (item: string, { run, idempotencyKey: key }) => {
      await act('work', run, key);
      return `${item} noted`;
    },
    { needs: ['booked'], each: ({ booked }) => booked },
  );

const kinds = {
  steps: durable(steps, { name: 'steps', version: '1' }),
  sleepy: durable(sleepy, { name: 'sleepy', version: '1' }),
  pay: durable(pay, { name: 'pay', version: '1', effects: { charge: 'irreversible' } }),
  list: durable(list, { name: 'list', version: '1' }),
  counter: durable(counter, { name: 'counter', version: '1', continueAs: ({ context }) => context }),
  stuck: durable(stuck, { name: 'stuck', version: '1' }),
  orders,
} satisfies Record<string, AnyDefinition>;
type Kind = keyof typeof kinds;

export const definitions: readonly AnyDefinition[] = Object.values(kinds);

const COUNTS: Record<Kind, number> = { steps: 20, sleepy: 12, pay: 20, list: 25, counter: 3, stuck: 5, orders: 15 };

export interface Job {
  id: string;
  kind: Kind;
  definition: AnyDefinition;
}

/** The kinds mixed, as a service would have them. */
export const jobs: readonly Job[] = Object.entries(COUNTS)
  .flatMap(([kind, count]) =>
    Array.from({ length: count }, (_, nth) => ({
      at: nth / count,
      job: { id: `${kind}-${nth}`, kind: kind as Kind, definition: kinds[kind as Kind] },
    })),
  )
  .toSorted((a, b) => a.at - b.at)
  .map(({ job }) => job);

/** What somebody outside sends, in this order, and then `END`. */
export const ADDED: readonly number[] = Array.from({ length: 20 }, (_, index) => index + 1);
export const isList = ({ kind }: Job): boolean => kind === 'list' || kind === 'counter';
/** Those that the service speaks to itself. */
export const isSpokenTo = ({ kind, id }: Job): boolean => kind === 'list' && Number(id.split('-')[1]) < 5;
/** It makes calls that must not happen twice. */
export const isIrreversible = ({ kind }: Job): boolean => kind === 'pay' || kind === 'orders';
