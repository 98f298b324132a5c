import { assign, emit, setup, type PromiseActorLogic } from 'xstate';
import { failure, toFailure, type CallEnd, type Failure } from '../src/protocol/exit.ts';
import type { BreakerSpec } from '../src/protocol/spec.ts';
import { cools, failedOnce, HEALTHY, isTooMany, noted, reachOf, tripped, type Health } from './policy/breaker.ts';
import {
  joined,
  left,
  MAX_WAITING,
  NO_TRAFFIC,
  released,
  served,
  turnOf,
  type Caller,
  type Limits,
  type Traffic,
} from './policy/traffic.ts';

/** What a module's own `start`, calls and `stop` may take of everybody's time. */
const MODULE_DEADLINES_MS = { starting: 30_000, draining: 30_000, stopping: 5_000 };

/** `now` is in ms, by the clock of whoever sends. */
export type ModuleEvent =
  | ({ type: 'module.admit'; now: number } & Caller)
  | ({ type: 'module.release'; now: number; ended: CallEnd } & Caller)
  /** A call that waits gives its place up. */
  | { type: 'module.leave'; ticket: number }
  /** An attempt was abandoned because it took too long. */
  | { type: 'module.overdue'; now: number; ended: CallEnd }
  /** The rate limit lets another call begin. */
  | { type: 'module.turn'; now: number }
  | { type: 'module.drain' }
  | { type: 'troupe.kill' };

/** Why a call may not begin. */
export type Refusal =
  | { reason: 'overloaded'; waiting: number }
  /** Its start failed. Without `retryAfterMs` the next call starts it again. */
  | { reason: 'notStarted'; error: Failure | undefined; retryAfterMs: number | undefined }
  /** Its breaker is open. `error`: of the last call that failed. */
  | { reason: 'open'; failures: number; error: Failure | undefined; retryAfterMs: number }
  | { reason: 'closed' };

/** Calls that may begin, and those that may not. `turnAt`: when to send `module.turn`, if anybody waits for it. */
export interface ModuleAnswered {
  type: 'module.answered';
  answers: readonly { ticket: number; refusal?: Refusal }[];
  turnAt: number | undefined;
}

export interface ModuleInput {
  /** False: there is nothing to open. */
  connects: boolean;
  limits: Limits;
  breaker: BreakerSpec | undefined;
}

interface ModuleContext extends ModuleInput {
  traffic: Traffic;
  health: Health;
  /** When its last start began; once it is open, since when. */
  since: number;
  /** Of a breaker that is half open: the call that tries; null as long as there is none. */
  trial: number | null | undefined;
  answers: ModuleAnswered['answers'];
  turnAt: number | undefined;
}

/** Undefined in events that have none. */
const fieldsOf = (event: object): Partial<Caller & { now: number; ended: CallEnd }> => event;
const nowIn = (event: object, { since }: ModuleContext): number => fieldsOf(event).now ?? since;
const endIn = (event: object): CallEnd => fieldsOf(event).ended ?? { status: 'abandoned' };
const ticketIn = (event: object): number => fieldsOf(event).ticket ?? 0;

function refusalOf(reason: Refusal['reason'], context: ModuleContext, event: object): Refusal {
  const { traffic, health, breaker } = context;
  const { failures, error } = health;
  const retryAfterMs = Math.max(0, health.coolsUntil - nowIn(event, context));
  switch (reason) {
    case 'overloaded':
      return { reason, waiting: traffic.waiting.length };
    case 'notStarted':
      return { reason, error, retryAfterMs: isTooMany(health, breaker) ? retryAfterMs : undefined };
    case 'open':
      return { reason, failures, error, retryAfterMs };
    case 'closed':
      return { reason };
  }
}

const overdue = (state: keyof typeof MODULE_DEADLINES_MS): Failure =>
  failure('NetworkError', 'NETWORK', `it is still ${state} after ${MODULE_DEADLINES_MS[state] / 1_000}s`);

const refuse = <R extends Refusal['reason']>(as: R) => [{ type: 'refuse', params: { as } }, 'answer'] as const;
const refuseAll = <R extends Refusal['reason']>(as: R) => [{ type: 'refuseAll', params: { as } }, 'answer'] as const;
const GIVE_UP = refuseAll('notStarted');
const BREAK = refuseAll('open');
const CLOSE = refuseAll('closed');
const SERVE = ['serve', 'answer'] as const;

/** A module's connection, the calls that wait for it, and its circuit breaker; shared by the runs of a process. */
export const moduleMachine = setup({
  types: {
    input: {} as ModuleInput,
    context: {} as ModuleContext,
    events: {} as ModuleEvent,
    emitted: {} as ModuleAnswered,
  },
  actors: {
    /** Gives the time when it is open. */
    connect: {} as PromiseActorLogic<number>,
    disconnect: {} as PromiseActorLogic<unknown>,
  },
  delays: MODULE_DEADLINES_MS,
  guards: {
    isFull: ({ context }) => context.traffic.waiting.length >= MAX_WAITING,
    isIdle: ({ context }) => context.traffic.active === 0,
    connects: ({ context }) => context.connects,
    cools: ({ context, event }) => cools(context.health, context.breaker, nowIn(event, context)),
    breaks: ({ context, event }) => isTooMany(noted(context.health, endIn(event)), context.breaker),
    hasTried: ({ context, event }) => context.trial === ticketIn(event),
    hasReached: ({ context, event }) => context.trial === ticketIn(event) && reachOf(endIn(event)) === 'answered',
  },
  actions: {
    join: assign(({ context, event }) => ({ traffic: joined(context.traffic, event as Caller) })),
    leave: assign(({ context, event }) => ({ traffic: left(context.traffic, ticketIn(event)) })),
    release: assign(({ context, event }) => ({ traffic: released(context.traffic, event as Caller) })),
    /** Who may begin, begins. */
    serve: assign(({ context, event }) => {
      const { limits, trial } = context;
      const now = nowIn(event, context);
      const most = trial === undefined ? Infinity : trial === null ? 1 : 0;
      const { granted, traffic } = served(context.traffic, limits, now, most);
      return {
        traffic,
        trial: trial === null ? (granted[0] ?? null) : trial,
        answers: granted.map((ticket) => ({ ticket })),
        turnAt: most === 0 ? undefined : turnOf(traffic, limits, now),
      };
    }),
    started: assign((_, since: number) => ({ since, health: HEALTHY })),
    notStarted: assign(({ context: { health, breaker, since } }, error: Failure) => ({
      health: tripped(failedOnce(health, error), breaker, since),
    })),
    note: assign(({ context, event }) => ({ health: noted(context.health, endIn(event)) })),
    trip: assign(({ context, event }) => ({
      health: tripped(context.health, context.breaker, nowIn(event, context)),
      trial: undefined,
    })),
    try: assign({ trial: null }),
    reset: assign({ trial: undefined }),
    refuse: assign(({ context, event }, { as }: { as: Refusal['reason'] }) => ({
      answers: [{ ticket: ticketIn(event), refusal: refusalOf(as, context, event) }],
    })),
    refuseAll: assign(({ context, event }, { as }: { as: Refusal['reason'] }) => {
      const refusal = refusalOf(as, context, event);
      return {
        traffic: { ...context.traffic, waiting: [] },
        turnAt: undefined,
        answers: context.traffic.waiting.map(({ ticket }) => ({ ticket, refusal })),
      };
    }),
    answer: emit(({ context: { answers, turnAt } }) => ({ type: 'module.answered', answers, turnAt })),
  },
}).createMachine({
  id: 'module',
  context: ({ input }) => ({
    ...input,
    traffic: NO_TRAFFIC,
    health: HEALTHY,
    since: -Infinity,
    trial: undefined,
    answers: [],
    turnAt: undefined,
  }),
  initial: 'idle',
  on: { 'module.leave': { actions: 'leave' } },
  states: {
    idle: {
      meta: { waitsFor: 'its first call, or the next where it did not start' },
      on: {
        'module.admit': [
          { guard: 'cools', actions: refuse('notStarted') },
          { guard: 'connects', target: 'starting', actions: ['join', assign({ since: ({ event }) => event.now })] },
          { target: 'ready', actions: ['join', ...SERVE] },
        ],
        'module.drain': 'stopped',
        'troupe.kill': 'stopped',
      },
    },
    starting: {
      meta: { waitsFor: 'its connection' },
      invoke: {
        src: 'connect',
        onDone: { target: 'ready', actions: [{ type: 'started', params: ({ event }) => event.output }, ...SERVE] },
        onError: {
          target: 'idle',
          actions: [{ type: 'notStarted', params: ({ event }) => toFailure(event.error) }, ...GIVE_UP],
        },
      },
      after: {
        starting: {
          target: 'idle',
          actions: [{ type: 'notStarted', params: overdue('starting') }, ...GIVE_UP],
        },
      },
      on: {
        'module.admit': [{ guard: 'isFull', actions: refuse('overloaded') }, { actions: 'join' }],
        'module.drain': { target: 'draining', actions: CLOSE },
        'troupe.kill': { target: 'stopped', actions: CLOSE },
      },
    },
    ready: {
      initial: 'closed',
      on: {
        'module.admit': [{ guard: 'isFull', actions: refuse('overloaded') }, { actions: ['join', ...SERVE] }],
        'module.leave': { actions: ['leave', ...SERVE] },
        'module.turn': { actions: SERVE },
        'module.drain': { target: 'draining', actions: CLOSE },
        'troupe.kill': { target: 'stopping', actions: CLOSE },
      },
      states: {
        closed: {
          meta: { waitsFor: 'calls' },
          on: {
            'module.release': [
              { guard: 'breaks', target: 'open', actions: ['release', 'note', 'trip', ...BREAK] },
              { actions: ['release', 'note', ...SERVE] },
            ],
            'module.overdue': [
              { guard: 'breaks', target: 'open', actions: ['note', 'trip', ...BREAK] },
              { actions: 'note' },
            ],
          },
        },
        open: {
          meta: { waitsFor: 'a call after its cooldown' },
          on: {
            'module.admit': [
              { guard: 'cools', actions: refuse('open') },
              { target: 'halfOpen', actions: ['try', 'join', ...SERVE] },
            ],
            'module.release': { actions: 'release' },
          },
        },
        halfOpen: {
          meta: { waitsFor: 'the call that tries' },
          on: {
            'module.release': [
              { guard: 'hasReached', target: 'closed', actions: ['release', 'note', 'reset', ...SERVE] },
              { guard: 'hasTried', target: 'open', actions: ['release', 'note', 'trip', ...BREAK] },
              { actions: ['release', ...SERVE] },
            ],
          },
        },
      },
    },
    draining: {
      meta: { waitsFor: 'the calls under way' },
      always: { guard: 'isIdle', target: 'stopping' },
      after: { draining: 'stopping' },
      on: {
        'module.admit': { actions: refuse('closed') },
        'module.release': { actions: 'release' },
        'troupe.kill': 'stopping',
      },
    },
    stopping: {
      meta: { waitsFor: 'its connection to close' },
      invoke: { src: 'disconnect', onDone: 'stopped', onError: 'stopped' },
      after: { stopping: 'stopped' },
      on: { 'troupe.kill': 'stopped' },
    },
    stopped: { type: 'final' },
  },
});
