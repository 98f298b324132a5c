import { assign, fromPromise, setup } from 'xstate';
import { answer, type Reference, type Rule } from '../world.ts';

/** Both regions count: the order in which a timer and a result entered can be told by the end. */
export const photoFinish: Reference = {
  pairs: true,
  name: 'a result and a timer in one commit',
  create: (world) =>
    setup({
      types: { context: {} as { order: string[] }, output: {} as string[] },
      actors: { runner: fromPromise(() => world.call('runner')) },
      actions: { note: (_, { what }: { what: string }) => world.act(what) },
    }).createMachine({
      context: { order: [] },
      type: 'parallel',
      states: {
        clock: {
          initial: 'running',
          states: {
            running: {
              after: {
                1000: {
                  target: 'over',
                  actions: [
                    assign({ order: ({ context }) => [...context.order, 'timer'] }),
                    { type: 'note', params: { what: 'timer' } },
                  ],
                },
              },
            },
            over: { type: 'final' },
          },
        },
        track: {
          initial: 'running',
          states: {
            running: {
              invoke: {
                src: 'runner',
                onDone: {
                  target: 'over',
                  actions: [
                    assign({ order: ({ context }) => [...context.order, 'result'] }),
                    { type: 'note', params: { what: 'result' } },
                  ],
                },
              },
            },
            over: { type: 'final' },
          },
        },
      },
      output: ({ context }) => context.order,
    }),
  rules: [
    (stage) => {
      const [call] = stage.world.open('runner');
      call?.resolve(null);
      // heard before the result, which is a microtask away
      stage.clock.increment(1000);
      return call !== undefined;
    },
  ],
  end: { type: 'run.completed', output: ['timer', 'result'] },
  together: ['timer.fired', 'leaf.succeeded'],
};

const both: Rule = ({ world }) => {
  const [hare] = world.open('hare');
  const [tortoise] = world.open('tortoise');
  hare?.resolve('hare');
  tortoise?.resolve('tortoise');
  return hare !== undefined || tortoise !== undefined;
};

export const race: Reference = {
  pairs: true,
  name: 'a result that exits the state another result was for, both in one commit',
  create: (world) =>
    setup({
      types: { context: {} as { won: string | null }, output: {} as string | null },
      actors: {
        hare: fromPromise<string>(({ signal }) => world.call('hare', null, signal)),
        tortoise: fromPromise<string>(({ signal }) => world.call('tortoise', null, signal)),
        prize: fromPromise<string, string | null>(({ input }) => world.call('prize', input)),
      },
      actions: { note: ({ context }) => world.act(`won: ${context.won}`) },
    }).createMachine({
      context: { won: null },
      initial: 'racing',
      states: {
        racing: {
          invoke: [
            {
              src: 'hare',
              onDone: { target: 'giving', actions: [assign({ won: ({ event }) => event.output }), 'note'] },
            },
            {
              src: 'tortoise',
              onDone: { target: 'giving', actions: [assign({ won: ({ event }) => event.output }), 'note'] },
            },
          ],
        },
        giving: { invoke: { src: 'prize', input: ({ context }) => context.won, onDone: 'over' } },
        over: { type: 'final' },
      },
      output: ({ context }) => context.won,
    }),
  rules: [both, answer('prize', 'a carrot')],
  end: { type: 'run.completed', output: 'hare' },
  together: ['leaf.succeeded', 'leaf.succeeded'],
};
