import type { z } from 'zod';
import { PlanError } from '../protocol/errors.ts';
import { checkId } from '../protocol/ids.ts';
import {
  qualified,
  type AnyTool,
  type Module,
  type PlanSpec,
  type StepArguments,
  type StepScope,
  type StepSpec,
  type Tool,
} from '../protocol/spec.ts';
import type { Definition } from './durable.ts';
import { MAX_STEPS, parseSteps, TOO_MANY } from './parse.ts';
import { grantsOf, mustBeFree, mustBeGranted, toolbox, type Toolbox } from './toolbox.ts';

interface Reach {
  /** Tools and modules its steps are taken from. A typed plan also knows the tools its steps name. */
  tools?: readonly (AnyTool | Module)[];
  /** On whose behalf it runs: it may call this module's tools and what the module allows, nothing else. */
  module?: Module;
}

export interface PlanOptions<Input, Output> extends Reach {
  name: string;
  version?: string;
  inputSchema?: z.ZodType<Input>;
  output?: (outputs: StepScope) => Output;
}

type Outputs = Record<string, unknown>;
type Scope<Input, Done extends Outputs, Needs extends keyof Done> = { readonly [K in Needs]: Done[K] } & {
  readonly input: Input;
};

interface Once<Input, Done extends Outputs, Needs extends keyof Done, ToolInput> {
  /** Steps that must be done before; only their outputs can be read. */
  needs?: readonly Needs[];
  input: (scope: Scope<Input, Done, Needs>) => ToolInput;
}
interface Each<Input, Done extends Outputs, Needs extends keyof Done, ToolInput> {
  needs?: readonly Needs[];
  /** One call per item. The step's output is the list of theirs, in this order. */
  each: (scope: Scope<Input, Done, Needs>) => readonly ToolInput[];
}
interface Bare<Needs> {
  needs?: readonly Needs[];
}

/** Steps, each a call of a tool (or one per item of a list), begun as soon as what they need is there. */
export interface Plan<Input = unknown, Done extends Outputs = Outputs, Output = Done> extends Definition<
  Input,
  Output
> {
  readonly kind: 'plan';
  readonly spec: PlanSpec;
  readonly tools: Toolbox;
  readonly inputSchema: z.ZodType<Input> | undefined;
  /** Its spec is data, which is stored with each run. */
  readonly parsed: boolean;
  step<const Name extends string, ToolInput, ToolOutput, Needs extends keyof Done = never>(
    name: Name,
    tool: Tool<ToolInput, ToolOutput>,
    options: Each<Input, Done, Needs, ToolInput>,
  ): Plan<Input, Done & Record<Name, ToolOutput[]>, Output extends Done ? Done & Record<Name, ToolOutput[]> : Output>;
  step<const Name extends string, ToolInput, ToolOutput, Needs extends keyof Done = never>(
    name: Name,
    tool: Tool<ToolInput, ToolOutput>,
    ...options: object extends ToolInput
      ? [(Once<Input, Done, Needs, ToolInput> | Bare<Needs>)?]
      : [Once<Input, Done, Needs, ToolInput>]
  ): Plan<Input, Done & Record<Name, ToolOutput>, Output extends Done ? Done & Record<Name, ToolOutput> : Output>;
}

type AnyStepOptions = {
  needs?: readonly PropertyKey[];
  input?: (scope: never) => unknown;
  each?: (scope: never) => readonly unknown[];
};

function argumentsOf({ input, each }: AnyStepOptions): StepArguments {
  if (each !== undefined) return { form: 'list', each: each as (scope: StepScope) => readonly unknown[] };
  return { form: 'function', input: (input as ((scope: StepScope) => unknown) | undefined) ?? (() => ({})) };
}

function build(
  options: PlanOptions<unknown, unknown>,
  steps: readonly StepSpec[],
  tools: Toolbox,
  parsed: boolean,
): Plan {
  const { name, version = '1', inputSchema, module, output } = options;
  const grants = module === undefined ? [...tools.keys()] : grantsOf(module, tools);
  const spec: PlanSpec = { kind: 'plan', name, version, steps, grants, output: output ?? null };
  return {
    kind: 'plan',
    name,
    version,
    spec,
    tools,
    inputSchema,
    parsed,
    step(stepName: string, tool: AnyTool, stepOptions: AnyStepOptions = {}) {
      checkStepName(stepName, steps, name);
      if (steps.length === MAX_STEPS)
        throw new PlanError(`Plan ${name}: step ${stepName} is one too many. ${TOO_MANY}`, {
          plan: name,
          step: stepName,
          limit: MAX_STEPS,
        });
      const { id, box } = place(tool, tools, grants);
      if (module !== undefined) mustBeGranted(id, grants, `Plan ${name}, given module ${module.name},`);
      const needs = (stepOptions.needs ?? []).map(String);
      for (const need of needs)
        if (!steps.some((step) => step.name === need))
          throw new PlanError(`Plan ${name}: step ${stepName} needs ${need}, which is no step before it.`, {
            plan: name,
            step: stepName,
            need,
          });
      return build(
        options,
        [...steps, { name: stepName, tool: id, needs, arguments: argumentsOf(stepOptions) }],
        box,
        false,
      ) as never;
    },
  };
}

/** The id under which a tool is known, one that is granted first; a tool that is not known yet joins under its own name. */
function place(tool: AnyTool, box: Toolbox, grants: readonly string[]): { id: string; box: Toolbox } {
  const known = [...grants, ...box.keys()].find((granted) => box.get(granted)?.tool === tool);
  if (known !== undefined) return { id: known, box };
  const id = qualified(undefined, tool.name);
  mustBeFree(id, box);
  return { id, box: new Map([...box, [id, { tool, module: undefined }]]) };
}

const RESERVED = ['input'];

function checkStepName(step: string, steps: readonly StepSpec[], plan: string): void {
  checkId(step, 'step name');
  if (RESERVED.includes(step) || steps.some(({ name }) => name === step))
    throw new PlanError(`Plan ${plan} has two steps named ${step}, or the name is reserved (${RESERVED.join(', ')}).`, {
      plan,
      step,
    });
}

/** A module's own tools are known to whoever is given it. */
const reachOf = ({ tools = [], module }: Reach): Toolbox =>
  toolbox(module === undefined || tools.includes(module) ? tools : [...tools, module]);

function define<Input = unknown, Output = unknown>(
  options: PlanOptions<Input, Output>,
): Plan<Input, Record<never, unknown>, unknown extends Output ? Record<never, unknown> : Output> {
  checkId(options.name, 'plan name');
  const box = reachOf(options);
  return build(options as PlanOptions<unknown, unknown>, [], box, false) as never;
}

export interface ParseOptions extends Reach {
  /** `'plan'` by default. */
  name?: string;
  version?: string;
  /** Named in errors. */
  file?: string;
}

/**
 * A plan from its text: `a. Get all contacts`, `c. Send emails (requires steps a and b)`.
 * @throws PlanError with file, line and column: unknown or ambiguous phrase, unknown step, cycle, a field nothing fills
 */
function parse(text: string, options: ParseOptions): Plan {
  const { name = 'plan', module } = options;
  checkId(name, 'plan name');
  const box = reachOf(options);
  const grants = module === undefined ? [...box.keys()] : grantsOf(module, box);
  const steps = parseSteps(text, { file: options.file, tools: box, grants });
  return build({ ...options, name } as PlanOptions<unknown, unknown>, steps, box, true);
}

export const plan = Object.assign(define, { parse });

/** A parsed plan again, from the spec that was stored with its run. */
export const planFromSpec = (spec: PlanSpec, tools: Toolbox): Plan => ({
  ...build({ name: spec.name, version: spec.version }, spec.steps, tools, true),
  spec,
});
