import { assign, fromCallback, sendTo, setup } from 'xstate';
import { recorded } from '../../../actors/self.ts';
import type { Reference, World } from '../world.ts';

type Item = { type: 'ITEM'; n: number };
const ITEMS = 12;

/** A callback that sends many events at once and skips those that are on record. */
export const feed: Reference = {
  pairs: true,
  name: 'a callback of many events that skips what is recorded',
  create: (world: World) =>
    setup({
      types: { context: {} as { items: number[] }, events: {} as Item, output: {} as number[] },
      actors: {
        feed: fromCallback(({ sendBack, self }) => {
          world.begin('feed');
          for (let n = recorded(self).length + 1; n <= ITEMS; n += 1) sendBack({ type: 'ITEM', n });
        }),
      },
    }).createMachine({
      context: { items: [] },
      initial: 'reading',
      states: {
        reading: {
          invoke: { src: 'feed' },
          on: { ITEM: { actions: assign({ items: ({ context, event }) => [...context.items, event.n] }) } },
          always: { guard: ({ context }) => context.items.length === ITEMS, target: 'read' },
        },
        read: { type: 'final' },
      },
      output: ({ context }) => context.items,
    }),
  end: { type: 'run.completed', output: Array.from({ length: ITEMS }, (_, n) => n + 1) },
};

/** A callback that receives and answers; what it heard before a crash it does not hear again, so the machine asks again. */
export const dialogue: Reference = {
  name: 'a callback that receives events',
  create: (world) =>
    setup({
      types: {
        context: {} as { answers: string[] },
        events: {} as { type: 'ANSWER'; question: string },
        output: {} as string[],
      },
      actors: {
        clerk: fromCallback<{ type: 'ASK'; question: string }>(({ sendBack, receive }) => {
          world.begin('clerk');
          receive(({ question }) => sendBack({ type: 'ANSWER', question }));
          return () => world.act('clerk goes');
        }),
      },
    }).createMachine({
      context: { answers: [] },
      invoke: { src: 'clerk', id: 'clerk' },
      initial: 'name',
      states: {
        name: {
          entry: sendTo('clerk', { type: 'ASK', question: 'name' }),
          after: { 1000: { target: 'name', reenter: true } },
          on: { ANSWER: { target: 'age', actions: assign({ answers: ({ event }) => [event.question] }) } },
        },
        age: {
          entry: sendTo('clerk', { type: 'ASK', question: 'age' }),
          after: { 1000: { target: 'age', reenter: true } },
          on: {
            ANSWER: {
              guard: ({ event }) => event.question === 'age',
              target: 'known',
              actions: assign({ answers: ({ context, event }) => [...context.answers, event.question] }),
            },
          },
        },
        known: { type: 'final' },
      },
      output: ({ context }) => context.answers,
    }),
  end: { type: 'run.completed', output: ['name', 'age'] },
  detour: 'it asks again after a crash',
};
