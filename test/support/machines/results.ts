import { assign, fromPromise, setup } from 'xstate';
import { answer, refuse, type Reference, type Rule } from '../world.ts';

/** Both regions count: the order in which a timer and a result entered can be told by the end. */
export const photoFinish: Reference = {
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
            running: { after: { 1000: { target: 'over', actions: [assign({ order: ({ context }) => [...context.order, 'timer'] }), { type: 'note', params: { what: 'timer' } }] } } },
            over: { type: 'final' },
          },
        },
        track: {
          initial: 'running',
          states: {
            running: { invoke: { src: 'runner', onDone: { target: 'over', actions: [assign({ order: ({ context }) => [...context.order, 'result'] }), { type: 'note', params: { what: 'result' } }] } } },
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
            { src: 'hare', onDone: { target: 'giving', actions: [assign({ won: ({ event }) => event.output }), 'note'] } },
            { src: 'tortoise', onDone: { target: 'giving', actions: [assign({ won: ({ event }) => event.output }), 'note'] } },
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
      types: { context: {} as { receipt: unknown }, output: {} as unknown },
      actors: { pay: fromPromise<{ at: Date; total: Money }>(() => world.call('pay')) },
    }).createMachine({
      context: { receipt: null },
      initial: 'paying',
      states: {
        paying: { invoke: { src: 'pay', onDone: { target: 'paid', actions: assign({ receipt: ({ event }) => event.output }) } } },
        paid: { after: { 10: 'over' } },
        over: { type: 'final' },
      },
      output: ({ context }) => context.receipt,
    }),
  rules: [answer('pay', () => ({ at: new Date(1234567890123), total: new Money(995), bytes: new Uint8Array([1, 2, 3]), note: undefined, big: 2n ** 60n }))],
  end: {
    type: 'run.completed',
    output: { at: new Date(1234567890123), total: { cents: 995, currency: 'EUR' }, bytes: Buffer.from([1, 2, 3]), note: undefined, big: 2n ** 60n },
  },
};

/** An irreversible call between two harmless ones. */
export const charge: Reference = {
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
        looking: { invoke: { src: 'look', onDone: { target: 'charging', actions: assign({ got: ({ event }) => [event.output] }) } } },
        charging: { invoke: { src: 'charge', onDone: { target: 'thanking', actions: assign({ got: ({ context, event }) => [...context.got, event.output] }) } } },
        thanking: { invoke: { src: 'thank', onDone: { target: 'over', actions: assign({ got: ({ context, event }) => [...context.got, event.output] }) } } },
        over: { type: 'final' },
      },
      output: ({ context }) => context.got,
    }),
  effects: { look: 'read', charge: 'irreversible' },
  rules: [answer('look', 'seen'), answer('charge', 'charged'), answer('thank', 'thanked')],
  decide: { charge: 'charged' },
  end: { type: 'run.completed', output: ['seen', 'charged', 'thanked'] },
};

/** What cannot be kept fails where it was said. */
export const unkeepable: Reference = {
  name: 'a result that cannot be kept',
  create: (world) =>
    setup({ actors: { map: fromPromise(() => world.call('map')) } }).createMachine({
      initial: 'asking',
      states: { asking: { invoke: { src: 'map', onDone: 'over' } }, over: { type: 'final' } },
    }),
  rules: [answer('map', () => ({ found: new Map([['a', 1]]) }))],
  end: { type: 'run.failed', error: { name: 'ValidationError', code: 'VALIDATION' } },
  unlikeXState: 'plain XState keeps nothing',
};

export const unkeepableEnd: Reference = {
  name: 'an output of the machine itself that cannot be kept',
  create: () =>
    setup({ types: { output: {} as unknown } }).createMachine({
      initial: 'waiting',
      states: { waiting: { after: { 10: 'over' } }, over: { type: 'final' } },
      output: () => new Map(),
    }),
  end: { type: 'run.failed', error: { name: 'ValidationError', code: 'VALIDATION' } },
  unlikeXState: 'plain XState keeps nothing',
};

export const rejected: Reference = {
  name: 'a rejected promise that nobody handles',
  create: (world) =>
    setup({ actors: { call: fromPromise(() => world.call('call')), idle: fromPromise(({ signal }) => world.call('idle', null, signal)) } }).createMachine({
      invoke: [{ src: 'idle' }, { src: 'call' }],
    }),
  rules: [refuse('call', () => new RangeError('too far'))],
  end: { type: 'run.failed', error: { name: 'RangeError', message: 'too far' } },
};
