import { fromPromise, setup } from 'xstate';
import { answer, refuse, type Reference } from '../world.ts';

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
    setup({ types: { output: {} as object } }).createMachine({
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
    setup({
      actors: {
        call: fromPromise(() => world.call('call')),
        idle: fromPromise(({ signal }) => world.call('idle', null, signal)),
      },
    }).createMachine({
      invoke: [{ src: 'idle' }, { src: 'call' }],
    }),
  rules: [refuse('call', () => new RangeError('too far'))],
  end: { type: 'run.failed', error: { name: 'RangeError', message: 'too far' } },
};
