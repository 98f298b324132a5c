import type { z } from 'zod';
import { milliseconds, type Duration } from '../protocol/duration.ts';
import type { Effect } from '../protocol/entry.ts';
import { NotFoundError, PlanError } from '../protocol/errors.ts';
import { checkId } from '../protocol/ids.ts';
import {
  qualified,
  type AnyTool,
  type Computed,
  type Module,
  type OnFailure,
  type PlanSpec,
  type StepScope,
  type StepSpec,
  type ToolContext,
} from '../protocol/spec.ts';
import { closest } from './closest.ts';
import { EFFECT, eitherOf, FUNCTION, listOf, ONE_TOOL, oneOf, PLAN, TEXT } from './expected.ts';
import { inputSchemaOf } from './input.ts';
import { checkedOptions, mustBe, type Known } from './options.ts';
import type { AnyPlan, Plan } from './steps.ts';
import { zod } from './zod.ts';
import { mustCount, retrySpec, tool, type RetryOptions } from './tool.ts';
import { grantsOf, mustBeFree, mustBeGranted, type Toolbox } from './toolbox.ts';

export const MAX_STEPS = 10_000;
export const TOO_MANY = `A plan has at most ${MAX_STEPS} steps: split it, or use each.`;
export const CONCURRENCY = 4;
/** What references and functions read besides the steps. */
export const RESERVED = ['input', 'item'];

/** What a plan is made of, its steps so far among it. */
export interface Draft {
  name: string;
  version: string;
  inputSchema: z.ZodType | undefined;
  module: Module | undefined;
  concurrency: number;
  input: PlanSpec['input'];
  output: Computed | null;
  steps: readonly StepSpec[];
  tools: Toolbox;
  plans: ReadonlyMap<string, AnyPlan>;
  functions: ReadonlyMap<string, AnyTool>;
}

type Call = AnyTool | AnyPlan | ((given: never, context: ToolContext) => unknown);
interface StepOptions {
  needs?: readonly PropertyKey[];
  optional?: readonly PropertyKey[];
  anyOf?: readonly PropertyKey[];
  when?: (scope: never) => boolean;
  onFailure?: OnFailure;
  input?: (scope: never) => unknown;
  each?: (scope: never) => readonly unknown[];
  concurrency?: number;
  retry?: RetryOptions;
  timeout?: Duration;
  effect?: Effect;
}

const STEP: Known<StepOptions> = {
  needs: listOf(TEXT),
  optional: listOf(TEXT),
  anyOf: listOf(TEXT),
  when: FUNCTION,
  onFailure: oneOf(['fail', 'skip', 'continue'] satisfies OnFailure[]),
  input: FUNCTION,
  each: FUNCTION,
  concurrency: true,
  retry: true,
  timeout: true,
  effect: EFFECT,
};
const CALL = eitherOf(FUNCTION, eitherOf(ONE_TOOL, PLAN));

/** The plan that a draft is; each further step makes another. */
export function build(draft: Draft, parsed: boolean): Plan {
  const { name, version, inputSchema, module, concurrency, input, output, steps, tools, plans, functions } = draft;
  const grants = module === undefined ? [...tools.keys()] : grantsOf(module, tools);
  const spec: PlanSpec = { kind: 'plan', name, version, input, steps, concurrency, grants, output };
  const step = (stepName: string, call: Call, options: StepOptions = {}): unknown =>
    build({ ...draft, ...extended(draft, grants, stepName, call, options) }, false);
  const choosing = (choose: unknown): unknown => {
    mustBe(choose, FUNCTION, `The output of plan ${name}`, 'output');
    return build({ ...draft, output: choose as Computed }, false);
  };
  return {
    kind: 'plan',
    name,
    version,
    spec,
    inputSchema,
    parsed,
    tools,
    plans,
    functions,
    step: step as never,
    output: choosing as never,
  };
}

type Extension = Pick<Draft, 'steps' | 'tools' | 'plans' | 'functions'>;

function extended(draft: Draft, grants: readonly string[], name: string, call: Call, given: StepOptions): Extension {
  const { name: plan, module, steps, tools, plans, functions } = draft;
  checkId(name, 'step name');
  mustBe(call, CALL, `What step ${name} calls`, 'call');
  const options = checkedOptions(given, STEP, `step ${name}`);
  checkStep(draft, name, options);
  const rules = rulesOf(options, name);
  if (typeof call === 'function') {
    const own = functionTool(name, call, options);
    const given: Computed | undefined = options.each === undefined ? (scope: StepScope) => scope : undefined;
    const step: StepSpec = { name, call: { kind: 'function' }, ...rules, ...(given && { input: given }) };
    return { steps: [...steps, step], tools, plans, functions: new Map([...functions, [name, own]]) };
  }
  const tried = triesOf(options, name);
  if (call.kind === 'tool') {
    const { id, box } = place(call, tools, grants);
    if (module !== undefined) mustBeGranted(id, grants, `Plan ${plan}, given module ${module.name},`);
    const step: StepSpec = { name, call: { kind: 'tool', tool: id }, ...rules, ...inputOf(options), ...tried };
    return { steps: [...steps, step], tools: box, plans, functions };
  }
  if (Object.keys(tried).length > 0)
    throw new PlanError(`Plan ${plan}: step ${name} is a plan; give timeout and retry to the steps of ${call.name}.`, {
      plan,
      step: name,
    });
  const step: StepSpec = { name, call: { kind: 'plan', plan: call.name }, ...rules, ...inputOf(options) };
  const known = plans.get(call.name);
  if (known !== undefined && known !== call)
    throw new PlanError(`Plan ${plan} calls two plans named ${call.name}; rename one.`, { plan, step: name });
  return {
    steps: [...steps, step],
    tools: adopted(draft, call, grants),
    plans: new Map([...plans, [call.name, call]]),
    functions,
  };
}

const inputOf = ({ input, each }: StepOptions): Pick<StepSpec, 'input'> =>
  input === undefined && each !== undefined ? {} : { input: (input as Computed | undefined) ?? (() => ({})) };

const triesOf = ({ retry, timeout }: StepOptions, step: string): Pick<StepSpec, 'retry' | 'timeoutMs'> => ({
  ...(retry !== undefined && { retry: retrySpec(retry, `step ${step}`) }),
  ...(timeout !== undefined && { timeoutMs: milliseconds(timeout, `timeout of step ${step}`) }),
});

function rulesOf(options: StepOptions, step: string): Omit<StepSpec, 'name' | 'call'> {
  const { needs = [], optional, anyOf, when, onFailure, each, concurrency } = options;
  return {
    needs: needs.map(String),
    ...(optional && { optional: optional.map(String) }),
    ...(anyOf && { anyOf: anyOf.map(String) }),
    ...(when && { when: when as (scope: StepScope) => boolean }),
    ...(onFailure && { onFailure }),
    ...(each && { each: each as Computed }),
    ...(concurrency !== undefined && { concurrency: mustCount(concurrency, `concurrency of step ${step}`) }),
  };
}

/** A function is a tool of its step alone: its timeout, tries and doubt are those of any call. */
const functionTool = (
  name: string,
  run: (given: never, context: ToolContext) => unknown,
  options: StepOptions,
): AnyTool =>
  tool({
    name,
    description: `What step ${name} does`,
    inputSchema: zod().unknown(),
    effect: options.effect ?? 'idempotent',
    retry: { attempts: 1, ...options.retry },
    ...(options.timeout !== undefined && { timeout: options.timeout }),
    execute: run as (given: unknown, context: ToolContext) => unknown,
  });

/** The id under which a tool is known, one that is granted first; a tool that is not known yet joins under its own name. */
function place(call: AnyTool, box: Toolbox, grants: readonly string[]): { id: string; box: Toolbox } {
  const known = [...grants, ...box.keys()].find((granted) => box.get(granted)?.tool === call);
  if (known !== undefined) return { id: known, box };
  const id = qualified(undefined, call.name);
  mustBeFree(id, box);
  return { id, box: new Map([...box, [id, { tool: call, module: undefined }]]) };
}

/** The plan that a step of `plan` calls. @throws NotFoundError */
export function planCalled(plan: AnyPlan, called: string | PlanSpec): AnyPlan {
  if (typeof called !== 'string') return planFromSpec(called, plan.tools, plan.plans);
  const known = plan.plans.get(called);
  if (known !== undefined) return known;
  throw new NotFoundError(
    `Plan ${plan.name} calls the plan ${called}, which is not known here; give it to createTroupe({ definitions }).`,
    { plan: plan.name, called, closest: closest(called, [...plan.plans.keys()]) },
  );
}

/** A parsed plan again, from the spec that was stored with its run. */
export function planFromSpec(spec: PlanSpec, tools: Toolbox, plans: Draft['plans']): Plan {
  const inputSchema = spec.input === null ? undefined : inputSchemaOf(spec.input);
  const made = build({ ...spec, module: undefined, inputSchema, tools, plans, functions: new Map() }, true);
  return { ...made, spec };
}

/** The tools that a plan's steps call, those of plans within it too. */
function* callsOf(plan: AnyPlan): Iterable<[id: string, entry: ReturnType<Toolbox['get']>]> {
  for (const { call } of plan.spec.steps) {
    if (call.kind === 'tool') yield [call.tool, plan.tools.get(call.tool)];
    if (call.kind === 'plan') yield* callsOf(planCalled(plan, call.plan));
  }
}

/** The tools of a plan that becomes a step: it may reach no more than the plan it is in. @throws NotAllowedError, ValidationError */
export function adopted(
  { name, tools, module }: Pick<Draft, 'name' | 'tools' | 'module'>,
  called: AnyPlan,
  grants: readonly string[],
): Toolbox {
  const box = new Map(tools);
  for (const [id, entry] of callsOf(called)) {
    if (module !== undefined)
      mustBeGranted(id, grants, `Plan ${name}, given module ${module.name}, and so its plan ${called.name}`);
    const known = box.get(id);
    if (entry === undefined || (known?.tool === entry.tool && known.module === entry.module)) continue;
    mustBeFree(id, box);
    box.set(id, entry);
  }
  return box;
}

/** @throws PlanError, ValidationError */
function checkStep(
  { name: plan, steps }: Draft,
  step: string,
  { needs = [], optional = [], anyOf = [] }: StepOptions,
): void {
  if (RESERVED.includes(step) || steps.some(({ name }) => name === step))
    throw new PlanError(`Plan ${plan} has two steps named ${step}, or the name is reserved (${RESERVED.join(', ')}).`, {
      plan,
      step,
    });
  if (steps.length === MAX_STEPS)
    throw new PlanError(`Plan ${plan}: step ${step} is one too many. ${TOO_MANY}`, { plan, step, limit: MAX_STEPS });
  const missing = [...needs, ...optional, ...anyOf].find(
    (need) => steps.findLast(({ name }) => name === need) === undefined,
  );
  if (missing !== undefined)
    throw new PlanError(`Plan ${plan}: step ${step} needs ${String(missing)}, which is no step before it.`, {
      plan,
      step,
      need: String(missing),
    });
}
