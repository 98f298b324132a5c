import { assign, setup } from 'xstate';
import { childRun, durable, toolActor, type Entry } from '../../../src/index.ts';
import { charge, store, think, THOUGHT } from './tools.ts';

/** A run that begins others: one at a time and two at once, of which it may leave one. */

const workerMachine = setup({
  types: { context: {} as { item: string }, input: {} as { item: string }, output: {} as { item: string } },
  actors: { think: toolActor(think), charge: toolActor(charge), store: toolActor(store) },
}).createMachine({
  context: ({ input }) => input,
  initial: 'thinking',
  states: {
    thinking: {
      invoke: { src: 'think', input: ({ context }: { context: { item: string } }) => context, onDone: 'resting' },
    },
    resting: { after: { 300: 'charging' } },
    charging: {
      invoke: { src: 'charge', input: ({ context }: { context: { item: string } }) => context, onDone: 'storing' },
    },
    storing: {
      invoke: { src: 'store', input: ({ context }: { context: { item: string } }) => context, onDone: 'over' },
    },
    over: { type: 'final' },
  },
  output: ({ context }) => context,
});
export const worker = durable(workerMachine, { name: 'worker', version: '1' });

const narrow = childRun(worker, { budget: { tokens: 250, usd: 0.7 } });
const bossMachine = setup({
  types: { context: {} as { done: string[] }, output: {} as string[] },
  actors: { worker: narrow, helper: narrow, think: toolActor(think) },
}).createMachine({
  context: { done: [] },
  initial: 'first',
  states: {
    first: {
      invoke: {
        src: 'worker',
        input: { item: 'first' },
        onDone: {
          target: 'thinking',
          actions: assign({ done: ({ context, event }) => [...context.done, event.output.item] }),
        },
        onError: 'thinking',
      },
    },
    thinking: { invoke: { src: 'think', input: { item: 'boss' }, onDone: 'both' } },
    both: {
      type: 'parallel',
      states: {
        kept: {
          initial: 'on',
          states: {
            on: { invoke: { src: 'worker', input: { item: 'kept' }, onDone: 'off', onError: 'off' } },
            off: { type: 'final' },
          },
        },
        left: {
          initial: 'on',
          states: {
            on: {
              invoke: { src: 'helper', input: { item: 'left' }, onDone: 'off', onError: 'off' },
              after: { 900: 'off' },
            },
            off: { type: 'final' },
          },
        },
      },
      onDone: 'over',
    },
    over: { type: 'final' },
  },
  output: ({ context }) => context.done,
});
export const boss = durable(bossMachine, { name: 'boss', version: '1' });

/** A call that ended by itself costs what it has said, once. */
export function mischarged(entries: readonly Entry[]): string | undefined {
  for (const { type, target, event, seq } of entries)
    if (type === 'leaf.succeeded' && event.by === undefined && /\/think(?::\d+)?\/attempt/.test(`/${target}`))
      if (event.cost?.tokens !== THOUGHT.tokens || event.cost.usd !== THOUGHT.usd)
        return `entry ${seq}: ${target} cost ${JSON.stringify(event.cost)}, not ${JSON.stringify(THOUGHT)}`;
  return undefined;
}
