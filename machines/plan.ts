import { assign, setup, type AnyActorLogic, type DoneActorEvent } from 'xstate';
import { failure, toFailure, type Exit, type Failure } from '../src/protocol/exit.ts';
import type { PlanSpec, StepScope, StepSpec } from '../src/protocol/spec.ts';
import { argumentsOf } from './policy/arguments.ts';

interface Progress {
  input: unknown;
  outputs: Readonly<Record<string, unknown>>;
  active: number;
  error: Failure | undefined;
  exit: Exit;
}

const chart = setup({
  types: {
    input: {} as unknown,
    context: {} as Progress,
    events: {} as { type: 'troupe.kill' },
    output: {} as Exit,
  },
  // Named for the steps.
  actors: {} as Record<string, AnyActorLogic>,
});

/** The statechart of one plan: a region per step, which waits for its needs. */
export const planMachine = (spec: PlanSpec) =>
  chart.createMachine({
    id: spec.name,
    context: ({ input }) => ({ input, outputs: {}, active: 0, error: undefined, exit: { status: 'killed' } }),
    initial: spec.steps.length === 0 ? 'completed' : 'running',
    on: { 'troupe.kill': '.killed' },
    states: {
      running: {
        type: 'parallel',
        meta: { waitsFor: 'its steps' },
        states: Object.fromEntries(spec.steps.map((step) => [step.name, region(step)])),
        always: { guard: ({ context }) => context.error !== undefined && context.active === 0, target: 'failed' },
        onDone: 'completed',
      },
      completed: { type: 'final', entry: assign({ exit: ({ context }) => outputOf(spec, context.outputs) }) },
      failed: { type: 'final', entry: assign({ exit: ({ context }) => failedWith(context.error) }) },
      killed: { type: 'final' },
    },
    output: ({ context }) => context.exit,
  });

const failedWith = (error: unknown): Exit => ({ status: 'failed', error: toFailure(error) });

function outputOf({ name, output }: PlanSpec, outputs: StepScope): Exit {
  try {
    return { status: 'succeeded', output: output === null ? outputs : output(outputs) };
  } catch (error) {
    const cause = toFailure(error);
    return failedWith({ ...cause, message: `The output of plan ${name}: ${cause.message}` });
  }
}

/** A step: it begins when all it needs is there and nothing has failed; what runs when another fails, ends. */
function region(step: StepSpec) {
  const ready = ({ outputs, error }: Progress): boolean =>
    error === undefined && step.needs.every((need) => Object.hasOwn(outputs, need));
  const refused = (context: Progress): Failure | undefined => {
    try {
      argumentsOf(step, scopeOf(step, context));
      return undefined;
    } catch (error) {
      return inStep(step, error);
    }
  };
  const failed = (context: Progress, error: unknown): Partial<Progress> => ({
    active: context.active - 1,
    error: context.error ?? inStep(step, error),
  });
  return chart.createStateConfig({
    initial: 'waiting',
    states: {
      waiting: {
        meta: { waitsFor: step.needs.length === 0 ? 'nothing' : `steps ${step.needs.join(', ')}` },
        always: [
          {
            guard: ({ context }) => ready(context) && refused(context) !== undefined,
            target: 'failed',
            actions: assign({ error: ({ context }) => refused(context) }),
          },
          {
            guard: ({ context }) => ready(context),
            target: 'running',
            actions: assign(({ context }) => ({ active: context.active + 1 })),
          },
        ],
      },
      running: {
        meta: { waitsFor: `tool ${step.tool}` },
        invoke: {
          id: step.name,
          src: step.name,
          input: ({ context }) => argumentsOf(step, scopeOf(step, context)),
          onDone: [
            {
              guard: ({ event }) => exitOf(event).status === 'succeeded',
              target: 'done',
              actions: assign(({ context, event }) => {
                const exit = exitOf(event);
                return {
                  active: context.active - 1,
                  outputs: { ...context.outputs, [step.name]: exit.status === 'succeeded' ? exit.output : undefined },
                };
              }),
            },
            {
              target: 'failed',
              actions: assign(({ context, event }) => {
                const exit = exitOf(event);
                return failed(
                  context,
                  exit.status === 'failed' ? exit.error : failure('KillSwitchTriggeredError', 'KILLED', 'killed'),
                );
              }),
            },
          ],
          onError: {
            target: 'failed',
            actions: assign(({ context, event }) => failed(context, event.error)),
          },
        },
      },
      done: { type: 'final' },
      // Not final: a plan is done when every step is.
      failed: { meta: { waitsFor: 'the steps that still run' } },
    },
  });
}

const exitOf = ({ output }: DoneActorEvent): Exit => output as Exit;

const scopeOf = ({ needs }: StepSpec, { input, outputs }: Progress): StepScope =>
  Object.fromEntries([['input', input], ...needs.map((need) => [need, outputs[need]])]);

const inStep = ({ name }: StepSpec, error: unknown): Failure => {
  const cause = toFailure(error);
  return { ...cause, message: `Step ${name}: ${cause.message}` };
};
