import { assign, emit, enqueueActions, fromCallback, fromPromise, fromTransition, log, sendTo, setup, type ActorRef, type Snapshot } from 'xstate';
import { answer, type Reference } from '../world.ts';

type Parent = ActorRef<Snapshot<unknown>, { type: 'PROGRESS' | 'PONG' }>;

/** `self.send` from an action's own async code and, by a reference in its input, from a promise. */
export const letters: Reference = {
  name: 'self.send from async code of an action and of a promise',
  create: (world) =>
    setup({
      types: {
        context: {} as { progress: boolean; got: string | null },
        events: {} as { type: 'PROGRESS' | 'PONG' },
        output: {} as { progress: boolean; got: string | null },
      },
      actors: {
        work: fromPromise<string, { parent: Parent; at: Date }>(async ({ input }) => {
          world.begin('work');
          await world.ask('prepare');
          input.parent.send({ type: 'PROGRESS' });
          return world.ask<string>('work', input.at.toISOString());
        }),
      },
      actions: {
        ping: ({ self }) => {
          world.act('ping');
          void Promise.resolve().then(() => self.send({ type: 'PONG' }));
        },
      },
    }).createMachine({
      context: { progress: false, got: null },
      initial: 'waiting',
      states: {
        // the answer to a ping may be lost in a crash, as it may be anywhere
        waiting: { entry: 'ping', on: { PONG: 'working' }, after: { 1000: 'working' } },
        working: {
          invoke: {
            src: 'work',
            input: ({ self }) => ({ parent: self, at: new Date(0) }),
            onDone: { target: 'done', actions: assign({ got: ({ event }) => event.output }) },
          },
          on: { PROGRESS: { actions: assign({ progress: true }) } },
        },
        done: { type: 'final' },
      },
      output: ({ context }) => context,
    }),
  rules: [answer('prepare', null), answer('work', (at: unknown) => `done ${String(at)}`)],
  end: { type: 'run.completed', output: { progress: true, got: 'done 1970-01-01T00:00:00.000Z' } },
  detour: 'a lost PONG is replaced by the timeout',
};

/** Everything an action can do besides: enqueue, emit, log, an event to a `systemId`, a custom action in between. */
export const clerks: Reference = {
  name: 'enqueueActions, emit, log, systemId and a reducer',
  create: (world) =>
    setup({
      types: {
        context: {} as { n: number },
        events: {} as { type: 'GO' } | { type: 'TOLD'; total: number },
        emitted: {} as { type: 'counted'; n: number },
        output: {} as { n: number; total: number },
      },
      actors: {
        sum: fromTransition((total: number, event: { type: 'ADD'; n: number }) => total + event.n, 0),
        ear: fromCallback<{ type: 'TELL'; total: number }>(({ receive, sendBack }) => {
          world.begin('ear');
          receive(({ total }) => sendBack({ type: 'TOLD', total }));
        }),
      },
      actions: { note: (_, { what }: { what: string }) => world.act(what) },
      guards: { enough: ({ context }) => context.n >= 3 },
    }).createMachine({
      context: { n: 0 },
      invoke: [
        { src: 'sum', id: 'sum', systemId: 'sum' },
        { src: 'ear', id: 'ear', systemId: 'ear' },
      ],
      initial: 'counting',
      states: {
        counting: {
          on: {
            GO: {
              actions: enqueueActions(({ enqueue, check, context }) => {
                enqueue.assign({ n: context.n + 1 });
                enqueue({ type: 'note', params: { what: `counted to ${context.n + 1}` } });
                enqueue.sendTo(({ system }) => system.get('sum'), { type: 'ADD', n: context.n + 1 });
                enqueue(emit({ type: 'counted', n: context.n + 1 }));
                if (check('enough')) enqueue.raise({ type: 'TOLD', total: -1 });
              }),
            },
            TOLD: { target: 'telling' },
          },
          always: { guard: 'enough', target: 'telling' },
        },
        telling: {
          entry: [
            emit({ type: 'counted', n: 0 }),
            log('telling', 'clerks'),
            sendTo('ear', ({ system }) => ({ type: 'TELL', total: (system.get('sum')?.getSnapshot() as { context: number }).context })),
          ],
          on: { TOLD: { target: 'told' } },
          after: { 1000: { target: 'telling', reenter: true } },
        },
        told: { type: 'final' },
      },
      output: ({ context, self }) => ({
        n: context.n,
        total: (self.system.get('sum')?.getSnapshot() as { context: number } | undefined)?.context ?? -1,
      }),
    }),
  rules: [
    (stage) => {
      if (!stage.in('counting')) return false;
      stage.send({ type: 'GO' });
      return true;
    },
  ],
  end: { type: 'run.completed', output: { n: 3, total: 6 } },
  detour: 'it tells again what may not have been heard',
};

/** Children of every birth: two without ids, one of them spawned in `assign`, inline logic, a reducer that is spawned. */
export const twins: Reference = {
  name: 'two spawned children without ids, spawn in assign, inline logic',
  create: (world) => {
    const twin = fromPromise<string, { name: string }>(({ input, signal }) => world.call('twin', input.name, signal));
    const tally = fromTransition((names: readonly string[], event: { type: 'NAME'; name: string }) => [...names, event.name], [] as readonly string[]);
    const inline = fromPromise<string>(() => world.call('xstate.invoke.0.(machine).inline'));
    return setup({
      types: { context: {} as { first: unknown; second: unknown; tally: ActorRef<Snapshot<unknown>, { type: 'NAME'; name: string }>; got: unknown[] }, output: {} as unknown },
      actors: { twin, tally },
    }).createMachine({
      context: ({ spawn }) => ({ first: spawn('twin', { input: { name: 'Castor' } }), second: null, tally: spawn('tally'), got: [] }),
      entry: assign({ second: ({ spawn }) => spawn('twin', { input: { name: 'Pollux' } }) }),
      initial: 'waiting',
      states: {
        waiting: {
          on: {
            'xstate.done.actor.*': {
              actions: [
                assign({ got: ({ context, event }) => [...context.got, (event as unknown as { output: unknown }).output] }),
                sendTo(({ context }) => context.tally, ({ event }) => ({ type: 'NAME', name: (event as unknown as { output: string }).output })),
              ],
            },
          },
          always: { guard: ({ context }) => context.got.length === 2, target: 'inline' },
        },
        inline: {
          invoke: { src: inline, onDone: { target: 'done', actions: assign({ got: ({ context, event }) => [...context.got, event.output] }) } },
        },
        done: { type: 'final' },
      },
      output: ({ context }) => ({ got: context.got, tally: (context.tally.getSnapshot() as unknown as { context: unknown }).context }),
    });
  },
  // the second is answered first
  rules: [
    ({ world }) => {
      const call = world.open('twin').at(-1);
      call?.resolve(call.input);
      return call !== undefined;
    },
    answer('xstate.invoke.0.(machine).inline', 'Helena'),
  ],
  end: { type: 'run.completed', output: { got: ['Pollux', 'Castor', 'Helena'], tally: ['Pollux', 'Castor'] } },
};
