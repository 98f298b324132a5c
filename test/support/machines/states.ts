import { assign, cancel, fromPromise, raise, sendTo, setup } from 'xstate';
import { answer, say, type Reference } from '../world.ts';

const DAY = 86_400_000;

/** Parallel regions that are left and come back to as they were, one of them around a machine with a timer and a call. */
export const household: Reference = {
  name: 'a child machine with its own `after` in parallel regions with deep history',
  create: (world) => {
    const oven = setup({
      types: { context: {} as { gas: string | null }, output: {} as string },
      actors: { gas: fromPromise<string>(({ signal }) => world.call('gas', null, signal)) },
    }).createMachine({
      id: 'oven',
      context: { gas: null },
      initial: 'lighting',
      states: {
        lighting: { invoke: { src: 'gas', onDone: { target: 'heating', actions: assign({ gas: ({ event }) => event.output }) } } },
        heating: { after: { 2000: 'hot' } },
        hot: { type: 'final' },
      },
      output: ({ context }) => `hot with ${context.gas}`,
    });
    return setup({
      types: { context: {} as { left: boolean; oven: string | null }, events: {} as { type: 'LEAVE' } | { type: 'SERVE' }, output: {} as unknown },
      actors: { oven },
      actions: { note: (_, { what }: { what: string }) => world.act(what) },
    }).createMachine({
      context: { left: false, oven: null },
      initial: 'day',
      states: {
        day: {
          type: 'parallel',
          on: { LEAVE: { target: 'away', actions: assign({ left: true }) } },
          onDone: 'night',
          states: {
            kitchen: {
              initial: 'cold',
              states: {
                cold: { invoke: { src: 'oven', id: 'oven', onDone: { target: 'warm', actions: assign({ oven: ({ event }) => event.output }) } } },
                warm: { entry: { type: 'note', params: { what: 'warm' } }, on: { SERVE: 'served' } },
                served: { type: 'final' },
              },
            },
            garden: {
              initial: 'sun',
              states: {
                sun: { after: { 3000: 'rain' } },
                rain: { entry: { type: 'note', params: { what: 'rain' } }, exit: { type: 'note', params: { what: 'dry' } }, after: { 1000: 'dusk' } },
                dusk: { type: 'final' },
              },
            },
            memory: { type: 'history', history: 'deep' },
          },
        },
        away: { after: { 500: 'day.memory' } },
        night: { type: 'final' },
      },
      output: ({ context }) => context,
    });
  },
  rules: [
    answer('gas', 'methane'),
    (stage) => {
      if (!stage.in({ day: { kitchen: 'warm', garden: 'rain' } })) return false;
      stage.send({ type: (stage.context() as { left: boolean }).left ? 'SERVE' : 'LEAVE' });
      return true;
    },
  ],
  end: { type: 'run.completed', output: { left: true, oven: 'hot with methane' } },
};

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
      types: { context: {} as { rung: string[] }, events: {} as { type: 'RING'; who: string } | { type: 'TICK' }, output: {} as string[] },
      actors: {
        bell: setup({ types: { events: {} as { type: 'STRIKE' } } }).createMachine({
          on: { STRIKE: { actions: sendTo(({ self }) => self._parent as NonNullable<typeof self._parent>, { type: 'RING', who: 'bell' }) } },
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

export const alarms: Reference = { ...alarmClock, name: 'timers in reverse order of creation, one cancelled, one to a child' };

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
