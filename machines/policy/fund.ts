import {
  add,
  amount,
  amountOf,
  boundsOf,
  limitsOf,
  RESOURCES,
  spentOf,
  type Amount,
} from '../../src/protocol/amount.ts';
import type { Limits, Resource } from '../../src/protocol/entry.ts';
import type { OwnerId, RunId } from '../../src/protocol/ids.ts';

/**
 * The budget of a tenant, from which its runs draw.
 *
 * A1. What was spent in a period and what is drawn are together at most the limit; the run itself sees to it that it spends no more than it drew.
 * A4. A new period begins with nothing spent; what is drawn by then stays drawn.
 * A5. What is drawn and spent is kept of all that a tenant can have a limit of, so that it counts when there is one later. A draw of 0 is a draw.
 */

/** What a tenant may spend. */
export interface Rules {
  limits: Limits;
  periodMs: number;
  /** What a run draws that does not say how much. */
  perRun: Limits;
}

/** Of one tenant, as it is kept. */
export interface Fund extends Rules {
  /** When this period began; whole periods since the epoch. */
  since: number;
  spent: Limits;
  open: Record<string, Drawing>;
}

/** `owners`: who creates, or has created, that run. */
export interface Drawing {
  owners: readonly OwnerId[];
  drawn: Limits;
}

/** A fund by these rules: what is spent and drawn stays. */
export function ruled(rules: Rules, before: Fund | undefined, now: number): Fund {
  const kept = before === undefined ? { spent: {}, open: {} } : current(before, now);
  return { ...rules, since: periodAt(now, rules.periodMs), spent: kept.spent, open: kept.open };
}

/** A4. */
export const current = (fund: Fund, now: number): Fund =>
  now < fund.since + fund.periodMs ? fund : { ...fund, since: periodAt(now, fund.periodMs), spent: {} };

const periodAt = (now: number, periodMs: number): number => Math.floor(now / periodMs) * periodMs;

/** A run may be named as what every object has. */
export const drawingOf = ({ open }: Fund, run: RunId): Drawing | undefined =>
  Object.hasOwn(open, run) ? open[run] : undefined;

export const drawing = (fund: Fund, run: RunId, drawn: Drawing): Fund => ({
  ...fund,
  open: { ...fund.open, [run]: drawn },
});

export function without(fund: Fund, run: RunId): Fund {
  const { [run]: _, ...open } = fund.open;
  return { ...fund, open };
}

/** It gives back what it has drawn, of which it has spent so much. */
export function settled(fund: Fund, run: RunId, cost: Limits): Fund {
  const spent = amountOf(fund.spent);
  add(spent, { ...amountOf(cost), wallClockMs: 0 });
  return { ...without(fund, run), spent: limitsOf(spent) };
}

/** More of what it has drawn, never less. */
export function raised({ owners, drawn }: Drawing, more: Limits): Drawing {
  const both: Limits = { ...drawn };
  for (const resource of RESOURCES) {
    const wants = more[resource];
    if (wants !== undefined) both[resource] = Math.max(wants, drawn[resource] ?? 0);
  }
  return { owners, drawn: both };
}

export function drawnIn({ open }: Fund): Amount {
  const all = amount();
  for (const { drawn } of Object.values(open)) add(all, amountOf(drawn));
  return all;
}

/** A1: what is over if this run draws what it is to draw; `spent`: by others, and before. */
export function overdrawn(
  fund: Fund,
  run: RunId,
): { resource: Resource; spent: number; limit: number; wanted: number } | undefined {
  const { limits, spent } = fund;
  const own = drawingOf(fund, run);
  const before = drawnIn(without(fund, run));
  add(before, amountOf(spent));
  const all = { ...before };
  add(all, amountOf(own?.drawn ?? {}));
  const [is, would, limit] = [spentOf(before), spentOf(all), spentOf(boundsOf(limits))];
  const resource = RESOURCES.find((one) => would[one] > limit[one]);
  return resource && { resource, spent: is[resource], limit: limit[resource], wanted: own?.drawn[resource] ?? 0 };
}

/** What a run draws: what it asks for (A5). `missing`: it does not say how much of what is limited there. */
export function share(asked: Limits, limits: Limits): { share: Limits } | { missing: Resource } {
  const drawn: Limits = {};
  for (const resource of RESOURCES) {
    if (resource === 'wallClockMs') continue;
    const wants = asked[resource];
    if (wants !== undefined) drawn[resource] = wants;
    else if (limits[resource] !== undefined) return { missing: resource };
  }
  return { share: drawn };
}
