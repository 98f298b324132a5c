import { assign, fromPromise, setup } from 'xstate';
import { answer, type Reference } from '../world.ts';

/** Parallel regions that are left and come back to as they were, one of them around a machine with a timer and a call. */
export const household: Reference = {
  pairs: true,
  name: 'a child machine with its own `after` in parallel regions with deep history',
  create: (world) => {
    const oven = setup({
      types: { context: {} as { gas: string | null }, output: {} as string },
      actors: { gas: fromPromise<string>(({ signal }) => world.call('gas', null, signal)) },
    }).createMachine({
      id: 'oven',
      context: { gas: null },
      initial: 'lighting',
      states: {
        lighting: {
          invoke: { src: 'gas', onDone: { target: 'heating', actions: assign({ gas: ({ event }) => event.output }) } },
        },
        heating: { after: { 2000: 'hot' } },
        hot: { type: 'final' },
      },
      output: ({ context }) => `hot with ${context.gas}`,
    });
    return setup({
      types: {
        context: {} as { left: boolean; oven: string | null },
        events: {} as { type: 'LEAVE' } | { type: 'SERVE' },
        output: {} as object,
      },
      actors: { oven },
      actions: { note: (_, { what }: { what: string }) => world.act(what) },
    }).createMachine({
      context: { left: false, oven: null },
      initial: 'day',
      states: {
        day: {
          type: 'parallel',
          on: { LEAVE: { target: 'away', actions: assign({ left: true }) } },
          onDone: 'night',
          states: {
            kitchen: {
              initial: 'cold',
              states: {
                cold: {
                  invoke: {
                    src: 'oven',
                    id: 'oven',
                    onDone: { target: 'warm', actions: assign({ oven: ({ event }) => event.output }) },
                  },
                },
                warm: { entry: { type: 'note', params: { what: 'warm' } }, on: { SERVE: 'served' } },
                served: { type: 'final' },
              },
            },
            garden: {
              initial: 'sun',
              states: {
                sun: { after: { 3000: 'rain' } },
                rain: {
                  entry: { type: 'note', params: { what: 'rain' } },
                  exit: { type: 'note', params: { what: 'dry' } },
                  after: { 1000: 'dusk' },
                },
                dusk: { type: 'final' },
              },
            },
            memory: { type: 'history', history: 'deep' },
          },
        },
        away: { after: { 500: 'day.memory' } },
        night: { type: 'final' },
      },
      output: ({ context }) => context,
    });
  },
  rules: [
    answer('gas', 'methane'),
    (stage) => {
      if (!stage.in({ day: { kitchen: 'warm', garden: 'rain' } })) return false;
      stage.send({ type: (stage.context() as { left: boolean }).left ? 'SERVE' : 'LEAVE' });
      return true;
    },
  ],
  end: { type: 'run.completed', output: { left: true, oven: 'hot with methane' } },
};
