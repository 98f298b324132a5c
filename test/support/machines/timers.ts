import { assign, cancel, fromPromise, raise, sendTo, setup } from 'xstate';
import { say, type Reference } from '../world.ts';

const DAY = 86_400_000;

/** A month away: longer than one timer of the operating system. */
export const patience: Reference = {
  name: 'after 30 days',
  create: () =>
    setup({ delays: { month: 30 * DAY } }).createMachine({
      initial: 'waiting',
      states: { waiting: { after: { month: 'over' } }, over: { type: 'final' } },
    }),
  end: { type: 'run.completed', output: undefined },
};

const alarmClock: Omit<Reference, 'name'> = {
  create: (world) =>
    setup({
      types: {
        context: {} as { rung: string[] },
        events: {} as { type: 'RING'; who: string } | { type: 'TICK' },
        output: {} as string[],
      },
      actors: {
        bell: setup({ types: { events: {} as { type: 'STRIKE' } } }).createMachine({
          on: {
            STRIKE: {
              actions: sendTo(({ self }) => self._parent as NonNullable<typeof self._parent>, {
                type: 'RING',
                who: 'bell',
              }),
            },
          },
        }),
      },
      actions: { note: () => world.act('rung') },
    }).createMachine({
      context: { rung: [] },
      invoke: { src: 'bell', id: 'bell' },
      entry: [
        raise({ type: 'RING', who: 'last' }, { delay: 5000 }),
        raise({ type: 'RING', who: 'cancelled' }, { delay: 2500, id: 'wrong' }),
        sendTo('bell', { type: 'STRIKE' }, { delay: 3000, id: 'right' }),
        raise({ type: 'RING', who: 'middle' }, { delay: 2000 }),
        raise({ type: 'RING', who: 'first' }, { delay: 1000 }),
        cancel('wrong'),
      ],
      initial: 'ringing',
      states: {
        ringing: {
          on: { RING: { actions: [assign({ rung: ({ context, event }) => [...context.rung, event.who] }), 'note'] } },
          always: { guard: ({ context }) => context.rung.length === 4, target: 'over' },
          after: { 100_000: 'over' },
        },
        over: { type: 'final' },
      },
      output: ({ context }) => context.rung,
    }),
  end: { type: 'run.completed', output: ['first', 'middle', 'bell', 'last'] },
};

export const alarms: Reference = {
  ...alarmClock,
  name: 'timers in reverse order of creation, one cancelled, one to a child',
};

export const overdue: Reference = {
  ...alarmClock,
  name: 'the same timers, all overdue at once',
  rules: [
    ({ clock }) => {
      if (clock.nextDue === undefined) return false;
      clock.jump(20_000);
      return true;
    },
  ],
  late: 60_000,
  unlikeXState: 'XState on a jumping clock has its own order',
};

/** A message that cancels a wait; whoever says STOP says it until it is heard. */
export const patienceLost: Reference = {
  name: 'a message that leaves the state a timer and a call were for',
  create: (world) =>
    setup({
      types: { events: {} as { type: 'STOP' }, output: {} as string },
      actors: { slow: fromPromise(({ signal }) => world.call('slow', null, signal)) },
      actions: { note: () => world.act('left') },
    }).createMachine({
      initial: 'waiting',
      states: {
        waiting: {
          invoke: { src: 'slow', onDone: 'over' },
          after: { 1000: 'over' },
          exit: 'note',
          on: { STOP: 'resting' },
        },
        resting: { after: { 100: 'over' } },
        over: { type: 'final' },
      },
      output: () => 'rested',
    }),
  rules: [say('waiting', { type: 'STOP' })],
  end: { type: 'run.completed', output: 'rested' },
};
