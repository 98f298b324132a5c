import { assign, fromPromise, setup } from 'xstate';
import { refuse, type Reference } from '../world.ts';

export const declined: Reference = {
  name: 'an error with a code that a guard reads, and its cause',
  create: (world) =>
    setup({
      types: { context: {} as { error: unknown }, output: {} as object },
      actors: { pay: fromPromise(() => world.call('pay')) },
      guards: { poor: (_, { error }: { error: unknown }) => (error as { code?: string }).code === 'E_FUNDS' },
    }).createMachine({
      context: { error: null },
      initial: 'paying',
      states: {
        paying: {
          invoke: {
            src: 'pay',
            onError: [
              {
                guard: { type: 'poor', params: ({ event }) => ({ error: event.error }) },
                target: 'poor',
                actions: assign({ error: ({ event }) => event.error }),
              },
              { target: 'odd' },
            ],
          },
        },
        poor: { after: { 10: 'over' } },
        odd: {},
        over: { type: 'final' },
      },
      output: ({ context }) => context.error as object,
    }),
  rules: [
    refuse('pay', () =>
      Object.assign(new Error('declined', { cause: new Error('bank', { cause: new RangeError('limit') }) }), {
        code: 'E_FUNDS',
        data: { left: 3 },
      }),
    ),
  ],
  end: {
    type: 'run.completed',
    output: {
      name: 'Error',
      message: 'declined',
      code: 'E_FUNDS',
      data: { left: 3 },
      cause: { name: 'Error', message: 'bank', cause: { name: 'RangeError', message: 'limit' } },
    },
  },
};

export const hasty: Reference = {
  name: 'a promise creator that throws at once',
  create: (world) =>
    setup({
      types: { context: {} as { why: string }, output: {} as string },
      actors: {
        hasty: fromPromise(() => {
          world.begin('hasty');
          throw new Error('at once');
        }),
      },
    }).createMachine({
      context: { why: '' },
      initial: 'trying',
      states: {
        trying: {
          invoke: {
            src: 'hasty',
            onError: { target: 'over', actions: assign({ why: ({ event }) => (event.error as Error).message }) },
          },
        },
        over: { type: 'final' },
      },
      output: ({ context }) => context.why,
    }),
  end: { type: 'run.completed', output: 'at once' },
};
