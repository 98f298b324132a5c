import { assign, fromCallback, fromPromise, setup } from 'xstate';
import { z } from 'zod';
import { durable, plan, tool, type AnyDefinition } from '../../src/index.ts';

/** What the golden journals were written by. Never changed: a change of these is a change of what users have. */

const order = setup({
  types: {
    input: {} as { sku: string },
    context: {} as { sku: string; paid: number; ticks: number; note: string },
    events: {} as { type: 'PAY'; cents: number } | { type: 'TICK' } | { type: 'SHIP' },
    output: {} as { sku: string; paid: number; note: string },
  },
  actors: {
    price: fromPromise(async ({ input }: { input: string }) => ({ sku: input, cents: 1_200, at: new Date(0) })),
    charge: fromPromise(async () => 'receipt'),
    refused: fromPromise(async () => Promise.reject(Object.assign(new Error('no stock'), { code: 'STOCK' }))),
    ticker: fromCallback(({ sendBack }) => {
      const timer = setInterval(() => sendBack({ type: 'TICK' }), 1);
      return () => clearInterval(timer);
    }),
  },
}).createMachine({
  context: ({ input }) => ({ sku: input.sku, paid: 0, ticks: 0, note: '' }),
  initial: 'pricing',
  states: {
    pricing: { invoke: { src: 'price', input: ({ context }) => context.sku, onDone: 'paying' } },
    paying: {
      on: { PAY: { target: 'charging', actions: assign({ paid: ({ event }) => event.cents }) } },
      after: { 3_600_000: 'late' },
    },
    charging: { invoke: { src: 'charge', onDone: 'ticking' } },
    ticking: {
      invoke: { src: 'ticker' },
      on: {
        TICK: [
          { guard: ({ context }) => context.ticks === 2, target: 'asking' },
          { actions: assign({ ticks: ({ context }) => context.ticks + 1 }) },
        ],
      },
    },
    asking: {
      invoke: {
        src: 'refused',
        onError: { target: 'waiting', actions: assign({ note: ({ event }) => (event.error as Error).message }) },
      },
    },
    waiting: { after: { 20: 'packed' } },
    packed: { on: { SHIP: 'shipped' } },
    shipped: { type: 'final' },
    late: { type: 'final' },
  },
  output: ({ context: { sku, paid, note } }) => ({ sku, paid, note }),
});
export const orders = durable(order, { name: 'order', version: '1', effects: { charge: 'irreversible' } });

const counter = setup({
  types: { input: {} as number, context: {} as { n: number }, events: {} as { type: 'ADD' }, output: {} as number },
}).createMachine({
  context: ({ input }) => ({ n: input }),
  initial: 'counting',
  states: {
    counting: {
      on: { ADD: { actions: assign({ n: ({ context }) => context.n + 1 }) } },
      always: { guard: ({ context }) => context.n >= 1_003, target: 'done' },
    },
    done: { type: 'final' },
  },
  output: ({ context }) => context.n,
});
export const counters = durable(counter, { name: 'counter', version: '1', continueAs: ({ context }) => context.n });

export const greet = tool({
  name: 'greet',
  description: 'Says hello',
  inputSchema: z.object({ name: z.string().default('you') }),
  outputSchema: z.object({ text: z.string() }),
  effect: 'idempotent',
  execute: ({ name }) => ({ text: `Hello ${name}` }),
});
const people = tool({
  name: 'people',
  description: 'Whom to greet',
  inputSchema: z.object({}),
  outputSchema: z.array(z.object({ name: z.string() })),
  effect: 'read',
  execute: () => [{ name: 'Ana' }, { name: 'Ben' }],
});
export const tools = [greet, people];
export const greeting = plan.parse('a. People\nb. Greet (requires step a)', { name: 'greeting', tools });

export const definitions: readonly AnyDefinition[] = [orders, counters, greet];
