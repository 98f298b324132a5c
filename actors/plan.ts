import type { AnyActorLogic, AnyStateMachine } from 'xstate';
import { eachMachine } from '../machines/each.ts';
import { planMachine } from '../machines/plan.ts';
import { fansOut } from '../machines/policy/arguments.ts';
import type { PlanSpec, StepSpec } from '../src/protocol/spec.ts';

/** Calls of one step under way at once, where its list has more. */
const CONCURRENCY = 4;

/** A plan's statechart with its tools; `toolOf` gives the machine of a qualified id. */
export function planActor(spec: PlanSpec, toolOf: (id: string) => AnyActorLogic): AnyStateMachine {
  const logicOf = (step: StepSpec): AnyActorLogic =>
    fansOut(step)
      ? eachMachine({ id: step.name, tool: step.tool, concurrency: CONCURRENCY }).provide({
          actors: { [step.tool]: toolOf(step.tool) },
        })
      : toolOf(step.tool);
  return planMachine(spec).provide({
    actors: Object.fromEntries(spec.steps.map((step) => [step.name, logicOf(step)])),
  });
}
