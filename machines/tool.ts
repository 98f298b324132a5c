import { assign, setup, type PromiseActorLogic } from 'xstate';
import type { Effect } from '../src/protocol/entry.ts';
import { failure, toFailure, type Exit, type Failure } from '../src/protocol/exit.ts';
import type { ToolPolicy } from '../src/protocol/spec.ts';
import { judge, type Verdict } from './policy/retry.ts';

/** What one attempt is given; recorded with its begin. */
export interface AttemptInput {
  tool: string;
  attempt: number;
  input: unknown;
}

export type ToolEvent =
  /** The gate has let the attempt begin. */
  | { type: 'troupe.admitted' }
  /** The owner that had begun the attempt is gone. */
  | { type: 'troupe.interrupted'; effect: Effect }
  /** One of the three. */
  | { type: 'troupe.resolve'; output?: unknown; error?: Failure; retry?: true }
  | { type: 'troupe.kill' };

export interface ToolCall {
  input: unknown;
  attempt: number;
  timeoutMs: number;
  delayMs: number;
  exit: Exit;
}

const seconds = (ms: number): string => `${ms / 1_000}s`;

/** One call of one tool: the gate, attempts, backoff, doubt. Its output is an `Exit`. */
export function toolMachine(policy: ToolPolicy) {
  const { id, effect, attempts } = policy;
  const timedOut = ({ timeoutMs }: ToolCall): Failure =>
    failure('ToolTimeoutError', 'TOOL_TIMEOUT', `Tool ${id} timed out after ${seconds(timeoutMs)}`, {
      tool: id,
      timeoutMs,
    });
  const verdict = ({ attempt }: ToolCall, error: unknown): Verdict =>
    judge(toFailure(error), { attempt, attempts, effect });
  const failed = (error: unknown): { exit: Exit } => ({ exit: { status: 'failed', error: toFailure(error) } });
  const next = (call: ToolCall, judged: Verdict, error: unknown): Partial<ToolCall> =>
    judged.do === 'retry'
      ? {
          ...failed(error),
          attempt: call.attempt + 1,
          delayMs: judged.delayMs,
          timeoutMs: call.timeoutMs * judged.timeoutFactor,
        }
      : failed(error);

  return setup({
    types: { input: {} as unknown, context: {} as ToolCall, events: {} as ToolEvent, output: {} as Exit },
    actors: { attempt: {} as PromiseActorLogic<unknown, AttemptInput> },
    delays: { timeout: ({ context }) => context.timeoutMs, backoff: ({ context }) => context.delayMs },
    guards: {
      timeoutDoubts: ({ context }) => verdict(context, timedOut(context)).do === 'doubt',
      timeoutRetries: ({ context }) => verdict(context, timedOut(context)).do === 'retry',
      wasIrreversible: ({ event }) => 'effect' in event && event.effect === 'irreversible',
    },
    actions: {
      timedOut: assign(({ context }) => next(context, verdict(context, timedOut(context)), timedOut(context))),
    },
  }).createMachine({
    // A dot would part the id of a state.
    id: id.replace('.', '__'),
    context: ({ input }) => ({
      input,
      attempt: 1,
      timeoutMs: policy.timeoutMs,
      delayMs: 0,
      exit: { status: 'killed' },
    }),
    initial: 'attempting',
    on: { 'troupe.kill': '.killed' },
    states: {
      attempting: {
        id: 'attempting',
        invoke: {
          id: 'attempt',
          src: 'attempt',
          input: ({ context }) => ({ tool: id, attempt: context.attempt, input: context.input }),
          onDone: {
            target: 'succeeded',
            actions: assign(({ event }) => ({ exit: { status: 'succeeded', output: event.output } })),
          },
          onError: [
            {
              guard: ({ context, event }) => verdict(context, event.error).do === 'doubt',
              target: 'inDoubt',
              actions: assign(({ event }) => failed(event.error)),
            },
            {
              guard: ({ context, event }) => verdict(context, event.error).do === 'retry',
              target: 'backingOff',
              actions: assign(({ context, event }) => next(context, verdict(context, event.error), event.error)),
            },
            { target: 'failed', actions: assign(({ event }) => failed(event.error)) },
          ],
        },
        initial: 'admitting',
        states: {
          admitting: { meta: { waitsFor: 'the gate' }, on: { 'troupe.admitted': 'executing' } },
          executing: {
            after: {
              timeout: [
                { guard: 'timeoutDoubts', target: '#inDoubt', actions: 'timedOut' },
                { guard: 'timeoutRetries', target: '#attempting', reenter: true, actions: 'timedOut' },
                { target: '#failed', actions: 'timedOut' },
              ],
            },
            on: {
              'troupe.interrupted': [
                { guard: 'wasIrreversible', target: '#inDoubt' },
                // The same call: it begins again, with a new deadline.
                { target: 'admitting' },
              ],
            },
          },
        },
      },
      backingOff: { after: { backoff: 'attempting' } },
      inDoubt: {
        id: 'inDoubt',
        tags: 'inDoubt',
        meta: { waitsFor: 'somebody who resolves it' },
        on: {
          'troupe.resolve': [
            {
              guard: ({ event }) => event.retry === true,
              target: 'attempting',
              actions: assign(({ context }) => ({ attempt: context.attempt + 1 })),
            },
            {
              guard: ({ event }) => event.error !== undefined,
              target: 'failed',
              actions: assign(({ event }) => failed(event.error)),
            },
            {
              guard: ({ event }) => 'output' in event && policy.accepts(event.output),
              target: 'succeeded',
              actions: assign(({ event }) => ({
                exit: { status: 'succeeded', output: event.output },
              })),
            },
          ],
        },
      },
      succeeded: { type: 'final' },
      failed: { id: 'failed', type: 'final' },
      killed: { type: 'final', entry: assign({ exit: { status: 'killed' } as const }) },
    },
    output: ({ context }) => context.exit,
  });
}
