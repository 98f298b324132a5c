import { PlanError } from '../../src/protocol/errors.ts';
import { toFailure, type Exit, type Failure } from '../../src/protocol/exit.ts';
import type { StepScope, StepSpec } from '../../src/protocol/spec.ts';
import { failureOf } from '../calls.ts';
import { at, put, vector, type Vector } from '../vector.ts';
import { argumentsOf } from './arguments.ts';
import { holds } from './condition.ts';

/**
 * Which step of a plan begins when. A turn costs what it changes, however long the plan is.
 *
 * L1. A step is ready once its `needs` are done, its `optional` are settled, and one of its `anyOf` is done, where it has some.
 * L2. It is skipped once that cannot come true any more, or when its `when` says no; what it would have waited for goes on.
 * L3. Ready steps begin in the order they became ready. A call in doubt gives its place up for good.
 * L4. After the first failure that is not forgiven nothing begins and nothing is decided; what runs, ends.
 */

type Role = 'needs' | 'optional' | 'anyOf';

/** What does not change while a plan runs. */
export interface Graph {
  readonly steps: readonly StepSpec[];
  readonly index: ReadonlyMap<string, number>;
  /** By step: who waits for it, and how. */
  readonly dependents: readonly (readonly { step: number; role: Role }[])[];
  readonly concurrency: number;
}

type StepState =
  /** `choices`: of its `anyOf`, how many may still be done; 0 where that is settled. */
  | { status: 'waiting'; missing: number; choices: number }
  | { status: 'ready' }
  | { status: 'running' }
  | { status: 'inDoubt' }
  | { status: 'done'; output: unknown }
  | { status: 'failed'; error: Failure }
  | { status: 'skipped' };

type Settled = Extract<StepState, { status: 'done' | 'failed' | 'skipped' }>;

export interface Schedule {
  readonly input: unknown;
  readonly states: Vector<StepState>;
  /** Steps in the order they became ready: `readied` in all, of which `taken` have begun. */
  readonly ready: Vector<number>;
  readonly readied: number;
  readonly taken: number;
  /** Steps with calls under way, those in doubt among them. */
  readonly running: number;
  readonly inDoubt: number;
  readonly settled: number;
  readonly error: Failure | undefined;
}

export interface Begin {
  readonly step: StepSpec;
  readonly input: unknown;
}

/** @throws PlanError for a step that waits for one that is not there */
export function graphOf(steps: readonly StepSpec[], concurrency: number): Graph {
  const index = new Map(steps.map(({ name }, place) => [name, place]));
  const dependents: { step: number; role: Role }[][] = steps.map(() => []);
  for (const [step, { name, needs, optional = [], anyOf = [] }] of steps.entries())
    for (const [role, names] of Object.entries({ needs, optional, anyOf }) as [Role, readonly string[]][])
      for (const need of names) {
        const others = dependents[index.get(need) ?? -1];
        if (others === undefined)
          throw new PlanError(`Step ${name} waits for ${need}, which is no step.`, { step: name, need });
        others.push({ step, role });
      }
  return { steps, index, dependents, concurrency };
}

/** Nothing has begun; what needs nothing is ready. */
export function scheduled(graph: Graph, input: unknown): Schedule {
  const states = graph.steps.map(({ needs, optional = [], anyOf = [] }): StepState => ({
    status: 'waiting',
    missing: needs.length + optional.length,
    choices: anyOf.length,
  }));
  const none = { readied: 0, taken: 0, running: 0, inDoubt: 0, settled: 0, error: undefined };
  const start: Schedule = { input, states: vector(states), ready: [], ...none };
  const free = graph.steps.flatMap(({ needs, optional, anyOf }, step) =>
    needs.length + (optional?.length ?? 0) + (anyOf?.length ?? 0) === 0 ? [step] : [],
  );
  const open: Open = [];
  return spread(
    graph,
    free.reduce((schedule, step) => decide(graph, schedule, step, open), start),
    open,
  );
}

/** What begins now, in this order. */
export function begin(graph: Graph, schedule: Schedule): { schedule: Schedule; begun: Begin[] } {
  let now = schedule;
  const begun: Begin[] = [];
  while (now.error === undefined && now.taken < now.readied && now.running - now.inDoubt < graph.concurrency) {
    const place = at(now.ready, now.taken) as number;
    const step = graph.steps[place] as StepSpec;
    now = { ...now, taken: now.taken + 1 };
    const made = attempt(() => argumentsOf(step, scopeOf(graph, now, step)));
    if ('error' in made) {
      now = spread(graph, now, [[place, failed(step, made.error, step.each === undefined ? 'input' : 'each')]]);
      continue;
    }
    now = { ...now, states: put(now.states, place, { status: 'running' }), running: now.running + 1 };
    begun.push({ step, input: made.value });
  }
  return { schedule: now, begun };
}

/** A step's call is over. */
export function ended(graph: Graph, schedule: Schedule, name: string, exit: Exit): Schedule {
  const place = graph.index.get(name) as number;
  const wasInDoubt = at(schedule.states, place)?.status === 'inDoubt';
  const left = { running: schedule.running - 1, inDoubt: schedule.inDoubt - (wasInDoubt ? 1 : 0) };
  const state: Settled =
    exit.status === 'succeeded'
      ? { status: 'done', output: exit.output }
      : failed(graph.steps[place] as StepSpec, failureOf(exit));
  return spread(graph, { ...schedule, ...left }, [[place, state]]);
}

/** All that a step still waits for are calls in doubt. It may be said again. */
export function doubted(graph: Graph, schedule: Schedule, name: string): Schedule {
  const place = graph.index.get(name) as number;
  if (at(schedule.states, place)?.status !== 'running') return schedule;
  const states = put(schedule.states, place, { status: 'inDoubt' });
  return { ...schedule, states, inDoubt: schedule.inDoubt + 1 };
}

/** How each step stands, in the order of the plan. */
export const statusesOf = ({ states }: Schedule): StepState['status'][] =>
  states.flatMap((piece) => piece.map(({ status }) => status));

/** The outputs of the steps that are done, by name. */
export const outputsOf = (graph: Graph, { states }: Schedule): StepScope =>
  Object.fromEntries(
    graph.steps.flatMap(({ name }, place) => {
      const state = at(states, place);
      return state?.status === 'done' ? [[name, state.output]] : [];
    }),
  );

const attempt = <T>(made: () => T): { value: T } | { error: unknown } => {
  try {
    return { value: made() };
  } catch (error) {
    return { error };
  }
};

function failed({ name }: StepSpec, error: unknown, where?: string): Settled {
  const cause = toFailure(error);
  const message = where === undefined ? cause.message : `${where}: ${cause.message}`;
  return { status: 'failed', error: { ...cause, message: `Step ${name}: ${message}` } };
}

function scopeOf(graph: Graph, { input, states }: Schedule, { needs, optional = [], anyOf = [] }: StepSpec): StepScope {
  const read = (name: string): [string, unknown] => {
    const state = at(states, graph.index.get(name) as number);
    return [name, state?.status === 'done' ? state.output : undefined];
  };
  return Object.fromEntries([['input', input], ...[...needs, ...optional, ...anyOf].map(read)]);
}

/** Steps that have settled, and what follows from that not seen to yet. */
type Open = [place: number, state: Settled][];

/** All it waited for is there: it is ready, or settled without having begun. */
function decide(graph: Graph, schedule: Schedule, place: number, open: Open): Schedule {
  const step = graph.steps[place] as StepSpec;
  const { when } = step;
  const made = when === undefined ? { value: true } : attempt(() => holds(when, scopeOf(graph, schedule, step)));
  if ('error' in made) return mark(schedule, place, failed(step, made.error, 'when'), open);
  if (!made.value) return mark(schedule, place, { status: 'skipped' }, open);
  return {
    ...schedule,
    states: put(schedule.states, place, { status: 'ready' }),
    ready: put(schedule.ready, schedule.readied, place),
    readied: schedule.readied + 1,
  };
}

/** At once, so that it settles once. */
function mark(schedule: Schedule, place: number, state: Settled, open: Open): Schedule {
  open.push([place, state]);
  return { ...schedule, states: put(schedule.states, place, state) };
}

/** What follows from steps that have settled, for those that wait for them. */
function spread(graph: Graph, schedule: Schedule, open: Open): Schedule {
  let now = schedule;
  // grows while it is walked
  for (const [place, state] of open) {
    const { onFailure = 'fail' } = graph.steps[place] as StepSpec;
    now = { ...now, states: put(now.states, place, state), settled: now.settled + 1 };
    if (state.status === 'failed' && onFailure === 'fail') now = { ...now, error: now.error ?? state.error };
    if (now.error !== undefined) return now;
    const done = state.status === 'done' || (state.status === 'failed' && onFailure === 'continue');
    for (const { step, role } of graph.dependents[place] ?? []) {
      const before = at(now.states, step);
      // Decided already: by another of its `anyOf`, or skipped.
      if (before?.status !== 'waiting') continue;
      const after = waitedFor(before, role, done);
      if (after === 'never') now = mark(now, step, { status: 'skipped' }, open);
      else if (after.missing + after.choices > 0) now = { ...now, states: put(now.states, step, after) };
      else now = decide(graph, now, step, open);
    }
  }
  return now;
}

type Waiting = Extract<StepState, { status: 'waiting' }>;

function waitedFor({ status, missing, choices }: Waiting, role: Role, done: boolean): Waiting | 'never' {
  switch (role) {
    case 'needs':
      return done ? { status, missing: missing - 1, choices } : 'never';
    case 'optional':
      return { status, missing: missing - 1, choices };
    case 'anyOf':
      // The others are of no account any more.
      if (done) return { status, missing, choices: 0 };
      return choices === 1 ? 'never' : { status, missing, choices: Math.max(0, choices - 1) };
  }
}
