import type { AnyActorLogic, AnyStateMachine } from 'xstate';
import { eachMachine } from '../machines/each.ts';
import { planMachine } from '../machines/plan.ts';
import { CONCURRENCY, planCalled } from '../src/define/build.ts';
import { closest } from '../src/define/closest.ts';
import { checkedInput } from '../src/define/input.ts';
import type { AnyPlan } from '../src/define/steps.ts';
import { NotFoundError, ToolNotFoundError } from '../src/protocol/errors.ts';
import type { Module, StepSpec } from '../src/protocol/spec.ts';
import type { ModuleActor } from './module.ts';
import { toolActor, type Caller } from './tool.ts';

type ModuleOf = (module: Module) => ModuleActor;

/** A plan's statechart with the tools, plans and functions that its steps call. @throws ToolNotFoundError, NotFoundError */
export function planActor(plan: AnyPlan, moduleOf: ModuleOf): AnyStateMachine {
  return planMachine(plan.spec).provide({ actors: stepsOf(plan, plan.spec.grants, moduleOf) });
}

/** As a step of another plan, whose grants it cannot widen. The input of a plan that is run itself was checked at the door. */
function planWithin(plan: AnyPlan, grants: readonly string[], moduleOf: ModuleOf): AnyStateMachine {
  const { name, spec, inputSchema } = plan;
  const check = inputSchema && ((input: unknown) => checkedInput(name, inputSchema, input));
  const both = spec.grants.filter((id) => grants.includes(id));
  return planMachine(spec, check).provide({ actors: stepsOf(plan, both, moduleOf) });
}

function stepsOf(plan: AnyPlan, grants: readonly string[], moduleOf: ModuleOf): Record<string, AnyActorLogic> {
  const charts = new Map<string, AnyStateMachine>();
  /** Made once for all the steps that call the same in the same way. */
  const once = (key: readonly unknown[], make: () => AnyStateMachine): AnyStateMachine => {
    const text = JSON.stringify(key);
    const chart = charts.get(text) ?? make();
    charts.set(text, chart);
    return chart;
  };
  const calledBy = ({ name, call, timeoutMs, retry }: StepSpec): { source: string; logic: AnyStateMachine } => {
    switch (call.kind) {
      case 'tool': {
        const caller: Caller = { grants, timeoutMs, retry };
        const logic = once([call, timeoutMs, retry], () => toolCalled(plan, call.tool, caller, moduleOf));
        return { source: call.tool, logic };
      }
      case 'plan': {
        const called = planCalled(plan, call.plan);
        return { source: called.name, logic: once([call], () => planWithin(called, grants, moduleOf)) };
      }
      case 'function':
        return { source: name, logic: functionCalled(plan, name) };
    }
  };
  const logicOf = (step: StepSpec): AnyActorLogic => {
    const { source, logic } = calledBy(step);
    const { name: id, each, concurrency = CONCURRENCY, onFailure = 'fail' } = step;
    if (each === undefined) return logic;
    return eachMachine({ id, call: source, concurrency, onFailure }).provide({ actors: { [source]: logic } });
  };
  return Object.fromEntries(plan.spec.steps.map((step) => [step.name, logicOf(step)]));
}

function toolCalled({ name, tools }: AnyPlan, id: string, caller: Caller, moduleOf: ModuleOf): AnyStateMachine {
  const known = tools.get(id);
  if (known === undefined) {
    const near = closest(id, [...tools.keys()]);
    throw new ToolNotFoundError(
      `Plan ${name} calls ${id}, which is no tool known here; give it to createTroupe({ tools }). Closest: ${near.join(', ') || 'none'}.`,
      { tool: id, closest: near },
    );
  }
  const { tool, module } = known;
  return toolActor(tool, { ...caller, ...(module && { module: { name: module.name, actor: moduleOf(module) } }) });
}

/** The author's own, which no grant speaks of. */
function functionCalled({ name, functions }: AnyPlan, step: string): AnyStateMachine {
  const known = functions.get(step);
  if (known !== undefined) return toolActor(known);
  throw new NotFoundError(`Step ${step} of plan ${name} is a function, which is not known here.`, { plan: name, step });
}
