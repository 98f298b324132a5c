import { assign, fromPromise, setup } from 'xstate';
import { answer, type Reference } from '../world.ts';

class Money {
  readonly cents: number;
  readonly currency = 'EUR';
  constructor(cents: number) {
    this.cents = cents;
  }
  get euros(): number {
    return this.cents / 100;
  }
}

/** What a call gives back is what it will have given back. */
export const receipt: Reference = {
  name: 'a Date, a Uint8Array and a class instance in an output',
  create: (world) =>
    setup({
      types: { context: {} as { receipt: unknown }, output: {} as object },
      actors: { pay: fromPromise<{ at: Date; total: Money }>(() => world.call('pay')) },
    }).createMachine({
      context: { receipt: null },
      initial: 'paying',
      states: {
        paying: {
          invoke: { src: 'pay', onDone: { target: 'paid', actions: assign({ receipt: ({ event }) => event.output }) } },
        },
        paid: { after: { 10: 'over' } },
        over: { type: 'final' },
      },
      output: ({ context }) => context.receipt as object,
    }),
  rules: [
    answer('pay', () => ({
      at: new Date(1234567890123),
      total: new Money(995),
      bytes: new Uint8Array([1, 2, 3]),
      note: undefined,
      big: 2n ** 60n,
    })),
  ],
  end: {
    type: 'run.completed',
    output: {
      at: new Date(1234567890123),
      total: { cents: 995, currency: 'EUR' },
      bytes: Buffer.from([1, 2, 3]),
      note: undefined,
      big: 2n ** 60n,
    },
  },
};

/** An irreversible call between two harmless ones. */
export const charge: Reference = {
  pairs: true,
  name: 'an irreversible source',
  create: (world) =>
    setup({
      types: { context: {} as { got: unknown[] }, output: {} as unknown[] },
      actors: {
        look: fromPromise(() => world.call('look')),
        charge: fromPromise(() => world.call('charge')),
        thank: fromPromise(() => world.call('thank')),
      },
    }).createMachine({
      context: { got: [] },
      initial: 'looking',
      states: {
        looking: {
          invoke: {
            src: 'look',
            onDone: { target: 'charging', actions: assign({ got: ({ event }) => [event.output] }) },
          },
        },
        charging: {
          invoke: {
            src: 'charge',
            onDone: {
              target: 'thanking',
              actions: assign({ got: ({ context, event }) => [...context.got, event.output] }),
            },
          },
        },
        thanking: {
          invoke: {
            src: 'thank',
            onDone: {
              target: 'over',
              actions: assign({ got: ({ context, event }) => [...context.got, event.output] }),
            },
          },
        },
        over: { type: 'final' },
      },
      output: ({ context }) => context.got,
    }),
  effects: { look: 'read', charge: 'irreversible' },
  rules: [answer('look', 'seen'), answer('charge', 'charged'), answer('thank', 'thanked')],
  decide: { charge: 'charged' },
  end: { type: 'run.completed', output: ['seen', 'charged', 'thanked'] },
};
