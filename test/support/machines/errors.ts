import { assign, fromPromise, setup, type AnyStateMachine } from 'xstate';
import { answer, refuse, say, type Reference, type World } from '../world.ts';

const fragile = (world: World): AnyStateMachine =>
  setup({
    types: { events: {} as { type: 'BREAK' }, context: {} as { breaks: number } },
    actors: {
      steady: fromPromise(({ signal }) => world.call('steady', null, signal)),
      inner: setup({ actors: { deep: fromPromise(({ signal }) => world.call('deep', null, signal)) } }).createMachine({
        invoke: { src: 'deep' },
        after: { 60_000: {} },
      }),
    },
    actions: {
      break: () => {
        world.act('break');
        throw Object.assign(new Error('broken'), { code: 'E_BROKEN', cause: new Error('old') });
      },
      after: () => world.act('after the break'),
    },
  }).createMachine({
    context: { breaks: 0 },
    invoke: [{ src: 'steady' }, { src: 'inner' }],
    initial: 'whole',
    states: {
      whole: { after: { 50_000: 'old' }, on: { BREAK: { target: 'torn', actions: [assign({ breaks: 1 }), 'break'] } } },
      torn: { after: { 1000: 'over' } },
      old: {},
      over: { type: 'final' },
    },
  });

export const spill: Reference = {
  name: 'an action that throws while children run',
  create: fragile,
  rules: [say('whole', { type: 'BREAK' })],
  loses: {
    what: 'an action runs at most once: what it threw is gone with a process that had not recorded it',
    after: 'message.received',
    end: { type: 'run.completed', output: undefined },
  },
  end: { type: 'run.failed', error: { message: 'broken', code: 'E_BROKEN', cause: { name: 'Error', message: 'old' } } },
};

export const mended: Reference = {
  name: 'an action of a child that throws, handled by its parent',
  create: (world) =>
    setup({
      types: { context: {} as { why: unknown }, output: {} as unknown, events: {} as { type: 'GO' } },
      actors: {
        fragile: setup({
          actors: { deep: fromPromise(({ signal }) => world.call('deep', null, signal)) },
          actions: {
            break: () => {
              world.act('break');
              throw new TypeError('broken');
            },
          },
        }).createMachine({ invoke: { src: 'deep' }, initial: 'a', states: { a: { after: { 100: 'b' } }, b: { entry: 'break', after: { 100: 'c' } }, c: { type: 'final' } } }),
        glue: fromPromise(() => world.call('glue')),
      },
    }).createMachine({
      context: { why: null },
      initial: 'using',
      states: {
        using: {
          invoke: {
            src: 'fragile',
            onDone: 'over',
            onError: { target: 'mending', actions: assign({ why: ({ event }) => (event.error as Error).message }) },
          },
        },
        mending: { invoke: { src: 'glue', onDone: 'over' } },
        over: { type: 'final' },
      },
      output: ({ context }) => context.why,
    }),
  rules: [answer('glue', null)],
  end: { type: 'run.completed', output: 'broken' },
  loses: {
    what: 'an action runs at most once: what it threw is gone with a process that had not recorded it',
    after: 'timer.fired',
    end: { type: 'run.completed', output: null },
  },
};

export const declined: Reference = {
  name: 'an error with a code that a guard reads, and its cause',
  create: (world) =>
    setup({
      types: { context: {} as { error: unknown }, output: {} as unknown },
      actors: { pay: fromPromise(() => world.call('pay')) },
      guards: { poor: (_, error: unknown) => (error as { code?: string }).code === 'E_FUNDS' },
    }).createMachine({
      context: { error: null },
      initial: 'paying',
      states: {
        paying: {
          invoke: {
            src: 'pay',
            onError: [
              { guard: { type: 'poor', params: ({ event }) => event.error }, target: 'poor', actions: assign({ error: ({ event }) => event.error }) },
              { target: 'odd' },
            ],
          },
        },
        poor: { after: { 10: 'over' } },
        odd: {},
        over: { type: 'final' },
      },
      output: ({ context }) => context.error,
    }),
  rules: [
    refuse('pay', () =>
      Object.assign(new Error('declined', { cause: new Error('bank', { cause: new RangeError('limit') }) }), { code: 'E_FUNDS', data: { left: 3 } }),
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
        trying: { invoke: { src: 'hasty', onError: { target: 'over', actions: assign({ why: ({ event }) => (event.error as Error).message }) } } },
        over: { type: 'final' },
      },
      output: ({ context }) => context.why,
    }),
  end: { type: 'run.completed', output: 'at once' },
};
