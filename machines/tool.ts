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
import { keep, kept } from './kept.ts';
import { chanceOf } from './policy/jitter.ts';
import { judge, type Verdict } from './policy/retry.ts';

/** What one attempt is given; recorded with its begin. */
export interface AttemptInput {
  tool: string;
  attempt: number;
  input: unknown;
  /** What the input schema has made of it, where that was judged: it is not made again. */
  parsed?: unknown;
}

/** What is on record of a call that may need approval: never judged again, so that what was shown is what begins. */
export type Judgement =
  | { type: 'troupe.judged'; parsed: unknown; /** Null: it needs none. */ approval: Omit<Approval, 'input'> | null }
  /** The input schema does not take its input: it never begins. */
  | { type: 'troupe.judged'; error: Failure };

export type ToolEvent =
  /** It has not been judged, and nobody is at it. */
  | { type: 'troupe.judge' }
  /** The owner that was at judging it is gone. */
  | { type: 'troupe.unjudged' }
  | Judgement
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
  parsed: unknown;
  /** Somebody has let it begin again that was in doubt, and what became of it before nobody knows. */
  mayHaveHappened: boolean;
}

const decides = (shown: Approval | undefined, { hash, by }: { hash: string; by: string }): boolean => {
  const approval = kept(shown);
  return approval?.hash === hash && (approval.approvers === null || approval.approvers.includes(by));
};
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

/** An approval is for one call: to make it again takes another. */
const APPROVED_AGAIN = {
  guard: 'mustBeApprovedAgain',
  target: 'awaitingApproval',
  actions: ['again', 'doubted'],
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
      call: kept(approval)?.call,
      ...context,
    });

  const forked = policy.isJudged ? FORKED : {};
  const approvedAgain = policy.isJudged ? [APPROVED_AGAIN] : [];

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
      isRefused: ({ event }) => event.type === 'troupe.judged' && 'error' in kept(event),
      mustBeApproved: ({ event }) => {
        const said = kept(event);
        return said.type === 'troupe.judged' && 'approval' in said && said.approval !== null;
      },
      needsApproval: ({ context }) => context.approval !== undefined,
      beginsAgain: ({ event }) => event.type === 'troupe.resolve' && event.retry === true,
      mustBeApprovedAgain: ({ context, event }) =>
        event.type === 'troupe.resolve' && event.retry === true && context.approval !== undefined,
      mayHaveHappened: ({ context }) => context.mayHaveHappened,
      isAboutThisAgain: ({ context, event }) =>
        context.mayHaveHappened && 'hash' in event && decides(context.approval, event),
      isAboutThis: ({ context, event }) => 'hash' in event && decides(context.approval, event),
      wasIrreversible: ({ event }) => 'effect' in event && event.effect === 'irreversible',
    },
    actions: {
      begin: spawnChild('attempt', {
        id: 'attempt',
        input: ({ context: { attempt, input, parsed } }: { context: ToolCall }) => ({
          tool: id,
          attempt,
          input: kept(input),
          ...(policy.isJudged && { parsed: kept(parsed) }),
        }),
      }),
      abort: stopChild('attempt'),
      failed: assign(({ context, event, self }) => next(context, errorIn(event, context), self)),
      /** Says what comes of its input, by `troupe.judged`. */
      judge: () => {},
      judged: assign(({ event }) => {
        const said = kept(event);
        if (said.type !== 'troupe.judged' || 'error' in said) return {};
        const { parsed, approval } = said;
        return { parsed: keep(parsed), approval: approval === null ? undefined : keep({ ...approval, input: parsed }) };
      }),
      again: assign(({ context }) => ({ attempt: context.attempt + 1 })),
      doubted: assign({ mayHaveHappened: true }),
      /** Tells the tool's module that its service did not answer. */
      reportTimeout: () => {},
    },
  }).createMachine({
    // A dot would part the id of a state.
    id: id.replace('.', '__'),
    context: ({ input }) => ({
      input: policy.isJudged ? keep(input) : input,
      attempt: 1,
      timeoutMs: policy.timeoutMs,
      delayMs: 0,
      error: undefined,
      approval: undefined,
      parsed: undefined,
      mayHaveHappened: false,
    }),
    initial: policy.isJudged ? 'asking' : { target: 'admitting', actions: 'begin' },
    on: { 'troupe.kill': '.killed' },
    states: {
      asking: {
        tags: 'asking',
        meta: { waitsFor: 'what its schema makes of its input, and whether that needs approval' },
        entry: 'judge',
        after: {
          timeout: {
            target: 'failed',
            actions: assign(({ context }) => ({ error: { ...timedOut(context), notPerformed: true as const } })),
          },
        },
        on: {
          'troupe.judge': { actions: 'judge' },
          // It is asked again, with a new deadline.
          'troupe.unjudged': { target: 'asking', reenter: true },
          'troupe.judged': [
            {
              guard: 'isRefused',
              target: 'failed',
              actions: assign(({ event }) => {
                const said = kept(event);
                return { error: 'error' in said ? said.error : undefined };
              }),
            },
            { guard: 'mustBeApproved', target: 'awaitingApproval', actions: 'judged' },
            { target: 'admitting', actions: ['judged', 'begin'] },
          ],
        },
      },
      awaitingApproval: {
        tags: 'awaitingApproval',
        meta: { waitsFor: 'somebody who approves it' },
        after: {
          expiry: [
            // Not to begin it again does not say what became of it before.
            { guard: 'mayHaveHappened', target: 'inDoubt' },
            {
              target: 'failed',
              actions: assign(({ context }) => ({ error: denied(context, 'nobody decided in time', {}) })),
            },
          ],
        },
        on: {
          'troupe.approve': { guard: 'isAboutThis', target: 'admitting', actions: 'begin' },
          'troupe.deny': [
            { guard: 'isAboutThisAgain', target: 'inDoubt' },
            {
              guard: 'isAboutThis',
              target: 'failed',
              actions: assign(({ context, event: { by, reason } }) => ({
                error: denied(context, `${by} denied it (${reason})`, { by, reason }),
              })),
            },
          ],
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
            ...approvedAgain,
            { guard: 'beginsAgain', target: 'admitting', actions: ['again', 'begin'] },
            {
              guard: ({ event }) => event.error !== undefined,
              target: 'failed',
              actions: assign(({ event }) => ({ error: toFailure(event.error) })),
            },
            // Whether it could have given this was asked before it was recorded (`actors/doubts.ts`): a fold asks no schema.
            { guard: ({ event }) => 'output' in event, target: 'succeeded' },
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
