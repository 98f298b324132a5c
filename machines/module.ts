import { assign, setup, type PromiseActorLogic } from 'xstate';
import type { Failure } from '../src/protocol/exit.ts';

export type ModuleEvent =
  | { type: 'module.admit' }
  | { type: 'module.release' }
  | { type: 'troupe.kill' }
  | { type: 'module.drain' };

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
      on: { 'module.release': { guard: 'busy', actions: 'release' }, 'troupe.kill': 'stopping' },
    },
    stopping: {
      meta: { waitsFor: 'its connection to close' },
      invoke: { src: 'disconnect', onDone: 'stopped', onError: 'stopped' },
      on: { 'troupe.kill': 'stopped' },
    },
    stopped: { type: 'final' },
    failed: { type: 'final' },
  },
});
