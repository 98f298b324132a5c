import { createHash } from 'node:crypto';
import { fromPromise, type AnyActorRef } from 'xstate';
import { allowed } from '../machines/policy/allowlist.ts';
import { toolMachine, type AttemptInput } from '../machines/tool.ts';
import { NotAllowedError } from '../src/protocol/errors.ts';
import { qualified, type Parsed, type Tool } from '../src/protocol/spec.ts';
import { addressOf, callOf, declareLeaf } from './system.ts';
import type { ModuleActor } from './module.ts';

/** Whose call it is: what it may reach, and the module it goes through. */
export interface Caller {
  /** Undefined where the author has wired the tool into a machine by hand. */
  grants?: readonly string[];
  module?: { name: string; actor: ModuleActor };
}

type Schema = {
  safeParse: (
    value: unknown,
  ) => { success: true; data: unknown } | { success: false; error: { issues: readonly Issue[] } };
};
type Issue = { path: readonly PropertyKey[]; message: string };

const parse = (schema: Schema | undefined, value: unknown): Parsed => {
  if (schema === undefined) return { ok: true, value };
  const result = schema.safeParse(value);
  if (result.success) return { ok: true, value: result.data };
  return {
    ok: false,
    message: result.error.issues
      .map(({ path, message }) => `${path.map(String).join('.') || 'value'}: ${message}`)
      .join('; '),
  };
};

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
    return tool.execute(input.input as Input, {
      signal,
      idempotencyKey: keyOf(run, key),
      attempt: input.attempt,
      run,
      call: key,
    });
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
    parseInput: (value) => parse(tool.inputSchema, value),
    parseOutput: (value) => parse(tool.outputSchema, value),
  }).provide({ actors: { attempt } });
}
