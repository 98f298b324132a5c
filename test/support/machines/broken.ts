import { assign, fromPromise, setup, type AnyStateMachine } from 'xstate';
import { say, type Reference, type World } from '../world.ts';

const fragile = (world: World): AnyStateMachine =>
  setup({
    types: { events: {} as { type: 'BREAK' }, context: {} as { breaks: number } },
    actors: {
      steady: fromPromise(({ signal }) => world.call('steady', null, signal)),
      inner: setup({ actors: { deep: fromPromise(({ signal }) => world.call('deep', null, signal)) } }).createMachine({
        invoke: { src: 'deep' },
        after: { 60_000: {} },
      }),
    },
    actions: {
      break: () => {
        world.act('break');
        throw Object.assign(new Error('broken'), { code: 'E_BROKEN', cause: new Error('old') });
      },
      after: () => world.act('after the break'),
    },
  }).createMachine({
    context: { breaks: 0 },
    invoke: [{ src: 'steady' }, { src: 'inner' }],
    initial: 'whole',
    states: {
      whole: { after: { 50_000: 'old' }, on: { BREAK: { target: 'torn', actions: [assign({ breaks: 1 }), 'break'] } } },
      torn: { after: { 1000: 'over' } },
      old: {},
      over: { type: 'final' },
    },
  });

export const spill: Reference = {
  pairs: true,
  name: 'an action that throws while children run',
  create: fragile,
  rules: [say('whole', { type: 'BREAK' })],
  loses: {
    what: 'an action runs at most once: what it threw is gone with a process that had not recorded it',
    after: 'message.received',
    end: { type: 'run.completed', output: undefined },
  },
  end: { type: 'run.failed', error: { message: 'broken', code: 'E_BROKEN', cause: { name: 'Error', message: 'old' } } },
};
