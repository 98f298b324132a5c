import { assign, fromPromise, setup, type ActorRef, type Snapshot } from 'xstate';
import { answer, type Reference } from '../world.ts';

type Parent = ActorRef<Snapshot<unknown>, { type: 'PROGRESS' | 'PONG' }>;

/** `self.send` from an action's own async code and, by a reference in its input, from a promise. */
export const letters: Reference = {
  name: 'self.send from async code of an action and of a promise',
  create: (world) =>
    setup({
      types: {
        context: {} as { progress: boolean; got: string | null },
        events: {} as { type: 'PROGRESS' | 'PONG' },
        output: {} as { progress: boolean; got: string | null },
      },
      actors: {
        work: fromPromise<string, { parent: Parent; at: Date }>(async ({ input }) => {
          world.begin('work');
          await world.ask('prepare');
          input.parent.send({ type: 'PROGRESS' });
          return world.ask<string>('work', input.at.toISOString());
        }),
      },
      actions: {
        ping: ({ self }) => {
          world.act('ping');
          void Promise.resolve().then(() => self.send({ type: 'PONG' }));
        },
      },
    }).createMachine({
      context: { progress: false, got: null },
      initial: 'waiting',
      states: {
        // the answer to a ping may be lost in a crash, as it may be anywhere
        waiting: { entry: 'ping', on: { PONG: 'working' }, after: { 1000: 'working' } },
        working: {
          invoke: {
            src: 'work',
            input: ({ self }) => ({ parent: self, at: new Date(0) }),
            onDone: { target: 'done', actions: assign({ got: ({ event }) => event.output }) },
          },
          on: { PROGRESS: { actions: assign({ progress: true }) } },
        },
        done: { type: 'final' },
      },
      output: ({ context }) => context,
    }),
  rules: [answer('prepare', null), answer('work', (at: unknown) => `done ${String(at)}`)],
  end: { type: 'run.completed', output: { progress: true, got: 'done 1970-01-01T00:00:00.000Z' } },
  detour: 'a lost PONG is replaced by the timeout',
};
