import {
  assign,
  sendTo,
  setup,
  spawnChild,
  stopChild,
  type DoneActorEvent,
  type ErrorActorEvent,
  type PromiseActorLogic,
} from 'xstate';
import type { Effect } from '../src/protocol/entry.ts';
import { failure, toFailure, type Exit, type Failure } from '../src/protocol/exit.ts';
import type { Approval, ToolPolicy } from '../src/protocol/spec.ts';
import { inDoubt, listener } from './calls.ts';
import { chanceOf } from './policy/jitter.ts';
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
  /** Its run is the copy of another one up to here: what was approved there is not approved here. */
  | { type: 'troupe.forked' }
  /** `hash`: of the call that was shown to whoever decides. */
  | { type: 'troupe.approve'; hash: string; by: string }
  | { type: 'troupe.deny'; hash: string; by: string; reason: string }
  /** One of the three. */
  | { type: 'troupe.resolve'; output?: unknown; error?: Failure; retry?: true }
  | { type: 'troupe.kill' };

export interface ToolCall {
  input: unknown;
  attempt: number;
  timeoutMs: number;
  delayMs: number;
  /** Of the last attempt that failed. */
  error: Failure | undefined;
  /** Without which it does not begin. */
  approval: Approval | undefined;
}

const decides = (approval: Approval | undefined, { hash, by }: { hash: string; by: string }): boolean =>
  approval?.hash === hash && (approval.approvers === null || approval.approvers.includes(by));
const seconds = (ms: number): string => `${ms / 1_000}s`;
const KILLED: Exit = { status: 'killed' };

/** How an attempt ends by itself. */
const OUTCOMES = {
  'xstate.done.actor.attempt': 'succeeded',
  'xstate.error.actor.attempt': [
    { guard: 'doubts', target: 'inDoubt', actions: ['abort', 'failed'] },
    { guard: 'retries', target: 'backingOff', actions: ['abort', 'failed'] },
    { target: 'failed', actions: 'failed' },
  ],
} as const;

/** What was approved in another run is not approved in its fork. */
const FORKED = {
  'troupe.forked': { guard: 'needsApproval', target: 'awaitingApproval', actions: 'abort' },
} as const;

/** One call of one tool: the gate, attempts, backoff, doubt. Its output is an `Exit`. */
export function toolMachine(policy: ToolPolicy) {
  const { id, effect, retry } = policy;
  const timedOut = ({ timeoutMs }: ToolCall): Failure =>
    failure('ToolTimeoutError', 'TOOL_TIMEOUT', `Tool ${id} timed out after ${seconds(timeoutMs)}`, {
      tool: id,
      timeoutMs,
    });
  /** Chance has a say in how long is waited, none in what is done. */
  const verdict = ({ attempt }: ToolCall, error: unknown, chance = 0): Verdict =>
    judge(toFailure(error), { attempt, retry, effect, chance });
  /** Of an attempt that failed, or took too long. */
  const errorIn = (event: object, call: ToolCall): unknown => ('error' in event ? event.error : timedOut(call));
  const next = (call: ToolCall, error: unknown, self: object): Partial<ToolCall> => {
    const judged = verdict(call, error, chanceOf(`${policy.seed(self)}/${call.attempt}`));
    if (judged.do !== 'retry') return { error: judged.do === 'fail' ? judged.error : toFailure(error) };
    return {
      error: toFailure(error),
      attempt: call.attempt + 1,
      delayMs: judged.delayMs,
      timeoutMs: call.timeoutMs * judged.timeoutFactor,
    };
  };

  const denied = ({ approval }: ToolCall, how: string, context: object): Failure =>
    failure('ApprovalDeniedError', 'APPROVAL_DENIED', `Tool ${id} was not approved: ${how}.`, {
      tool: id,
      call: approval?.call,
      ...context,
    });

  const forked = policy.approval === undefined ? {} : FORKED;

  return setup({
    types: {
      input: {} as unknown,
      context: {} as ToolCall,
      events: {} as ToolEvent | DoneActorEvent<unknown, 'attempt'> | ErrorActorEvent<unknown, 'attempt'>,
      output: {} as Exit,
    },
    actors: { attempt: {} as PromiseActorLogic<unknown, AttemptInput> },
    delays: {
      timeout: ({ context }) => context.timeoutMs,
      expiry: policy.approvalTimeoutMs,
      backoff: ({ context }) => context.delayMs,
    },
    guards: {
      doubts: ({ context, event }) => verdict(context, errorIn(event, context)).do === 'doubt',
      retries: ({ context, event }) => verdict(context, errorIn(event, context)).do === 'retry',
      needsApproval: ({ context }) => context.approval !== undefined,
      isAboutThis: ({ context, event }) => 'hash' in event && decides(context.approval, event),
      wasIrreversible: ({ event }) => 'effect' in event && event.effect === 'irreversible',
    },
    actions: {
      begin: spawnChild('attempt', {
        id: 'attempt',
        input: ({ context }: { context: ToolCall }) => ({ tool: id, attempt: context.attempt, input: context.input }),
      }),
      abort: stopChild('attempt'),
      failed: assign(({ context, event, self }) => next(context, errorIn(event, context), self)),
      /** Tells the tool's module that its service did not answer. */
      reportTimeout: () => {},
    },
  }).createMachine({
    // A dot would part the id of a state.
    id: id.replace('.', '__'),
    context: ({ input, self }) => ({
      input,
      attempt: 1,
      timeoutMs: policy.timeoutMs,
      delayMs: 0,
      error: undefined,
      approval: policy.approval?.(input, self),
    }),
    initial: policy.approval === undefined ? { target: 'admitting', actions: 'begin' } : 'asking',
    on: { 'troupe.kill': '.killed' },
    states: {
      asking: {
        always: [
          { guard: 'needsApproval', target: 'awaitingApproval' },
          { target: 'admitting', actions: 'begin' },
        ],
      },
      awaitingApproval: {
        tags: 'awaitingApproval',
        meta: { waitsFor: 'somebody who approves it' },
        after: {
          expiry: {
            target: 'failed',
            actions: assign(({ context }) => ({ error: denied(context, 'nobody decided in time', {}) })),
          },
        },
        on: {
          'troupe.approve': { guard: 'isAboutThis', target: 'admitting', actions: 'begin' },
          'troupe.deny': {
            guard: 'isAboutThis',
            target: 'failed',
            actions: assign(({ context, event: { by, reason } }) => ({
              error: denied(context, `${by} denied it (${reason})`, { by, reason }),
            })),
          },
        },
      },
      admitting: {
        meta: { waitsFor: 'the gate' },
        // A quick attempt ends before its begin is recorded.
        on: { ...OUTCOMES, ...forked, 'troupe.admitted': 'executing' },
      },
      executing: {
        after: {
          timeout: [
            { guard: 'doubts', target: 'inDoubt', actions: ['abort', 'failed', 'reportTimeout'] },
            { guard: 'retries', target: 'admitting', actions: ['abort', 'failed', 'reportTimeout', 'begin'] },
            { target: 'failed', actions: ['failed', 'reportTimeout'] },
          ],
        },
        on: {
          ...OUTCOMES,
          ...forked,
          'troupe.interrupted': [
            { guard: 'wasIrreversible', target: 'inDoubt', actions: 'abort' },
            // The same attempt: it begins again, with a new deadline.
            { target: 'admitting' },
          ],
        },
      },
      backingOff: { after: { backoff: { target: 'admitting', actions: 'begin' } }, on: forked },
      inDoubt: {
        tags: 'inDoubt',
        meta: { waitsFor: 'somebody who resolves it' },
        entry: sendTo(listener, inDoubt),
        on: {
          'troupe.resolve': [
            {
              guard: ({ event }) => event.retry === true,
              target: 'admitting',
              actions: [assign(({ context }) => ({ attempt: context.attempt + 1 })), 'begin'],
            },
            {
              guard: ({ event }) => event.error !== undefined,
              target: 'failed',
              actions: assign(({ event }) => ({ error: toFailure(event.error) })),
            },
            { guard: ({ event }) => 'output' in event && policy.accepts(event.output), target: 'succeeded' },
          ],
        },
      },
      succeeded: {
        type: 'final',
        output: ({ event }): Exit => ({ status: 'succeeded', output: 'output' in event ? event.output : undefined }),
      },
      failed: {
        type: 'final',
        output: ({ context }): Exit => ({ status: 'failed', error: toFailure(context.error) }),
      },
      killed: { type: 'final', output: KILLED },
    },
    // What its end gave.
    output: ({ event }) => event.output as Exit,
  });
}
