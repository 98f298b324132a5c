import { assign, fromPromise, setup, spawnChild } from 'xstate';
import { z } from 'zod';
import { charge, durable, toolActor, type Cost } from '../../src/index.ts';

/** Definitions whose calls cost something. */

/** A world that takes calls and answers them when it is told to. */
export class Calls {
  begun = 0;
  readonly #waiting: (() => void)[] = [];

  take(): Promise<void> {
    this.begun += 1;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  answer(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

export const MANY = 100;

/** So many calls at once. */
export function fanOut(calls: Calls, cost: Cost | ((input: number) => Cost), named = 'fan') {
  const machine = setup({
    types: { context: {} as { done: number }, output: {} as number },
    actors: {
      call: fromPromise(async ({ input }: { input: number }) => {
        await calls.take();
        return input;
      }),
    },
  }).createMachine({
    context: { done: 0 },
    initial: 'calling',
    states: {
      calling: {
        entry: Array.from({ length: MANY }, (_, input) => spawnChild('call', { input, id: `c${input}` })),
        on: { 'xstate.done.actor.*': { actions: assign({ done: ({ context }) => context.done + 1 }) } },
        always: { guard: ({ context }) => context.done === MANY, target: 'done' },
      },
      done: { type: 'final' },
    },
    output: ({ context }) => context.done,
  });
  return durable(machine, { name: named, version: '1', costs: { call: cost } });
}

export const bare = { name: 'work', description: 'Works', inputSchema: z.object({}), effect: 'idempotent' } as const;
/** One tool, called so often one after another. */
export function inTurn(work: Parameters<typeof toolActor>[0], times = 1) {
  const machine = setup({
    types: { context: {} as { exits: unknown[] }, output: {} as unknown[] },
    actors: { work: toolActor(work) },
  }).createMachine({
    context: { exits: [] },
    initial: 'working',
    states: {
      working: {
        invoke: {
          src: 'work',
          input: {},
          onDone: [
            {
              guard: ({ context }) => context.exits.length + 1 === times,
              target: 'done',
              actions: assign({ exits: ({ context, event }) => [...context.exits, event.output] }),
            },
            {
              target: 'working',
              reenter: true,
              actions: assign({ exits: ({ context, event }) => [...context.exits, event.output] }),
            },
          ],
        },
      },
      done: { type: 'final' },
    },
    output: ({ context }) => context.exits,
  });
  return durable(machine, { name: 'turns', version: '1' });
}

/** A call that is left after a while, with what it has charged by then. */
export function leaving(charges: Cost, cost: Cost = { tokens: 10 }) {
  const machine = setup({
    types: { events: {} as { type: 'LEAVE' } | { type: 'END' } },
    actors: {
      call: fromPromise(({ self }) => {
        charge(self, charges);
        return new Promise<never>(() => {});
      }),
    },
  }).createMachine({
    initial: 'calling',
    states: {
      calling: { invoke: { src: 'call' }, on: { LEAVE: 'left' } },
      left: { on: { END: 'done' } },
      done: { type: 'final' },
    },
  });
  return durable(machine, { name: 'leaving', version: '1', costs: { call: cost } });
}
