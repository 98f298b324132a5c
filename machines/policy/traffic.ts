import type { RateSpec } from '../../src/protocol/spec.ts';
import { begun, nextAt, type Begins } from './rate.ts';

/** Calls that may wait for their turn; one more is refused. */
export const MAX_WAITING = 10_000;
/** No timer is longer. */
const MAX_DELAY_MS = 2 ** 31 - 1;

export interface Limits {
  concurrency: number;
  /** Of the tools that have one of their own. */
  toolConcurrency: ReadonlyMap<string, number>;
  rateLimit: RateSpec | undefined;
}

/** A ticket is one call's. */
export interface Caller {
  ticket: number;
  tool: string;
}

/** The calls of a module. Times are in ms and come in with the events. */
export interface Traffic {
  active: number;
  /** Of the tools that have a limit of their own. */
  activeByTool: ReadonlyMap<string, number>;
  /** In order of arrival. */
  waiting: readonly Caller[];
  begins: Begins;
}

export const NO_TRAFFIC: Traffic = { active: 0, activeByTool: new Map(), waiting: [], begins: [] };

/** Grants calls that wait, at most `most`: first come, first served, but one whose tool is busy lets others pass. */
export function served(
  traffic: Traffic,
  { concurrency, toolConcurrency, rateLimit }: Limits,
  now: number,
  most = Infinity,
): { granted: readonly number[]; traffic: Traffic } {
  const { waiting } = traffic;
  let { active, activeByTool, begins } = traffic;
  const granted: number[] = [];
  const passed: Caller[] = [];
  const room = (): boolean => active < concurrency && granted.length < most && nextAt(begins, rateLimit) <= now;
  let index = 0;
  for (; index < waiting.length && room(); index += 1) {
    const caller = waiting[index] as Caller;
    const limit = toolConcurrency.get(caller.tool);
    const busy = activeByTool.get(caller.tool) ?? 0;
    if (limit !== undefined && busy >= limit) {
      passed.push(caller);
      continue;
    }
    granted.push(caller.ticket);
    active += 1;
    begins = begun(begins, rateLimit, now);
    if (limit !== undefined) activeByTool = new Map(activeByTool).set(caller.tool, busy + 1);
  }
  // The line may be long: it is not copied for nothing.
  if (granted.length === 0) return { granted, traffic };
  return { granted, traffic: { active, activeByTool, waiting: [...passed, ...waiting.slice(index)], begins } };
}

export const joined = (traffic: Traffic, { ticket, tool }: Caller): Traffic => ({
  ...traffic,
  waiting: [...traffic.waiting, { ticket, tool }],
});

/** Gave up waiting. */
export const left = (traffic: Traffic, ticket: number): Traffic => ({
  ...traffic,
  waiting: traffic.waiting.filter((caller) => caller.ticket !== ticket),
});

/** Was under way, and has ended. */
export function released(traffic: Traffic, { tool }: Caller): Traffic {
  const { active, activeByTool } = traffic;
  const busy = activeByTool.get(tool);
  return {
    ...traffic,
    active: active - 1,
    activeByTool: busy === undefined ? activeByTool : new Map(activeByTool).set(tool, busy - 1),
  };
}

/** When somebody who waits may begin, if only the rate limit keeps them. */
export function turnOf({ waiting, active, begins }: Traffic, limits: Limits, now: number): number | undefined {
  const next = nextAt(begins, limits.rateLimit);
  const kept = waiting.length > 0 && active < limits.concurrency && next > now;
  return kept ? Math.min(next, now + MAX_DELAY_MS) : undefined;
}
