import { assign, fromPromise, setup } from 'xstate';
import { answer, say, type Reference } from '../world.ts';

interface Round {
  round: number;
  heard: readonly string[];
}

const ROUNDS = 5;

/** Begins anew every few entries: asks, waits for a word, and asks again; a timer stands over each beginning. */
export const continuing: Reference = {
  pairs: true,
  name: 'a run that begins anew',
  input: { round: 0, heard: [] },
  continueAs: ({ context }) => context,
  // Where a run is cut just before it would have begun anew, the takeover's entry comes in between.
  detour: 'it begins anew at other entries',
  create: (world) =>
    setup({
      types: {
        input: {} as Round,
        context: {} as Round,
        events: {} as { type: 'WORD' },
        output: {} as Round,
      },
      actors: { ask: fromPromise<string, number>(({ input, signal }) => world.call('ask', input, signal)) },
    }).createMachine({
      context: ({ input }) => input,
      initial: 'asking',
      after: { 600_000: '.late' },
      states: {
        asking: {
          invoke: {
            src: 'ask',
            input: ({ context }) => context.round,
            onDone: {
              target: 'waiting',
              actions: assign({
                round: ({ context }) => context.round + 1,
                heard: ({ context, event }) => [...context.heard, event.output],
              }),
            },
          },
        },
        waiting: {
          always: { guard: ({ context }) => context.round === ROUNDS, target: 'done' },
          on: { WORD: 'asking' },
        },
        late: { type: 'final' },
        done: { type: 'final' },
      },
      output: ({ context }) => context,
    }),
  rules: [answer('ask', (round: unknown) => `answer ${String(round)}`), say('waiting', { type: 'WORD' })],
  end: {
    type: 'run.completed',
    output: { round: ROUNDS, heard: Array.from({ length: ROUNDS }, (_, round) => `answer ${round}`) },
  },
};
