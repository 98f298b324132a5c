import type { z } from 'zod';
import { milliseconds, type Duration } from '../protocol/duration.ts';
import type { Effect } from '../protocol/entry.ts';
import { ValidationError } from '../protocol/errors.ts';
import { checkId } from '../protocol/ids.ts';
import type { Tool, ToolContext } from '../protocol/spec.ts';

export interface ToolOptions<Input, Output> {
  /** An id, unique among the tools of its module. */
  name: string;
  description: string;
  /** English phrases that mean this tool, for plans written in words. */
  phrases?: readonly string[];
  inputSchema: z.ZodType<Input>;
  outputSchema?: z.ZodType<Output>;
  /** What a call does to the world. `irreversible` by default: never begun twice unasked. */
  effect?: Effect;
  /** Of one attempt; `'30s'` by default. */
  timeout?: Duration;
  /** 3 attempts in all by default. */
  retry?: { attempts: number };
  execute: (input: Input, context: ToolContext) => Output | Promise<Output>;
}

/** Something an agent or a plan may call. @throws ValidationError */
export function tool<Input, Output>(options: ToolOptions<Input, Output>): Tool<Input, Output> {
  const {
    name,
    description,
    phrases = [],
    inputSchema,
    outputSchema,
    effect = 'irreversible',
    timeout = '30s',
    retry = { attempts: 3 },
  } = options;
  checkId(name, 'tool name');
  if (!Number.isInteger(retry.attempts) || retry.attempts < 1)
    throw new ValidationError(`Tool ${name}: retry.attempts is ${retry.attempts}; use a whole number from 1.`, {
      tool: name,
      attempts: retry.attempts,
    });
  return {
    kind: 'tool',
    name,
    description,
    phrases,
    inputSchema,
    outputSchema,
    effect,
    timeoutMs: milliseconds(timeout, `timeout of tool ${name}`),
    retry,
    execute: options.execute,
  };
}
