import type { z } from 'zod';
import { checkId } from '../protocol/ids.ts';
import type { AnyTool, Module, StepScope } from '../protocol/spec.ts';
import { build, CONCURRENCY, type Draft } from './build.ts';
import { parseDocument } from './document.ts';
import { FUNCTION, listOf, MODULE, oneOf, PLAN, SCHEMA, TEXT, TOOL } from './expected.ts';
import { inputSchemaOf } from './input.ts';
import { checkedOptions, mustBe, type Known } from './options.ts';
import { parseSteps } from './parse.ts';
import type { All, AnyPlan, Plan } from './steps.ts';
import { mustCount } from './tool.ts';
import { grantsOf, toolbox, type Toolbox } from './toolbox.ts';

export { planFromSpec } from './build.ts';
export type { Plan } from './steps.ts';

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
  /** Steps under way at once, 4 by default; one with `each`, and a plan, count as one. */
  concurrency?: number;
  /** Of the plan's `input` and the outputs of the steps that are done; by default these outputs by name. Pure. */
  output?: (outputs: StepScope) => Output;
}

const REACH: Known<Reach> = { tools: listOf(TOOL), module: MODULE };

const PLAN_OPTIONS: Known<PlanOptions<unknown, unknown>> = {
  ...REACH,
  name: true,
  version: TEXT,
  inputSchema: SCHEMA,
  concurrency: true,
  output: FUNCTION,
};

function define<Input = unknown, Output = All>(
  given: PlanOptions<Input, Output>,
): Plan<Input, Record<never, unknown>, Output> {
  const options = checkedOptions(given, PLAN_OPTIONS, 'plan()');
  const { name, version = '1', inputSchema, module, concurrency = CONCURRENCY, output = null } = options;
  checkId(name, 'plan name');
  mustCount(concurrency, `concurrency of plan ${name}`);
  const tools = reachOf(options);
  const draft = { ...EMPTY, name, version, inputSchema, module, concurrency, output, tools };
  return build(draft, false) as never;
}

const EMPTY = { input: null, steps: [], plans: new Map(), functions: new Map() } satisfies Partial<Draft>;

/** A module's own tools are known to whoever is given it. */
const reachOf = ({ tools = [], module }: Reach): Toolbox =>
  toolbox(module === undefined || tools.includes(module) ? tools : [...tools, module]);

const FORMATS = ['words', 'yaml', 'json'] as const;
type Format = (typeof FORMATS)[number];

export interface ParseOptions extends Reach {
  /** Where the text gives none; `'plan'` by default. */
  name?: string;
  version?: string;
  /** Named in errors. */
  file?: string;
  /** By default what the file's name ends in says it: .yaml, .yml and .json; anything else is in words. */
  format?: Format;
  /** Plans that steps of a document may call by name. */
  plans?: readonly AnyPlan[];
}

const PARSE_OPTIONS: Known<ParseOptions> = {
  ...REACH,
  name: true,
  version: TEXT,
  file: TEXT,
  format: oneOf(FORMATS),
  plans: listOf(PLAN),
};

/**
 * A plan from its text: in words, `c. Send emails (requires steps a and b)`, or a document in YAML or JSON.
 * @throws PlanError with file, line and column: an unknown step, tool, field or reference, a cycle, a field nothing fills
 */
function parse(text: string, given: ParseOptions): Plan {
  mustBe(text, TEXT, 'What plan.parse() reads', 'text');
  const options = checkedOptions(given, PARSE_OPTIONS, 'plan.parse()');
  const { name = 'plan', version = '1', file, module } = options;
  checkId(name, 'plan name');
  const tools = reachOf(options);
  const grants = module === undefined ? [...tools.keys()] : grantsOf(module, tools);
  const plans = new Map((options.plans ?? []).map((known) => [known.name, known]));
  const format = options.format ?? formatOf(file);
  const draft = {
    ...EMPTY,
    name,
    version,
    inputSchema: undefined,
    module,
    concurrency: CONCURRENCY,
    output: null,
    tools,
    plans,
  };
  if (format === 'words') return build({ ...draft, steps: parseSteps(text, { file, tools, grants }) }, true);
  const read = parseDocument(text, { file, json: format === 'json', name, version, tools, grants, module, plans });
  const { input } = read.spec;
  return build(
    { ...draft, ...read.spec, tools: read.tools, inputSchema: input === null ? undefined : inputSchemaOf(input) },
    true,
  );
}

function formatOf(file = ''): Format {
  if (/\.ya?ml$/i.test(file)) return 'yaml';
  return /\.json$/i.test(file) ? 'json' : 'words';
}

export const plan = Object.assign(define, { parse });
