import { amountOf, boundsOf, dollars, RESOURCES, spentOf, type Amount } from '../../src/protocol/amount.ts';
import type { Budget, Exhausted, Limits, Resource } from '../../src/protocol/entry.ts';

/**
 * Whether a call may begin, by what its run has spent and holds back.
 *
 * B1. What is spent and what is reserved are together at most the limit, at every entry. A call that charges more than it had reserved is
 *     the one exception: what it has cost is counted, and nothing that would cost more is granted after it.
 * B2. A child's limits are at most what is left of its parent's.
 */

export interface Over {
  resource: Resource;
  spent: number;
  /** Held back by calls that are under way; absent: nothing. */
  reserved?: number;
  limit: number;
}

/** What holds now: without the reserve, which is for the last turn. */
export function boundsIn(budget: Budget | null, wrappingUp: boolean): Amount {
  const bounds = boundsOf(budget);
  if (budget?.onExhausted !== 'handBack' || wrappingUp) return bounds;
  const reserve = amountOf(budget.reserve ?? {});
  for (const resource of Object.keys(bounds) as (keyof Amount)[])
    bounds[resource] = Math.max(0, bounds[resource] - reserve[resource]);
  return bounds;
}

/** What is over if one more call is granted: it takes a step, some time, and what it reserves. */
export function overIfGranted(
  bounds: Readonly<Amount>,
  spent: Readonly<Amount>,
  reserved: Readonly<Amount>,
  wants: Readonly<Amount>,
): Over | undefined {
  if (spent.tokens + reserved.tokens + wants.tokens > bounds.tokens) return over('tokens', bounds, spent, reserved);
  if (spent.nanoUsd + reserved.nanoUsd + wants.nanoUsd > bounds.nanoUsd) return over('usd', bounds, spent, reserved);
  if (spent.steps + reserved.steps + wants.steps + 1 > bounds.steps) return over('steps', bounds, spent, reserved);
  if (spent.toolCalls + reserved.toolCalls + wants.toolCalls > bounds.toolCalls)
    return over('toolCalls', bounds, spent, reserved);
  if (spent.wallClockMs + 1 > bounds.wallClockMs) return over('wallClockMs', bounds, spent, reserved);
  return undefined;
}

/** What is over by what a call has charged beyond what it had reserved: within that it is never refused. */
export function overByCharge(
  bounds: Readonly<Amount>,
  spent: Readonly<Amount>,
  reserved: Readonly<Amount>,
  beyond: { tokens: boolean; usd: boolean },
): Over | undefined {
  if (beyond.tokens && spent.tokens + reserved.tokens > bounds.tokens) return over('tokens', bounds, spent, reserved);
  if (beyond.usd && spent.nanoUsd + reserved.nanoUsd > bounds.nanoUsd) return over('usd', bounds, spent, reserved);
  return undefined;
}

/** What is spent and what is held back are told apart. */
export function over(
  resource: Resource,
  bounds: Readonly<Amount>,
  spent: Readonly<Amount>,
  reserved: Readonly<Amount>,
): Over {
  const held = spentOf(reserved)[resource];
  return {
    resource,
    spent: spentOf(spent)[resource],
    ...(held > 0 && { reserved: held }),
    limit: spentOf(bounds)[resource],
  };
}

/** What becomes of a run whose budget is spent. There is one last turn, and only for a body that knows of it; in it a run fails. */
export function exhausted(
  budget: Budget | null,
  { wrappingUp, canWrapUp }: { wrappingUp: boolean; canWrapUp: boolean },
): Exhausted {
  const asked = budget?.onExhausted ?? 'fail';
  return wrappingUp || (asked === 'handBack' && !canWrapUp) ? 'fail' : asked;
}

/** What is left, of what is limited. */
export function leftOf(bounds: Readonly<Amount>, spent: Readonly<Amount>, reserved: Readonly<Amount>): Limits {
  const left: Limits = {};
  if (bounds.tokens !== Infinity) left.tokens = Math.max(0, bounds.tokens - spent.tokens - reserved.tokens);
  if (bounds.nanoUsd !== Infinity) left.usd = dollars(Math.max(0, bounds.nanoUsd - spent.nanoUsd - reserved.nanoUsd));
  if (bounds.steps !== Infinity) left.steps = Math.max(0, bounds.steps - spent.steps - reserved.steps);
  if (bounds.toolCalls !== Infinity)
    left.toolCalls = Math.max(0, bounds.toolCalls - spent.toolCalls - reserved.toolCalls);
  if (bounds.wallClockMs !== Infinity) left.wallClockMs = Math.max(0, bounds.wallClockMs - spent.wallClockMs);
  return left;
}

/** Of what is left, what somebody gets who asks for so much: one who does not say how much gets all of it. */
export function allotment(asked: Limits | null, left: Limits): Limits {
  const given: Limits = {};
  for (const resource of RESOURCES) {
    const least = Math.min(asked?.[resource] ?? Infinity, left[resource] ?? Infinity);
    if (least !== Infinity) given[resource] = least;
  }
  return given;
}
