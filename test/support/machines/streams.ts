import { from } from 'rxjs';
import { assign, fromCallback, fromEventObservable, fromObservable, sendTo, setup } from 'xstate';
import { recorded } from '../../../actors/durable.ts';
import type { Reference, World } from '../world.ts';

type Item = { type: 'ITEM'; n: number };
const ITEMS = 12;

/** A callback that sends many events at once and skips those that are on record. */
export const feed: Reference = {
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

/** An observable whose snapshots the machine follows, and one whose values are events. */
export const ticks: Reference = {
  name: 'an observable and an event observable',
  create: (world) =>
    setup({
      types: {
        context: {} as { last: number; words: string[]; seen: number[] },
        events: {} as { type: 'WORD'; word: string },
        output: {} as unknown,
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
