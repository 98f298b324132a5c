import { hash } from 'node:crypto';
import { fromPromise, type AnyActorRef } from 'xstate';
import type { z } from 'zod';
import { allowed } from '../machines/policy/allowlist.ts';
import { toolMachine, type AttemptInput } from '../machines/tool.ts';
import { asFailure } from '../src/codec.ts';
import { NotAllowedError, ValidationError } from '../src/protocol/errors.ts';
import { httpSays } from '../src/protocol/http.ts';
import { qualified, type AnyTool, type RetrySpec } from '../src/protocol/spec.ts';
import { addressOf, callOf, declareLeaf } from './system.ts';
import { poolOf, type ModuleActor } from './module.ts';

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
  const { effect, inputSchema, outputSchema } = tool;
  const id = qualified(caller.module?.name, tool.name);
  const pool = caller.module?.actor ?? poolOf(tool);
  const attempt = fromPromise<unknown, AttemptInput>(async ({ input, signal, self }) => {
    const { run, key } = callOf(self);
    const context = { signal, idempotencyKey: keyOf(run, key), attempt: input.attempt, run, call: key };
    try {
      const output = await tool.execute(await parse(inputSchema, input.input, 'input', id), context);
      return outputSchema === undefined ? output : await parse(outputSchema, output, `output of ${id}`, id);
    } catch (error) {
      throw told(error);
    }
  });
  declareLeaf(attempt, {
    effect,
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
    accepts: (output) => accepts(outputSchema, output),
  }).provide({
    actors: { attempt },
    actions: { reportTimeout: ({ context }) => pool?.overdue(context.error) },
  });
}

const seedOf = (self: AnyActorRef): string => {
  const { run, key } = addressOf(self);
  return `${run}/${key}`;
};

/** What was thrown, with what it says in HTTP's words: an Error's own `status`, `headers` and `response` are not kept. */
function told(error: unknown): unknown {
  const says = httpSays(error);
  if (Object.keys(says).length === 0) return error;
  const failure = asFailure(error);
  const { data } = failure;
  const isPlain = typeof data === 'object' && data !== null && Object.getPrototypeOf(data) === Object.prototype;
  return { ...failure, data: { ...(isPlain ? data : data !== undefined && { data }), ...says } };
}

/** A schema that has to wait is not asked: it cannot be, in a guard. */
function accepts(schema: z.ZodType | undefined, output: unknown): boolean {
  try {
    return schema === undefined || schema.safeParse(output).success;
  } catch {
    return true;
  }
}
