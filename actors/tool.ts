import { createHash } from 'node:crypto';
import { fromPromise, type AnyActorRef } from 'xstate';
import type { z } from 'zod';
import { allowed } from '../machines/policy/allowlist.ts';
import { toolMachine, type AttemptInput } from '../machines/tool.ts';
import { NotAllowedError, ValidationError } from '../src/protocol/errors.ts';
import { qualified, type Tool } from '../src/protocol/spec.ts';
import { addressOf, callOf, declareLeaf } from './system.ts';
import type { ModuleActor } from './module.ts';

/** Whose call it is: what it may reach, and the module it goes through. */
export interface Caller {
  /** Undefined where the author has wired the tool into a machine by hand. */
  grants?: readonly string[];
  module?: { name: string; actor: ModuleActor };
}

/** Parsed within the attempt, and recorded as parsed: a schema may have defaults, transforms and refinements that are not pure. */
async function parse<T>(schema: z.ZodType<T>, value: unknown, what: string, tool: string): Promise<T> {
  const result = await schema.safeParseAsync(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => `${path.map(String).join('.') || 'value'}: ${message}`);
  throw new ValidationError(`Invalid ${what}: ${issues.join('; ')}`, { tool, issues });
}

const keyOf = (run: string, call: string): string =>
  createHash('sha256').update(`${run}/${call}`).digest('base64url').slice(0, 32);

/** For a plain source of a durable machine: the same each time this call of this run is begun, and for no other call. */
export function idempotencyKey(self: AnyActorRef): string {
  const { run, key } = addressOf(self);
  return keyOf(run, key);
}

/** The statechart of a tool's calls with its effect: an actor source for any machine. */
export function toolActor<Input, Output>(tool: Tool<Input, Output>, caller: Caller = {}) {
  const { effect, timeoutMs, retry } = tool;
  const id = qualified(caller.module?.name, tool.name);
  const attempt = fromPromise<unknown, AttemptInput>(async ({ input, signal, self }) => {
    const { run, key } = callOf(self);
    const parsed = await parse(tool.inputSchema, input.input, 'input', id);
    const output = await tool.execute(parsed, {
      signal,
      idempotencyKey: keyOf(run, key),
      attempt: input.attempt,
      run,
      call: key,
    });
    return tool.outputSchema === undefined ? output : parse(tool.outputSchema, output, `output of ${id}`, id);
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
      return caller.module?.actor.admit();
    },
  });
  return toolMachine({
    id,
    effect,
    timeoutMs,
    attempts: retry.attempts,
    accepts: (output) => accepts(tool.outputSchema, output),
  }).provide({ actors: { attempt } });
}

/** A schema that has to wait is not asked: it cannot be, in a guard. */
function accepts(schema: z.ZodType | undefined, output: unknown): boolean {
  try {
    return schema === undefined || schema.safeParse(output).success;
  } catch {
    return true;
  }
}
