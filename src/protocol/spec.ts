import type { z } from 'zod';
import type { Effect } from './entry.ts';

/** What users define, as data, schemas and pure functions that machines read. What acts (`execute`) stands beside it. */

interface RetrySpec {
  /** Tries in all, the first included. */
  attempts: number;
}

interface ToolSpec<Input, Output> {
  kind: 'tool';
  name: string;
  description: string;
  /** English phrases that mean this tool, for plans written in words. */
  phrases: readonly string[];
  inputSchema: z.ZodType<Input>;
  outputSchema: z.ZodType<Output> | undefined;
  effect: Effect;
  timeoutMs: number;
  retry: RetrySpec;
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
}

export interface Tool<Input, Output> extends ToolSpec<Input, Output> {
  execute: (input: Input, context: ToolContext) => Output | Promise<Output>;
}

// A tool takes and gives its input type, so only `any` stands for all tools.
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyTool = Tool<any, unknown>;

/** Tools that share a connection, an allowlist and a limit. */
interface ModuleSpec {
  kind: 'module';
  name: string;
  tools: readonly AnyTool[];
  /** Qualified ids (`module.tool`) of tools of others that whoever is given this module may call too. Default: none. */
  allow: readonly string[];
  /** Calls of this module under way at once in this process. */
  concurrency: number;
}

export interface Module extends ModuleSpec {
  /** Opens the connection; called once, before the first call. */
  start: ((options: { signal: AbortSignal }) => unknown) | undefined;
  stop: (() => unknown) | undefined;
}

/** The id a tool is called, allowed and journaled by. */
export const qualified = (module: string | undefined, tool: string): string =>
  module === undefined ? tool : `${module}.${tool}`;

/** What a step's functions may read: the plan's `input` and the outputs of the steps it needs, by name. */
export type StepScope = Readonly<Record<string, unknown>>;

/** Where one field of a tool's input comes from. `field` absent: the whole output. `item`: a field of the list item this call is for. */
export type FieldSource = { value: unknown } | { step: string; field?: string } | { item: string };

/** A typed plan computes its calls' inputs by functions; a parsed one by data, which is stored with the run. */
export type StepArguments =
  | { form: 'function'; input: (scope: StepScope) => unknown }
  /** One call per item, in their order. */
  | { form: 'list'; each: (scope: StepScope) => readonly unknown[] }
  /** `each`: the step whose output is a list, one call per item of it. */
  | { form: 'fields'; fields: Readonly<Record<string, FieldSource>>; each: string | null };

export interface StepSpec {
  name: string;
  /** Qualified id. */
  tool: string;
  needs: readonly string[];
  arguments: StepArguments;
}

export interface PlanSpec {
  kind: 'plan';
  name: string;
  version: string;
  steps: readonly StepSpec[];
  /** Qualified ids of the tools its calls may reach; nothing else begins. */
  grants: readonly string[];
  /** What it gives, from the outputs of its steps; null: all of them, by name. Data has none. */
  output: ((outputs: StepScope) => unknown) | null;
}

/** What a machine of one tool must know; the tool itself stays with its actor. */
export interface ToolPolicy {
  id: string;
  effect: Effect;
  timeoutMs: number;
  attempts: number;
  /** Whether the tool could have given this output: asked of one that is given by hand. */
  accepts: (output: unknown) => boolean;
}
