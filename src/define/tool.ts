import type { z } from 'zod';
import { costOf } from '../protocol/amount.ts';
import { milliseconds, type Duration } from '../protocol/duration.ts';
import type { Cost, Effect } from '../protocol/entry.ts';
import { ValidationError } from '../protocol/errors.ts';
import { checkedPrincipal, checkId } from '../protocol/ids.ts';
import { text } from '../protocol/shown.ts';
import type { ApprovalSpec, ProcessSpec, RetrySpec, Tool, ToolContext } from '../protocol/spec.ts';
import {
  EFFECT,
  eitherOf,
  FILE,
  FUNCTION,
  listOf,
  needed,
  PLAIN_OBJECT,
  SCHEMA,
  TEXT,
  type Expected,
} from './expected.ts';
import { mustBeInline, processSpec, type InlineOptions, type ProcessOptions } from './isolation.ts';
import { checkedOptions, type Known } from './options.ts';

export interface RetryOptions {
  /** Tries in all, the first included; 3 by default. */
  attempts?: number;
  /** Before the second try, doubled from try to try; half a second by default. Chance takes up to half of it away. */
  delay?: Duration;
  /** No backoff is longer; 30 seconds by default. What a service asks for may be, up to an hour. */
  maxDelay?: Duration;
}

/** `Input`: what a caller gives; `Parsed`: what its schema makes of it. */
interface Described<Input, Parsed> {
  /** An id, unique among the tools of its module. */
  name: string;
  description: string;
  /** English phrases that mean this tool, for plans written in words. */
  phrases?: readonly string[];
  inputSchema: z.ZodType<Parsed, Input>;
  /** What a call does to the world. `irreversible` by default: never begun twice unasked. */
  effect?: Effect;
  /** Of one attempt; `'30s'` by default. The attempt after one that timed out has twice as long. */
  timeout?: Duration;
  retry?: RetryOptions;
  /**
   * Calls that wait until somebody approves them: all, or those for which this is not false; none by default. It is given what the schema makes of
   * the input: that is asked once, and is on record before anything begins, as `execute` is given it. So the schema must make data. A call for which
   * this throws waits, too; one whose input the schema refuses fails, and nobody is asked.
   */
  needsApproval?: boolean | ((input: Parsed) => boolean);
  /** Who may approve; anybody by default. Only with `needsApproval`. */
  approvers?: readonly string[];
  /** A call that nobody has decided by then counts as denied; `'1d'` by default. */
  approvalTimeout?: Duration;
  /** What a call may cost at most: held back from the budget until it has ended. Pure. */
  cost?: Cost | ((input: Input) => Cost);
  /** Calls of this tool under way at once in this process; as many as its module takes by default. */
  concurrency?: number;
}

/** `Given`: what `execute` gives. */
interface ToolBase<Input, Parsed, Given> extends Described<Input, Parsed>, InlineOptions {
  execute: (input: Parsed, context: ToolContext) => Given | Promise<Given>;
}

export interface ToolOptions<Input, Parsed, Output, Given> extends ToolBase<Input, Parsed, Given> {
  /** What a caller is given back: what it makes of what `execute` gives. */
  outputSchema: z.ZodType<Output, Given>;
}

export interface IsolatedToolOptions<Input, Parsed, Output> extends Described<Input, Parsed>, ProcessOptions {
  /** What a caller is given back: what it makes of what the module gives. Without it nothing is known of that. */
  outputSchema: z.ZodType<Output>;
}

/** Something an agent or a plan may call. @throws ValidationError */
export function tool<Input, Parsed, Output>(
  options: IsolatedToolOptions<Input, Parsed, Output>,
): Tool<Input, Output, Parsed>;
export function tool<Input, Parsed>(
  options: Described<Input, Parsed> & ProcessOptions & { outputSchema?: undefined },
): Tool<Input, unknown, Parsed>;
export function tool<Input, Parsed, Output, Given>(
  options: ToolOptions<Input, Parsed, Output, Given>,
): Tool<Input, Output, Parsed, Given>;
export function tool<Input, Parsed, Output>(
  options: ToolBase<Input, Parsed, Output> & { outputSchema?: undefined },
): Tool<Input, Output, Parsed, Output>;
export function tool(
  given: (ToolBase<unknown, unknown, unknown> | (Described<unknown, unknown> & ProcessOptions)) & {
    outputSchema?: z.ZodType | undefined;
  },
): Tool<unknown, unknown> {
  const options = checkedOptions(given, OPTIONS as Known<typeof given>, 'tool()');
  const { name, description, phrases = [], inputSchema, outputSchema, concurrency } = options;
  const { effect = 'irreversible', timeout = '30s', retry = {} } = options;
  checkId(name, 'tool name');
  const called = `tool ${name}`;
  if (concurrency !== undefined) mustCount(concurrency, `concurrency of ${called}`);
  return {
    kind: 'tool',
    name,
    description,
    phrases,
    inputSchema,
    outputSchema,
    effect,
    timeoutMs: milliseconds(timeout, `timeout of ${called}`),
    retry: { ...DEFAULT_RETRY, ...retrySpec(retry, called) },
    concurrency,
    approval: approvalSpec(options, called),
    cost: costSpec(options.cost, called),
    ...performed(options, called),
  };
}

/** @throws ValidationError */
function performed(
  options: ToolBase<unknown, unknown, unknown> | (Described<unknown, unknown> & ProcessOptions),
  of: string,
): Pick<ToolBase<unknown, unknown, unknown>, 'execute'> | { process: ProcessSpec } {
  if (options.isolation === 'process') return { process: processSpec(options, of) };
  mustBeInline(options, options.execute, of);
  return { execute: options.execute };
}

/** @throws ValidationError */
function costSpec(cost: ToolBase<unknown, unknown, unknown>['cost'], of: string): Tool<unknown, unknown>['cost'] {
  if (cost === undefined || typeof cost === 'function') return cost;
  const fixed = { ...cost };
  costOf(fixed, `cost of ${of}`);
  return constant(fixed);
}

const constant =
  <T>(value: T) =>
  (): T =>
    value;

/** @throws ValidationError */
function approvalSpec(
  {
    needsApproval = false,
    approvers,
    approvalTimeout,
  }: Pick<ToolBase<unknown, unknown, unknown>, 'needsApproval' | 'approvers' | 'approvalTimeout'>,
  of: string,
): ApprovalSpec | undefined {
  if (needsApproval === false) {
    const said = Object.entries({ approvers, approvalTimeout }).find(([, value]) => value !== undefined)?.[0];
    if (said === undefined) return undefined;
    throw invalid(of, `has '${said}' and no needsApproval, so that no call would wait; add needsApproval: true`);
  }
  if (needsApproval !== true && typeof needsApproval !== 'function')
    throw invalid(of, `has a needsApproval that is neither a boolean nor a function: ${text(needsApproval)}`);
  return {
    needed: needsApproval === true ? constant(true) : needsApproval,
    approvers: approvers === undefined ? null : checkedApprovers(approvers, of),
    timeoutMs: milliseconds(approvalTimeout ?? '1d', `approvalTimeout of ${of}`),
  };
}

/** @throws ValidationError */
function checkedApprovers(approvers: unknown, of: string): readonly string[] {
  if (!Array.isArray(approvers) || approvers.length === 0)
    throw invalid(
      of,
      "has approvers that are no list of one and more, as in approvers: ['ana', 'bo']; without it anybody may",
    );
  return approvers.map(checkedPrincipal);
}

const OPTIONS: Readonly<Record<AnyOption, true | Expected>> = {
  name: true,
  description: TEXT,
  phrases: listOf(TEXT),
  inputSchema: needed(SCHEMA),
  outputSchema: SCHEMA,
  effect: EFFECT,
  timeout: true,
  retry: true,
  needsApproval: true,
  approvers: true,
  approvalTimeout: true,
  cost: eitherOf(FUNCTION, PLAIN_OBJECT),
  concurrency: true,
  execute: true,
  isolation: true,
  module: FILE,
  memory: true,
  output: true,
  grace: true,
  env: PLAIN_OBJECT,
};
type AnyOption = keyof ToolOptions<unknown, unknown, unknown, unknown> | keyof ProcessOptions;

const invalid = (of: string, what: string): ValidationError => new ValidationError(`The ${of} ${what}.`, { of });

const RETRY: Known<RetryOptions> = { attempts: true, delay: true, maxDelay: true };
const DEFAULT_RETRY: RetrySpec = { attempts: 3, delayMs: 500, maxDelayMs: 30_000 };

/** What `retry` says, and nothing that it does not. @throws ValidationError */
export function retrySpec(retry: RetryOptions, of: string): Partial<RetrySpec> {
  const { attempts, delay, maxDelay } = checkedOptions(retry, RETRY, `retry of ${of}`);
  const spec: Partial<RetrySpec> = {};
  if (attempts !== undefined) spec.attempts = mustCount(attempts, `retry.attempts of ${of}`);
  if (delay !== undefined) spec.delayMs = milliseconds(delay, `retry.delay of ${of}`);
  if (maxDelay !== undefined) spec.maxDelayMs = milliseconds(maxDelay, `retry.maxDelay of ${of}`);
  return spec;
}

/** @throws ValidationError */
export function mustCount(value: number, what: string): number {
  if (Number.isInteger(value) && value >= 1) return value;
  throw new ValidationError(`The ${what} is ${text(value)}; use a whole number from 1.`, { what, value });
}
