import { assign, sendTo, setup, type AnyActorLogic } from 'xstate';
import type { Exhausted } from '../src/protocol/entry.ts';
import type { Exit, Failure } from '../src/protocol/exit.ts';

/** What the run machine is told. All are `troupe.*`, so that a body's own events stay its own. */
export type RunEvent =
  | { type: 'troupe.start'; paused?: boolean }
  | { type: 'troupe.kill'; reason: string }
  | { type: 'troupe.killed' }
  | { type: 'troupe.pause' }
  | { type: 'troupe.resume' }
  | { type: 'troupe.budgetExceeded'; error: Failure; onExhausted: Exhausted };

export interface RunInput {
  input: unknown;
  /** The body's output is an `Exit` (tools, plans), not the result itself. */
  exits: boolean;
}

/** As an `Exit`, but what was thrown may be any value. */
export type RunExit = Exit | { status: 'failed'; error: unknown };

interface RunContext extends RunInput {
  exit: RunExit | null;
}

const bodyExit = (exits: boolean, output: unknown): RunExit =>
  exits ? (output as Exit) : { status: 'succeeded', output };

/** The lifecycle of every run; `body` is whatever the run is of. */
export const runMachine = setup({
  types: {
    input: {} as RunInput,
    context: {} as RunContext,
    events: {} as RunEvent,
    output: {} as RunExit | null,
  },
  actors: { body: {} as AnyActorLogic },
  actions: {
    exceeded: assign({
      exit: ({ event }) => ({ status: 'failed', error: 'error' in event ? event.error : undefined }),
    }),
  },
}).createMachine({
  id: 'run',
  context: ({ input }): RunContext => ({ ...input, exit: null }),
  initial: 'created',
  states: {
    created: {
      meta: { waitsFor: 'whoever created it to start it' },
      on: {
        'troupe.start': [
          { guard: ({ event }) => event.paused === true, target: '#run.active.paused' },
          { target: 'active' },
        ],
        'troupe.kill': 'killing',
      },
    },
    active: {
      meta: { waitsFor: 'its body' },
      invoke: {
        src: 'body',
        id: 'body',
        input: ({ context }: { context: RunContext }) => context.input,
        onDone: [
          {
            guard: ({ context, event }) => context.exits && (event.output as Exit).status !== 'succeeded',
            target: 'failed',
            actions: assign({ exit: ({ context, event }) => bodyExit(context.exits, event.output) }),
          },
          {
            target: 'completed',
            actions: assign({ exit: ({ context, event }) => bodyExit(context.exits, event.output) }),
          },
        ],
        onError: {
          target: 'failed',
          actions: assign({ exit: ({ event }) => ({ status: 'failed', error: event.error }) }),
        },
      },
      on: {
        'troupe.kill': 'killing',
        'troupe.budgetExceeded': { target: 'failed', actions: 'exceeded' },
      },
      initial: 'running',
      states: {
        running: {
          meta: { waitsFor: 'its body' },
          on: {
            'troupe.pause': 'paused',
            'troupe.budgetExceeded': [
              { guard: ({ event }) => event.onExhausted === 'pause', target: 'paused' },
              {
                guard: ({ event }) => event.onExhausted === 'handBack',
                target: 'wrappingUp',
                actions: sendTo('body', ({ event }) => ({ type: 'troupe.wrapUp', error: event.error })),
              },
              { target: '#run.failed', actions: 'exceeded' },
            ],
          },
        },
        paused: {
          meta: { waitsFor: 'somebody who resumes it' },
          on: {
            'troupe.resume': 'running',
            'troupe.budgetExceeded': [
              // Whoever asked for more asks again when it is resumed.
              { guard: ({ event }) => event.onExhausted !== 'fail' },
              { target: '#run.failed', actions: 'exceeded' },
            ],
          },
        },
        wrappingUp: { meta: { waitsFor: 'its body, which has one last turn without tools' } },
      },
    },
    killing: {
      meta: { waitsFor: 'its calls to end, at most the grace period, which its owner keeps' },
      on: { 'troupe.killed': 'killed', 'troupe.kill': {} },
    },
    completed: { type: 'final' },
    failed: { type: 'final' },
    killed: { type: 'final', entry: assign({ exit: { status: 'killed' } as const }) },
  },
  output: ({ context }) => context.exit,
});
