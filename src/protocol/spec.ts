import type { z } from 'zod';
import type { Cost, Effect } from './entry.ts';

/** What users define, as data, schemas and pure functions that machines read. What acts (`execute`) stands beside it. */

export interface RetrySpec {
  /** Tries in all, the first included. */
  attempts: number;
  /** Before the second try; it doubles from try to try. */
  delayMs: number;
  /** No backoff is longer; what a service asks for with retry-after may be. */
  maxDelayMs: number;
}

/** Which calls wait until somebody approves them, who may, and for how long: then they count as denied. */
export interface ApprovalSpec {
  needed: (input: unknown) => boolean;
  /** Null: anybody. */
  approvers: readonly string[] | null;
  timeoutMs: number;
}

/** A call that waits for approval. `hash` is of tool, arguments, run and call: a decision about it names it. */
export interface Approval {
  run: string;
  call: string;
  tool: string;
  input: unknown;
  hash: string;
  approvers: readonly string[] | null;
}

/** How an isolated tool is run: each attempt in a process of its own. */
export interface ProcessSpec {
  /** URL of the file whose default export is what `execute` would be. */
  module: string;
  /** What its processes may hold together. */
  memoryBytes: number;
  /** Of what it prints: the last of it, which an error carries. */
  outputBytes: number;
  /** From being told to end, or having answered, to being killed. */
  graceMs: number;
  /** Besides what every process is given. */
  env: Readonly<Record<string, string>>;
}

interface ToolSpec<Input, Output> {
  kind: 'tool';
  name: string;
  description: string;
  /** English phrases that mean this tool, for plans written in words. */
  phrases: readonly string[];
  inputSchema: z.ZodType<unknown, Input>;
  outputSchema: z.ZodType<Output> | undefined;
  effect: Effect;
  /** Of one attempt. */
  timeoutMs: number;
  retry: RetrySpec;
  approval: ApprovalSpec | undefined;
  /** What a call may cost at most: held back from the budget until it has ended. */
  cost: ((input: unknown) => Cost) | undefined;
  /** Calls of this tool under way at once in this process; undefined: as many as its module takes. */
  concurrency: number | undefined;
  readonly types?: { input: (input: Input) => void; output: Output };
}

/** What a tool's `execute` is given besides its input. */
export interface ToolContext {
  /** Aborted on kill, on timeout and when the state that called is left. */
  signal: AbortSignal;
  /** The same for every attempt of one call, and for no other call. */
  idempotencyKey: string;
  /** From 1. */
  attempt: number;
  run: string;
  call: string;
  /** Says what the call has cost, as it learns of it; the sum is what it has cost. @throws BudgetExceededError: it has cost that all the same */
  charge: (cost: Cost) => void;
}

// Whoever calls a tool does not care what its schemas make of what they are given, so only `any` stands for it there.
/* oxlint-disable typescript/no-explicit-any */
/** `Input` is what a caller gives and `Output` what it is given back; `execute` takes what the first schema makes, `Parsed`, and gives what the second takes, `Given`. */
export type Tool<Input, Output, Parsed = any, Given = any> = ToolSpec<Input, Output> &
  (
    | { execute: (input: Parsed, context: ToolContext) => Given | Promise<Given>; process?: undefined }
    | { execute?: undefined; process: ProcessSpec }
  );

export type AnyTool = Tool<any, unknown>;
/* oxlint-enable typescript/no-explicit-any */

/** At most `limit` calls begin within any `perMs`. */
export interface RateSpec {
  limit: number;
  perMs: number;
}

/** After `failures` calls in a row that could not reach the service, none is tried for `cooldownMs`. */
export interface BreakerSpec {
  failures: number;
  cooldownMs: number;
}

/** Tools that share a connection, an allowlist and limits. */
interface ModuleSpec {
  kind: 'module';
  name: string;
  tools: readonly AnyTool[];
  /** Qualified ids (`module.tool`) of tools of others that whoever is given this module may call too. Default: none. */
  allow: readonly string[];
  /** Calls of this module under way at once in this process. */
  concurrency: number;
  rateLimit: RateSpec | undefined;
  breaker: BreakerSpec | undefined;
}

export interface Module extends ModuleSpec {
  /** Opens the connection; called once, before the first call. */
  start: ((options: { signal: AbortSignal }) => unknown) | undefined;
  stop: (() => unknown) | undefined;
}

/** The id a tool is called, allowed and journaled by. */
export const qualified = (module: string | undefined, tool: string): string =>
  module === undefined ? tool : `${module}.${tool}`;

/** What a step's functions and references may read: the plan's `input` and the outputs of the steps it names. */
export type StepScope = Readonly<Record<string, unknown>>;

/** A value with references in it, as data. `from`: a step, or `input`, or within `each` also `item`. */
export type Template =
  | { value: unknown }
  | { from: string; path: readonly (string | number)[] }
  /** The first of them that is there. */
  | { first: readonly Template[] }
  /** Its parts as one text. */
  | { text: readonly Template[] }
  | { list: readonly Template[] }
  | { fields: Readonly<Record<string, Template>> };

/** A typed plan computes by functions, which are pure; a parsed one by data, which is stored with the run. */
export type Computed<T = unknown> = ((scope: StepScope) => T) | Template;

export const TESTS = ['equals', 'not', 'in', 'above', 'atLeast', 'below', 'atMost', 'exists'] as const;
/** Whether a step is to begin, as data. */
export type Condition =
  | { all: readonly Condition[] }
  | { any: readonly Condition[] }
  | { of: Template; test: (typeof TESTS)[number]; operand: Template };

/** What a failed call of a step comes to: the plan fails, the step counts as skipped, or as done without an output. */
export type OnFailure = 'fail' | 'skip' | 'continue';

export interface StepSpec {
  name: string;
  call:
    | { kind: 'tool'; /** Qualified id. */ tool: string }
    /** A plan known by its name, or one that is data itself. */
    | { kind: 'plan'; plan: string | PlanSpec }
    /** The author's own, known by the step's name. */
    | { kind: 'function' };
  /** Begins when these are done; is skipped when one of them is. */
  needs: readonly string[];
  /** Waited for; whether they are done or skipped. */
  optional?: readonly string[];
  /** Begins when the first of these is done; is skipped when all of them are. */
  anyOf?: readonly string[];
  /** False: the step is skipped. */
  when?: ((scope: StepScope) => boolean) | Condition;
  /** One call per item of this list; the step's output is the list of theirs, in this order. */
  each?: Computed;
  /** What a call is given; absent with `each`: the item. */
  input?: Computed;
  /** Calls of one `each` under way at once. */
  concurrency?: number;
  /** Where there is `each`, it is decided for each call. */
  onFailure?: OnFailure;
  /** In place of what its tool says. */
  retry?: Partial<RetrySpec>;
  timeoutMs?: number;
}

/** A field of a plan's input, as a parsed plan declares it. */
export interface FieldSpec {
  type: 'string' | 'number' | 'boolean' | 'list' | 'map' | 'any';
  required: boolean;
}

export interface PlanSpec {
  kind: 'plan';
  name: string;
  version: string;
  /** What its input must be, where that is data; null: nothing is said. */
  input: Readonly<Record<string, FieldSpec>> | null;
  steps: readonly StepSpec[];
  /** Steps under way at once; one with `each`, and a plan, count as one. */
  concurrency: number;
  /** Qualified ids of the tools its calls may reach; nothing else begins. */
  grants: readonly string[];
  /** What it gives, from its input and the outputs of its steps; null: all of these, by name. */
  output: Computed | null;
}

/** What a machine of one tool must know; the tool itself stays with its actor. */
export interface ToolPolicy {
  id: string;
  effect: Effect;
  timeoutMs: number;
  retry: RetrySpec;
  /** What chance is drawn from: of each call its own, and in a fold the same. */
  seed: (self: object) => string;
  /** Calls of it may need approval: before anything of one begins it is on record what its input comes to, and whether it does. */
  isJudged: boolean;
  approvalTimeoutMs: number;
}
