import { milliseconds, type Duration } from '../protocol/duration.ts';
import { ValidationError } from '../protocol/errors.ts';
import { checkId } from '../protocol/ids.ts';
import { shown } from '../protocol/shown.ts';
import type { AnyTool, BreakerSpec, Module, RateSpec } from '../protocol/spec.ts';
import { FUNCTION, listOf, needed, ONE_TOOL, TEXT } from './expected.ts';
import { checkedOptions, type Known } from './options.ts';
import { mustCount } from './tool.ts';

export interface ModuleOptions {
  name: string;
  tools: readonly AnyTool[];
  /** Qualified ids (`module.tool`) of other modules' tools that whoever is given this module may call too. Nothing by default. */
  allow?: readonly string[];
  /** Calls under way at once in this process; 4 by default. The others wait in order. */
  concurrency?: number;
  /** Calls that begin within any such time in this process; no limit by default. The others wait in order. */
  rateLimit?: { limit: number; per: Duration };
  /**
   * A circuit breaker, for tools that share one service; none by default. After so many calls in a row that did not reach it (5),
   * calls are refused at once for a while (30 seconds), to be tried again later; then one of them tries.
   */
  breaker?: { failures?: number; cooldown?: Duration };
  /** Opens the connection, before the first call. */
  start?: Module['start'];
  /** Closes it. */
  stop?: Module['stop'];
}

const QUALIFIED = /^[A-Za-z0-9_-]{1,128}\.[A-Za-z0-9_-]{1,128}$/;
const MODEL_NAME_LIMIT = 64;
const MAX_RATE_LIMIT = 10_000;

const OPTIONS: Known<ModuleOptions> = {
  name: true,
  tools: needed(listOf(ONE_TOOL)),
  allow: listOf(TEXT),
  concurrency: true,
  rateLimit: true,
  breaker: true,
  start: FUNCTION,
  stop: FUNCTION,
};
const RATE_LIMIT: Known<Rate> = { limit: true, per: true };
const BREAKER: Known<Breaker> = { failures: true, cooldown: true };
type Rate = NonNullable<ModuleOptions['rateLimit']>;
type Breaker = NonNullable<ModuleOptions['breaker']>;

/** Tools that share a connection, an allowlist and limits. @throws ValidationError */
export function module(options: ModuleOptions): Module {
  const { name, tools, allow = [], concurrency = 4, ...rest } = checkedOptions(options, OPTIONS, 'module()');
  const { rateLimit, breaker, start, stop } = rest;
  checkId(name, 'module name');
  checkTools(name, tools);
  for (const id of allow)
    if (!QUALIFIED.test(id))
      throw new ValidationError(`Module ${name} allows ${shown(id)}, which is not a tool's id; write module.tool.`, {
        module: name,
        allow: id,
      });
  return {
    kind: 'module',
    name,
    tools,
    allow,
    concurrency: mustCount(concurrency, `concurrency of module ${name}`),
    rateLimit: rateLimit === undefined ? undefined : rateSpec(rateLimit, name),
    breaker: breaker === undefined ? undefined : breakerSpec(breaker, name),
    start,
    stop,
  };
}

function checkTools(module: string, tools: readonly AnyTool[]): void {
  const names = new Set<string>();
  for (const tool of tools) {
    if (names.has(tool.name))
      throw new ValidationError(`Module ${module} has two tools named ${tool.name}.`, { module, tool: tool.name });
    names.add(tool.name);
    const shown = `${module}__${tool.name}`;
    if (shown.length > MODEL_NAME_LIMIT)
      throw new ValidationError(
        `Models see this tool as ${shown}, which is longer than ${MODEL_NAME_LIMIT} characters; shorten a name.`,
        { module, tool: tool.name },
      );
  }
}

function rateSpec(rate: Rate, module: string): RateSpec {
  const { limit, per } = checkedOptions(rate, RATE_LIMIT, `rateLimit of module ${module}`);
  const perMs = milliseconds(per, `rateLimit.per of module ${module}`);
  if (perMs === 0 || mustCount(limit, `rateLimit.limit of module ${module}`) > MAX_RATE_LIMIT)
    throw new ValidationError(
      `Module ${module}: a rateLimit of ${limit} per ${perMs}ms is not kept; use at most ${MAX_RATE_LIMIT} per some time, which may be shorter.`,
      { module, limit, perMs },
    );
  return { limit, perMs };
}

function breakerSpec(breaker: Breaker, module: string): BreakerSpec {
  const { failures = 5, cooldown = '30s' } = checkedOptions(breaker, BREAKER, `breaker of module ${module}`);
  return {
    failures: mustCount(failures, `breaker.failures of module ${module}`),
    cooldownMs: milliseconds(cooldown, `breaker.cooldown of module ${module}`),
  };
}
