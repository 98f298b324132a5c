import { from } from 'rxjs';
import { assign, fromEventObservable, fromObservable, setup } from 'xstate';
import type { Reference } from '../world.ts';

/** An observable whose snapshots the machine follows, and one whose values are events. */
export const ticks: Reference = {
  pairs: true,
  name: 'an observable and an event observable',
  create: (world) =>
    setup({
      types: {
        context: {} as { last: number; words: string[]; seen: number[] },
        events: {} as { type: 'WORD'; word: string },
        output: {} as object,
      },
      actors: {
        ticks: fromObservable(() => world.stream<{ n: number }>('ticks')),
        words: fromEventObservable(() => world.stream<{ type: 'WORD'; word: string }>('words')),
      },
    }).createMachine({
      context: { last: 0, words: [], seen: [] },
      initial: 'counting',
      states: {
        counting: {
          invoke: {
            src: 'ticks',
            onSnapshot: {
              actions: assign({
                last: ({ event }) => event.snapshot.context?.n ?? 0,
                seen: ({ context, event }) => [...context.seen, event.snapshot.context?.n ?? 0],
              }),
            },
            onDone: 'listening',
          },
        },
        listening: {
          invoke: { src: 'words', onDone: 'over' },
          on: { WORD: { actions: assign({ words: ({ context, event }) => [...context.words, event.word] }) } },
        },
        over: { type: 'final' },
      },
      output: ({ context }) => context,
    }),
  rules: [
    ({ world, context }) => {
      const stream = world.listening<{ n: number }>('ticks');
      const { last } = context() as { last: number };
      if (last < 3) stream?.next({ n: last + 1 });
      else stream?.complete();
      return stream !== undefined;
    },
    ({ world, context }) => {
      const stream = world.listening<{ type: 'WORD'; word: string }>('words');
      const { words } = context() as { words: string[] };
      if (words.length < 2) for (const word of ['one', 'two'].slice(words.length)) stream?.next({ type: 'WORD', word });
      else stream?.complete();
      return stream !== undefined;
    },
  ],
  end: { type: 'run.completed', output: { last: 3, words: ['one', 'two'], seen: [0, 1, 2, 3] } },
};

/** An observable that has said everything before `subscribe` returns; a set, so that saying it again changes nothing. */
export const burst: Reference = {
  name: 'an observable that emits synchronously on subscribe',
  create: (world) =>
    setup({
      types: { context: {} as { last: number }, output: {} as number },
      actors: {
        burst: fromObservable(() => {
          world.begin('burst');
          return from([1, 2, 3]);
        }),
      },
    }).createMachine({
      context: { last: 0 },
      initial: 'reading',
      states: {
        reading: {
          invoke: {
            src: 'burst',
            onSnapshot: { actions: assign({ last: ({ event }) => event.snapshot.context ?? 0 }) },
            onDone: 'read',
          },
        },
        read: { type: 'final' },
      },
      output: ({ context }) => context.last,
    }),
  end: { type: 'run.completed', output: 3 },
};
