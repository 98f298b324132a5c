import { enqueueActions, setup, type AnyActorLogic, type AnyMachineSnapshot } from 'xstate';
import { toFailure, type Exit } from '../src/protocol/exit.ts';
import type { PlanSpec } from '../src/protocol/spec.ts';
import { endOf, inDoubt, listener, onlyDoubts, type CallEvent } from './calls.ts';
import * as schedules from './policy/schedule.ts';
import { whySkipped } from './policy/skipped.ts';
import { compute } from './policy/template.ts';

interface Progress {
  schedule: schedules.Schedule;
  /** What it comes to when it ends now. */
  exit: Exit;
}

type PlanEvent = CallEvent | { type: 'troupe.kill' };

/**
 * The statechart of one plan. It schedules: each step is an actor of its own, named for the step, spawned when what it needs is there.
 * `check` gives the input as the steps read it; what it throws fails the plan.
 */
export function planMachine(spec: PlanSpec, check: (input: unknown) => unknown = (input) => input) {
  const graph = schedules.graphOf(spec.steps, spec.concurrency);
  return setup({
    types: { input: {} as unknown, context: {} as Progress, events: {} as PlanEvent, output: {} as Exit },
    // Named for the steps.
    actors: {} as Record<string, AnyActorLogic>,
    actions: {
      schedule: enqueueActions(({ context, event, enqueue, self }) => {
        const before = context.schedule;
        const known = 'actorId' in event ? heard(graph, before, event) : before;
        const { schedule, begun } = schedules.begin(graph, known);
        if ('actorId' in event && endOf(event) !== undefined) enqueue.stopChild(event.actorId);
        for (const { step, input } of begun) enqueue.spawnChild(step.name, { id: step.name, input });
        enqueue.assign({ schedule, exit: exitOf(spec, graph, schedule) ?? context.exit });
        if (onlyDoubts(schedule) && !onlyDoubts(before)) enqueue.sendTo(listener({ self }), inDoubt({ self }));
      }),
    },
  }).createMachine({
    id: spec.name,
    // Part of the chart: a plan of other steps is another one.
    meta: { steps: spec.steps },
    context: ({ input }) => ({ schedule: start(graph, check, input), exit: { status: 'killed' } }),
    initial: 'running',
    on: { 'troupe.kill': '.killed' },
    states: {
      running: {
        meta: { waitsFor: 'its steps' },
        entry: 'schedule',
        always: [
          { guard: ({ context }) => context.exit.status === 'succeeded', target: 'completed' },
          { guard: ({ context }) => context.exit.status === 'failed', target: 'failed' },
        ],
        on: {
          'xstate.done.actor.*': { actions: 'schedule' },
          'xstate.error.actor.*': { actions: 'schedule' },
          'troupe.inDoubt': { actions: 'schedule' },
        },
      },
      completed: { type: 'final' },
      failed: { type: 'final' },
      killed: { type: 'final' },
    },
    output: ({ context }) => context.exit,
  });
}

function start(graph: schedules.Graph, check: (input: unknown) => unknown, input: unknown): schedules.Schedule {
  try {
    return schedules.scheduled(graph, check(input));
  } catch (error) {
    return { ...schedules.scheduled({ ...graph, steps: [] }, input), error: toFailure(error) };
  }
}

function heard(graph: schedules.Graph, schedule: schedules.Schedule, event: CallEvent): schedules.Schedule {
  const exit = endOf(event);
  if (exit === undefined) return schedules.doubted(graph, schedule, event.actorId);
  return schedules.ended(graph, schedule, event.actorId, exit);
}

/** Undefined while something may still happen. */
function exitOf({ name, output }: PlanSpec, graph: schedules.Graph, schedule: schedules.Schedule): Exit | undefined {
  const { error, running, settled, input } = schedule;
  if (error !== undefined) return running === 0 ? { status: 'failed', error } : undefined;
  if (settled < graph.steps.length) return undefined;
  const outputs = schedules.outputsOf(graph, schedule);
  try {
    return { status: 'succeeded', output: output === null ? outputs : compute(output, { ...outputs, input }) };
  } catch (thrown) {
    const cause = toFailure(thrown);
    return { status: 'failed', error: { ...cause, message: `The output of plan ${name}: ${cause.message}` } };
  }
}

/** How each step of a plan stands, by name; undefined where the snapshot is of another machine. */
export function standing(snapshot: Partial<AnyMachineSnapshot>): ReadonlyMap<string, string> | undefined {
  const { schedule } = (snapshot.context ?? {}) as Partial<Progress>;
  const { steps } = (snapshot.machine?.root.meta ?? {}) as Partial<PlanSpec>;
  if (schedule === undefined || steps === undefined) return undefined;
  const statuses = schedules.statusesOf(schedule);
  return new Map(steps.map(({ name }, place) => [name, statuses[place] ?? 'waiting']));
}

/** Why the steps that were skipped were, by name. */
export function skipped(snapshot: Partial<AnyMachineSnapshot>): ReadonlyMap<string, string> {
  const { steps = [] } = (snapshot.machine?.root.meta ?? {}) as Partial<PlanSpec>;
  return whySkipped(steps, standing(snapshot) ?? new Map<string, string>());
}
