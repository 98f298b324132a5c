import { hash } from 'node:crypto';
import { fromPromise, type AnyActorRef } from 'xstate';
import type { z } from 'zod';
import { allowed } from '../machines/policy/allowlist.ts';
import { toolMachine, type AttemptInput } from '../machines/tool.ts';
import { encode, toData } from '../src/codec.ts';
import { costOf, limitsOf } from '../src/protocol/amount.ts';
import type { Cost } from '../src/protocol/entry.ts';
import { NotAllowedError, ValidationError } from '../src/protocol/errors.ts';
import { qualified, type AnyTool, type ApprovalSpec, type RetrySpec, type ToolPolicy } from '../src/protocol/spec.ts';
import { declareLeaf, type Leaf } from './leaf.ts';
import { poolOf, type ModuleActor } from './module.ts';
import { inProcess } from './process.ts';
import { addressOf, callOf, charge, tracked } from './self.ts';
import { told } from './told.ts';

/** Whose call it is: what it may reach, and the module it goes through. */
export interface Caller {
  /** Undefined where the author has wired the tool into a machine by hand. */
  grants?: readonly string[];
  module?: { name: string; actor: ModuleActor };
  /** What one step asks for instead of what the tool says of itself. */
  timeoutMs?: number | undefined;
  retry?: Partial<RetrySpec> | undefined;
}

/** Parsed within the attempt, and recorded as parsed: a schema may have defaults, transforms and refinements that are not pure. */
async function parse(schema: z.ZodType, value: unknown, what: string, tool: string): Promise<unknown> {
  const result = await schema.safeParseAsync(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => `${path.map(String).join('.') || 'value'}: ${message}`);
  throw new ValidationError(`Invalid ${what}: ${issues.join('; ')}`, { tool, issues });
}

const keyOf = (run: string, call: string): string => hash('sha256', `${run}/${call}`, 'base64url').slice(0, 32);

/** For a plain source of a durable machine: the same each time this call of this run is begun, and for no other call. */
export function idempotencyKey(self: AnyActorRef): string {
  const { run, key } = addressOf(self);
  return keyOf(run, key);
}

/** The statechart of a tool's calls with its effect: an actor source for any machine. */
export function toolActor(tool: AnyTool, caller: Caller = {}) {
  const { effect, inputSchema, outputSchema, cost } = tool;
  const id = qualified(caller.module?.name, tool.name);
  const pool = caller.module?.actor ?? poolOf(tool);
  const isOutput = (output: unknown): boolean => accepts(outputSchema, output);
  const attempt = fromPromise<unknown, AttemptInput>(async ({ input, signal, self }) => {
    const { run, key } = callOf(self);
    const context = {
      signal,
      idempotencyKey: keyOf(run, key),
      attempt: input.attempt,
      run,
      call: key,
      charge: (more: Cost) => charge(self, more),
    };
    try {
      const parsed = await parse(inputSchema, input.input, 'input', id);
      const given =
        tool.process === undefined ? tool.execute(parsed, context) : inProcess(id, tool.process, parsed, context);
      const output = await (given instanceof Promise ? tracked(self, given) : given);
      return outputSchema === undefined ? output : await parse(outputSchema, output, `output of ${id}`, id);
    } catch (error) {
      throw told(error);
    }
  });
  declareLeaf(attempt, {
    effect,
    tool: { id, attempt: (leaf) => attemptOf(leaf).attempt, accepts: isOutput },
    ...(cost && { costs: (leaf) => limitsOf(costOf(cost(attemptOf(leaf).input), `cost of ${id}`)) }),
    admit: () => {
      if (caller.grants !== undefined && !allowed(caller.grants, id))
        throw new NotAllowedError(
          `Tool ${id} may not be called from here; allowed: ${caller.grants.join(', ') || 'none'}. Add it to the allowlist of the module or plan.`,
          {
            tool: id,
            allowed: caller.grants,
          },
        );
      return pool?.admit(tool.name);
    },
  });
  return toolMachine({
    id,
    effect,
    timeoutMs: caller.timeoutMs ?? tool.timeoutMs,
    retry: { ...tool.retry, ...caller.retry },
    seed: (self) => seedOf(self as AnyActorRef),
    approval: tool.approval && approvalOf(tool.approval, inputSchema, id),
    approvalTimeoutMs: tool.approval?.timeoutMs ?? 0,
    accepts: isOutput,
  }).provide({
    actors: { attempt },
    actions: { reportTimeout: ({ context }) => pool?.overdue(context.error) },
  });
}

/** The border: what the chart of a tool gives each attempt of a call. */
const attemptOf = ({ input }: Leaf): AttemptInput => input as AttemptInput;

const seedOf = (self: AnyActorRef): string => {
  const { run, key } = addressOf(self);
  return `${run}/${key}`;
};

/**
 * Judged and shown by what the schema makes of the arguments, which is what the call is made with; bound to the arguments themselves, whatever the order
 * of their keys.
 */
function approvalOf(
  { needed, approvers }: ApprovalSpec,
  inputSchema: z.ZodType,
  tool: string,
): NonNullable<ToolPolicy['approval']> {
  const judge = (input: unknown): { isNeeded: boolean; shown: unknown } => {
    try {
      const parsed = inputSchema.safeParse(input);
      // What does not parse does not begin.
      if (!parsed.success) return { isNeeded: false, shown: input };
      return { isNeeded: needed(parsed.data), shown: parsed.data };
    } catch {
      // A schema that has to wait, or a question that throws: a person judges.
      return { isNeeded: true, shown: input };
    }
  };
  return (input, self) => {
    const { isNeeded, shown } = judge(input);
    if (!isNeeded) return undefined;
    const { run, key: call } = addressOf(self as AnyActorRef);
    const bound = hash('sha256', encode([tool, sorted(toData(input, 'input')), run, call]), 'hex');
    return { run, call, tool, input: kept(shown, input), hash: bound, approvers };
  };
}

/** A schema may make of its input what cannot be kept. */
function kept(shown: unknown, input: unknown): unknown {
  try {
    return toData(shown, 'input');
  } catch {
    return toData(input, 'input');
  }
}

/** With the keys of its plain objects in order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  );
}

/** A schema that has to wait is not asked: it cannot be, in a guard. */
function accepts(schema: z.ZodType | undefined, output: unknown): boolean {
  try {
    return schema === undefined || schema.safeParse(output).success;
  } catch {
    return true;
  }
}
