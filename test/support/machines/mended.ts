import { assign, fromPromise, setup } from 'xstate';
import { answer, type Reference } from '../world.ts';

export const mended: Reference = {
  name: 'an action of a child that throws, handled by its parent',
  create: (world) =>
    setup({
      types: { context: {} as { why: unknown }, output: {} as object, events: {} as { type: 'GO' } },
      actors: {
        fragile: setup({
          actors: { deep: fromPromise(({ signal }) => world.call('deep', null, signal)) },
          actions: {
            break: () => {
              world.act('break');
              throw new TypeError('broken');
            },
          },
        }).createMachine({
          invoke: { src: 'deep' },
          initial: 'a',
          states: { a: { after: { 100: 'b' } }, b: { entry: 'break', after: { 100: 'c' } }, c: { type: 'final' } },
        }),
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
      output: ({ context }) => ({ why: context.why }),
    }),
  rules: [answer('glue', null)],
  end: { type: 'run.completed', output: { why: 'broken' } },
  loses: {
    what: 'an action runs at most once: what it threw is gone with a process that had not recorded it',
    after: 'timer.fired',
    end: { type: 'run.completed', output: { why: null } },
  },
};
