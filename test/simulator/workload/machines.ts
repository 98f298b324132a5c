import { assign, fromCallback, fromPromise, sendTo, setup, type AnyActorRef } from 'xstate';
import { addressOf, durable, toolActor, type Effect, type Exit } from '../../../src/index.ts';
import { perform } from '../../../src/testing.ts';
import { charge, store, wire } from './tools.ts';

/** Small machines, each with something that is easily got wrong. */

const acts = (what: string, effect: Effect) =>
  fromPromise<string, string>(({ input, self, signal }) => {
    const { run, key: call } = addressOf(self as AnyActorRef);
    return perform(what, { run, call, signal }, { effect, input, output: `${what} ${input}` });
  });

/** Calls one after another; what fails is tried again by the machine itself, each time after a timer. */
const retryingMachine = setup({
  types: { context: {} as { done: string[]; tries: number }, output: {} as string[] },
  actors: { fetch: acts('fetch', 'idempotent'), read: acts('read', 'read') },
}).createMachine({
  context: { done: [], tries: 0 },
  initial: 'fetching',
  states: {
    fetching: {
      invoke: {
        src: 'fetch',
        input: ({ context }) => `${context.done.length}`,
        onDone: [
          { guard: ({ context }) => context.done.length === 2, target: 'reading' },
          {
            target: 'fetching',
            reenter: true,
            actions: assign({ done: ({ context, event }) => [...context.done, event.output] }),
          },
        ],
        onError: { target: 'waiting', actions: assign({ tries: ({ context }) => context.tries + 1 }) },
      },
    },
    waiting: {
      always: { guard: ({ context }) => context.tries > 4, target: 'over' },
      after: { 700: 'fetching' },
    },
    reading: { invoke: { src: 'read', input: 'it', onDone: 'over', onError: 'over' } },
    over: { type: 'final' },
  },
  output: ({ context }) => context.done,
});

/** Timers that race calls, timers that are cancelled, timers at the same time. */
const timedMachine = setup({
  types: {
    context: {} as { ticks: number; late: number; n: number },
    events: {} as { type: 'PUSH'; n: number } | { type: 'TICK' },
  },
  actors: { slow: acts('slow', 'idempotent') },
}).createMachine({
  context: { ticks: 0, late: 0, n: 0 },
  type: 'parallel',
  states: {
    ticking: {
      initial: 'on',
      states: {
        on: {
          always: { guard: ({ context }) => context.ticks >= 4, target: 'off' },
          after: {
            900: { target: 'on', reenter: true, actions: assign({ ticks: ({ context }) => context.ticks + 1 }) },
          },
        },
        off: { type: 'final' },
      },
    },
    racing: {
      initial: 'calling',
      states: {
        calling: {
          invoke: { src: 'slow', input: 'race', onDone: 'rested', onError: 'rested' },
          after: { 300: { target: 'rested', actions: assign({ late: ({ context }) => context.late + 1 }) } },
        },
        rested: { after: { 6_000: 'over', 2_500: 'again' } },
        again: { after: { 10: 'over' } },
        over: { type: 'final' },
      },
    },
    pushed: {
      initial: 'open',
      states: {
        open: {
          on: { PUSH: { target: 'open', reenter: true, actions: assign({ n: ({ event }) => event.n }) } },
          after: { 4_000: 'closed' },
        },
        closed: { type: 'final' },
      },
    },
  },
});

/** Calls that must not happen twice: one plain, one by a tool, side by side. */
const payingMachine = setup({
  types: { context: {} as { paid: string[] }, output: {} as string[] },
  actors: { debit: acts('debit', 'irreversible'), charge: toolActor(charge), store: toolActor(store) },
}).createMachine({
  context: { paid: [] },
  initial: 'paying',
  states: {
    paying: {
      type: 'parallel',
      states: {
        plain: {
          initial: 'on',
          states: {
            on: {
              invoke: {
                src: 'debit',
                input: 'plain',
                onDone: {
                  target: 'off',
                  actions: assign({ paid: ({ context, event }) => [...context.paid, event.output] }),
                },
                onError: 'off',
              },
            },
            off: { type: 'final' },
          },
        },
        tool: {
          initial: 'on',
          states: {
            on: { invoke: { src: 'charge', input: { item: 'tool' }, onDone: 'again' } },
            again: { invoke: { src: 'store', input: { item: 'after' }, onDone: 'off' } },
            off: { type: 'final' },
          },
        },
      },
      onDone: 'over',
    },
    over: { type: 'final' },
  },
  output: ({ context }) => context.paid,
});

/** A guarded call after another one, or `first`. */
const approvingMachine = (first: 'storing' | 'wiring') =>
  setup({
    types: { context: {} as { said: string }, input: {} as { item: string }, output: {} as string },
    actors: { store: toolActor(store), wire: toolActor(wire) },
  }).createMachine({
    context: ({ input }) => ({ said: input.item }),
    initial: first,
    states: {
      storing: { invoke: { src: 'store', input: { item: 'before' }, onDone: 'wiring' } },
      wiring: {
        invoke: {
          src: 'wire',
          input: ({ context }: { context: { said: string } }) => ({ item: context.said }),
          onDone: { target: 'over', actions: assign({ said: ({ event }) => (event.output as Exit).status }) },
        },
      },
      over: { type: 'final' },
    },
    output: ({ context }) => context.said,
  });

/** Lives by messages alone, and begins anew when it has become long. `flood`: what a source of its own emits at once. */
const flood = fromCallback<{ type: string }, { count: number }>(({ sendBack, input }) => {
  for (let at = 0; at < input.count; at += 1) sendBack({ type: 'DROP' });
  sendBack({ type: 'DRAINED' });
});
const countingMachine = setup({
  types: {
    context: {} as { seen: number[]; flood: number; drops: number; lives: number },
    input: {} as { flood: number; seen?: number[]; lives?: number },
    events: {} as { type: 'ADD'; n: number } | { type: 'DROP' } | { type: 'DRAINED' } | { type: 'END' },
    output: {} as number[],
  },
  actors: { flood },
}).createMachine({
  context: ({ input }) => ({ seen: input.seen ?? [], flood: input.flood, drops: 0, lives: (input.lives ?? 0) + 1 }),
  initial: 'flooded',
  on: { ADD: { actions: assign({ seen: ({ context, event }) => [...context.seen, event.n] }) }, END: '.closed' },
  states: {
    flooded: {
      always: { guard: ({ context }) => context.flood === 0, target: 'open' },
      invoke: { src: 'flood', input: ({ context }) => ({ count: context.flood }) },
      on: { DROP: { actions: assign({ drops: ({ context }) => context.drops + 1 }) }, DRAINED: 'open' },
    },
    open: {},
    closed: { type: 'final' },
  },
  output: ({ context }) => context.seen,
});

/** A child machine that speaks to its parent, and an action that throws when it is told to. */
const clerk = setup({
  types: { input: {} as { boss: AnyActorRef } },
  actors: { fetch: acts('fetch', 'idempotent') },
}).createMachine({
  initial: 'working',
  context: ({ input }) => input,
  states: {
    working: {
      invoke: { src: 'fetch', input: 'clerk', onDone: 'telling', onError: 'telling' },
    },
    telling: {
      entry: sendTo(({ context }) => (context as { boss: AnyActorRef }).boss, { type: 'TOLD' }),
      after: { 200: 'over' },
    },
    over: { type: 'final' },
  },
});
const officeMachine = setup({
  types: {
    context: {} as { told: number; fails: boolean },
    input: {} as { fails: boolean },
    events: {} as { type: 'TOLD' },
  },
  actors: { clerk },
  actions: {
    slip: ({ context }) => {
      if (context.fails) throw new Error('planned: an action slips');
    },
  },
}).createMachine({
  context: ({ input }) => ({ told: 0, fails: input.fails }),
  initial: 'open',
  states: {
    open: {
      invoke: { src: 'clerk', input: ({ self }) => ({ boss: self as AnyActorRef }), onDone: 'over' },
      on: { TOLD: { actions: [assign({ told: ({ context }) => context.told + 1 }), 'slip'] } },
    },
    over: { type: 'final' },
  },
});

export const retrying = durable(retryingMachine, { name: 'retrying', version: '1', effects: { read: 'read' } });
export const timed = durable(timedMachine, { name: 'timed', version: '1' });
export const paying = durable(payingMachine, { name: 'paying', version: '1', effects: { debit: 'irreversible' } });
export const approving = durable(approvingMachine('storing'), { name: 'approving', version: '1' });
/** It does not store before. */
export const hasty = durable(approvingMachine('wiring'), { name: 'hasty', version: '1' });
export const counting = durable(countingMachine, {
  name: 'counting',
  version: '1',
  continueAs: ({ context: { seen, lives } }) => ({ flood: lives === 1 ? 2 : 0, seen, lives }),
});
export const office = durable(officeMachine, { name: 'office', version: '1' });
