import { assign, setup, type PromiseActorLogic } from 'xstate';
import { failure, type Failure } from '../src/protocol/exit.ts';

/** What a module's own `start`, calls and `stop` may take of everybody's time. */
const MODULE_DEADLINES_MS = { starting: 30_000, draining: 30_000, stopping: 5_000 };

export type ModuleEvent =
  | { type: 'module.admit' }
  | { type: 'module.release' }
  | { type: 'troupe.kill' }
  | { type: 'module.drain' };

const overdue = (state: keyof typeof MODULE_DEADLINES_MS) => (): Failure =>
  failure('NetworkError', 'NETWORK', `it is still ${state} after ${MODULE_DEADLINES_MS[state] / 1_000}s`);

/** A module's connection and how many of its calls are under way. It opens when it is started and closes when it is drained. */
export const moduleMachine = setup({
  types: {
    input: {} as { concurrency: number },
    context: {} as { concurrency: number; active: number; error: Failure | undefined },
    events: {} as ModuleEvent,
  },
  actors: {
    connect: {} as PromiseActorLogic<unknown>,
    disconnect: {} as PromiseActorLogic<unknown>,
  },
  delays: MODULE_DEADLINES_MS,
  guards: {
    room: ({ context }) => context.active < context.concurrency,
    idle: ({ context }) => context.active === 0,
    busy: ({ context }) => context.active > 0,
  },
  actions: {
    admit: assign(({ context }) => ({ active: context.active + 1 })),
    release: assign(({ context }) => ({ active: context.active - 1 })),
  },
}).createMachine({
  id: 'module',
  context: ({ input }) => ({ concurrency: input.concurrency, active: 0, error: undefined }),
  initial: 'starting',
  states: {
    starting: {
      meta: { waitsFor: 'its connection' },
      invoke: {
        src: 'connect',
        onDone: 'ready',
        onError: { target: 'failed', actions: assign({ error: ({ event }) => event.error as Failure }) },
      },
      after: { starting: { target: 'failed', actions: assign({ error: overdue('starting') }) } },
      on: { 'module.drain': 'draining', 'troupe.kill': 'stopped' },
    },
    ready: {
      meta: { waitsFor: 'calls' },
      on: {
        'module.admit': { guard: 'room', actions: 'admit' },
        'module.release': { guard: 'busy', actions: 'release' },
        'module.drain': 'draining',
        'troupe.kill': 'stopping',
      },
    },
    draining: {
      meta: { waitsFor: 'the calls under way' },
      always: { guard: 'idle', target: 'stopping' },
      after: { draining: 'stopping' },
      on: { 'module.release': { guard: 'busy', actions: 'release' }, 'troupe.kill': 'stopping' },
    },
    stopping: {
      meta: { waitsFor: 'its connection to close' },
      invoke: { src: 'disconnect', onDone: 'stopped', onError: 'stopped' },
      after: { stopping: 'stopped' },
      on: { 'troupe.kill': 'stopped' },
    },
    stopped: { type: 'final' },
    failed: { type: 'final' },
  },
});
