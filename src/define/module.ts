import { ValidationError } from '../protocol/errors.ts';
import { checkId } from '../protocol/ids.ts';
import type { AnyTool, Module } from '../protocol/spec.ts';

export interface ModuleOptions {
  name: string;
  tools: readonly AnyTool[];
  /** Qualified ids (`module.tool`) of other modules' tools that whoever is given this module may call too. Nothing by default. */
  allow?: readonly string[];
  /** Calls under way at once in this process; 4 by default. */
  concurrency?: number;
  /** Opens the connection, before the first call. */
  start?: Module['start'];
  /** Closes it. */
  stop?: Module['stop'];
}

const QUALIFIED = /^[A-Za-z0-9_-]{1,128}\.[A-Za-z0-9_-]{1,128}$/;
const MODEL_NAME_LIMIT = 64;

/** Tools that share a connection, an allowlist and a limit. @throws ValidationError */
export function module({ name, tools, allow = [], concurrency = 4, start, stop }: ModuleOptions): Module {
  checkId(name, 'module name');
  const names = new Set<string>();
  for (const tool of tools) {
    if (names.has(tool.name))
      throw new ValidationError(`Module ${name} has two tools named ${tool.name}.`, { module: name, tool: tool.name });
    names.add(tool.name);
    const shown = `${name}__${tool.name}`;
    if (shown.length > MODEL_NAME_LIMIT)
      throw new ValidationError(
        `Models see this tool as ${shown}, which is longer than ${MODEL_NAME_LIMIT} characters; shorten a name.`,
        { module: name, tool: tool.name },
      );
  }
  for (const id of allow)
    if (!QUALIFIED.test(id))
      throw new ValidationError(
        `Module ${name} allows ${JSON.stringify(id)}, which is not a tool's id; write module.tool.`,
        { module: name, allow: id },
      );
  if (!Number.isInteger(concurrency) || concurrency < 1)
    throw new ValidationError(`Module ${name}: concurrency is ${concurrency}; use a whole number from 1.`, {
      module: name,
      concurrency,
    });
  return { kind: 'module', name, tools, allow, concurrency, start, stop };
}
