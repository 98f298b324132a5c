import type { Limits, Resource, Spent } from './entry.ts';
import { ValidationError } from './errors.ts';
import { forsake } from './forsaken.ts';
import { text } from './shown.ts';

/** What is spent and reserved, in whole units, so that sums are exact: money in nano-dollars, as 0.1 + 0.2 is not 0.3. */
export interface Amount {
  tokens: number;
  nanoUsd: number;
  steps: number;
  toolCalls: number;
  wallClockMs: number;
}

const NANO = 1e9;

export const amount = (): Amount => ({ tokens: 0, nanoUsd: 0, steps: 0, toolCalls: 0, wallClockMs: 0 });

/** Where most calls reserve nothing, they share it. */
export const NOTHING: Readonly<Amount> = Object.freeze(amount());

/** What is not limited is Infinity. */
export const boundsOf = (limits: Limits | null): Amount => ({
  tokens: limits?.tokens ?? Infinity,
  nanoUsd: limits?.usd === undefined ? Infinity : nano(limits.usd),
  steps: limits?.steps ?? Infinity,
  toolCalls: limits?.toolCalls ?? Infinity,
  wallClockMs: limits?.wallClockMs ?? Infinity,
});

/** What is not in it is 0. */
export const amountOf = ({ tokens = 0, usd = 0, steps = 0, toolCalls = 0, wallClockMs = 0 }: Limits): Amount => ({
  tokens,
  nanoUsd: nano(usd),
  steps,
  toolCalls,
  wallClockMs,
});

export function add(to: Amount, more: Readonly<Amount>): void {
  to.tokens += more.tokens;
  to.nanoUsd += more.nanoUsd;
  to.steps += more.steps;
  to.toolCalls += more.toolCalls;
  to.wallClockMs += more.wallClockMs;
}

export function subtract(from: Amount, less: Readonly<Amount>): void {
  from.tokens -= less.tokens;
  from.nanoUsd -= less.nanoUsd;
  from.steps -= less.steps;
  from.toolCalls -= less.toolCalls;
  from.wallClockMs -= less.wallClockMs;
}

export const larger = (a: Readonly<Amount>, b: Readonly<Amount>): Amount => ({
  tokens: Math.max(a.tokens, b.tokens),
  nanoUsd: Math.max(a.nanoUsd, b.nanoUsd),
  steps: Math.max(a.steps, b.steps),
  toolCalls: Math.max(a.toolCalls, b.toolCalls),
  wallClockMs: Math.max(a.wallClockMs, b.wallClockMs),
});

export const isWithin = (a: Readonly<Amount>, b: Readonly<Amount>): boolean =>
  a.tokens <= b.tokens &&
  a.nanoUsd <= b.nanoUsd &&
  a.steps <= b.steps &&
  a.toolCalls <= b.toolCalls &&
  a.wallClockMs <= b.wallClockMs;

export const spentOf = ({ tokens, nanoUsd, steps, toolCalls, wallClockMs }: Readonly<Amount>): Spent => ({
  tokens,
  usd: nanoUsd / NANO,
  steps,
  toolCalls,
  wallClockMs,
});

/** As it is shown and kept: what is 0, or Infinity, is left out. */
export function limitsOf({ tokens, nanoUsd, steps, toolCalls, wallClockMs }: Readonly<Amount>): Limits {
  // Of every call that costs something: written out, as a loop over the resources takes five times as long.
  const limits: Limits = {};
  if (isShown(tokens)) limits.tokens = tokens;
  if (isShown(nanoUsd)) limits.usd = nanoUsd / NANO;
  if (isShown(steps)) limits.steps = steps;
  if (isShown(toolCalls)) limits.toolCalls = toolCalls;
  if (isShown(wallClockMs)) limits.wallClockMs = wallClockMs;
  return limits;
}

const isShown = (value: number): boolean => value !== 0 && value !== Infinity;

export const RESOURCES: readonly Resource[] = ['tokens', 'usd', 'steps', 'toolCalls', 'wallClockMs'];

const nano = (usd: number): number => Math.round(usd * NANO);
export const dollars = (nanoUsd: number): number => nanoUsd / NANO;

/** So many that sums of them are exact, and none of them is Infinity. */
export const isUsd = (usd: unknown): usd is number =>
  typeof usd === 'number' && usd >= 0 && Number.isSafeInteger(nano(usd));

/** What a call costs, as users say it. @throws ValidationError */
export function costOf(cost: unknown, what: string): Amount {
  forsake(cost);
  if (!isPlain(cost)) throw unfit(what, 'it', cost);
  const { tokens = 0, usd = 0 } = cost;
  if (!Number.isSafeInteger(tokens) || (tokens as number) < 0) throw unfit(what, 'tokens', tokens);
  if (!isUsd(usd)) throw unfit(what, 'usd', usd);
  for (const name in cost) if (name !== 'tokens' && name !== 'usd') throw unfit(what, name, 'not counted so');
  return { tokens: tokens as number, nanoUsd: nano(usd), steps: 0, toolCalls: 0, wallClockMs: 0 };
}

/** A promise of a cost, or an array of costs, has none. Of another realm it is plain, too. */
function isPlain(value: unknown): value is { tokens?: unknown; usd?: unknown } {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || (Object.getPrototypeOf(prototype) === null && !Array.isArray(value));
}

const unfit = (what: string, name: string, value: unknown): ValidationError =>
  new ValidationError(
    `The ${what} is not a cost: ${name} is ${text(value)}. Use { tokens, usd }: whole tokens and US dollars, each from 0 and at most 9 million dollars.`,
    { what, path: name, value: text(value) },
  );
