import { assign, setup } from 'xstate';
import { durable } from '../../src/index.ts';

/** A run that remembers what it is sent until it is told to end. */
const machine = setup({
  types: {
    context: {} as { seen: number[] },
    events: {} as { type: 'ADD'; n: number } | { type: 'END' },
    output: {} as number[],
  },
}).createMachine({
  context: { seen: [] },
  initial: 'open',
  states: {
    open: {
      on: { ADD: { actions: assign({ seen: ({ context, event }) => [...context.seen, event.n] }) }, END: 'closed' },
    },
    closed: { type: 'final' },
  },
  output: ({ context }) => context.seen,
});

export const list = durable(machine, { name: 'list', version: '1' });
