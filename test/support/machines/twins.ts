import { assign, fromPromise, fromTransition, sendTo, setup, type ActorRef, type Snapshot } from 'xstate';
import { answer, type Reference } from '../world.ts';

/** Children of every birth: two without ids, one of them spawned in `assign`, inline logic, a reducer that is spawned. */
export const twins: Reference = {
  pairs: true,
  name: 'two spawned children without ids, spawn in assign, inline logic',
  create: (world) => {
    const twin = fromPromise<string, { name: string }>(({ input, signal }) => world.call('twin', input.name, signal));
    const tally = fromTransition(
      (names: readonly string[], event: { type: 'NAME'; name: string }) => [...names, event.name],
      [] as readonly string[],
    );
    const inline = fromPromise<string>(() => world.call('xstate.invoke.0.(machine).inline'));
    return setup({
      types: {
        context: {} as {
          first: unknown;
          second: unknown;
          tally: ActorRef<Snapshot<unknown>, { type: 'NAME'; name: string }>;
          got: unknown[];
        },
        output: {} as object,
      },
      actors: { twin, tally },
    }).createMachine({
      context: ({ spawn }) => ({
        first: spawn('twin', { input: { name: 'Castor' } }),
        second: null,
        tally: spawn('tally'),
        got: [],
      }),
      entry: assign({ second: ({ spawn }) => spawn('twin', { input: { name: 'Pollux' } }) }),
      initial: 'waiting',
      states: {
        waiting: {
          on: {
            'xstate.done.actor.*': {
              actions: [
                assign({
                  got: ({ context, event }) => [...context.got, (event as unknown as { output: unknown }).output],
                }),
                sendTo(
                  ({ context }) => context.tally,
                  ({ event }) => ({ type: 'NAME', name: (event as unknown as { output: string }).output }),
                ),
              ],
            },
          },
          always: { guard: ({ context }) => context.got.length === 2, target: 'inline' },
        },
        inline: {
          invoke: {
            src: inline,
            onDone: {
              target: 'done',
              actions: assign({ got: ({ context, event }) => [...context.got, event.output] }),
            },
          },
        },
        done: { type: 'final' },
      },
      output: ({ context }) => ({
        got: context.got,
        tally: (context.tally.getSnapshot() as unknown as { context: unknown }).context,
      }),
    });
  },
  // the second is answered first
  rules: [
    ({ world }) => {
      const call = world.open('twin').at(-1);
      call?.resolve(call.input);
      return call !== undefined;
    },
    answer('xstate.invoke.0.(machine).inline', 'Helena'),
  ],
  end: { type: 'run.completed', output: { got: ['Pollux', 'Castor', 'Helena'], tally: ['Pollux', 'Castor'] } },
};
