import { isUsd } from '../protocol/amount.ts';
import { milliseconds, type Duration } from '../protocol/duration.ts';
import type { Budget, Exhausted, Limits } from '../protocol/entry.ts';
import { ValidationError } from '../protocol/errors.ts';
import type { Failure } from '../protocol/exit.ts';
import { shown, text } from '../protocol/shown.ts';
import type { Expected } from './expected.ts';
import { isReadable, mustBe } from './options.ts';

/** What a run may spend of. `usd` in US dollars. */
export interface LimitOptions extends Omit<Limits, 'wallClockMs'> {
  /** Time in which a call is under way and the run is not paused. */
  wallClock?: Duration;
}

/** Hard limits of a run and of all that it begins. */
export interface BudgetOptions extends LimitOptions {
  /** What becomes of the run when a limit is reached: `fail` by default. */
  onExhausted?: Exhausted;
  /** Of the limits: kept back for one last turn without tools, with `onExhausted: 'handBack'`. */
  reserve?: LimitOptions;
}

/** What a machine is told whose budget is spent, with `onExhausted: 'handBack'`: it has one last turn. To be among its events, and handled. */
export interface WrapUp {
  type: 'troupe.wrapUp';
  /** Which limit was reached. */
  error: Failure;
}

const WHOLE = ['tokens', 'steps', 'toolCalls'] as const;
const KNOWN = [...WHOLE, 'usd', 'wallClock'];
const EXHAUSTED: readonly unknown[] = ['fail', 'pause', 'handBack'] satisfies Exhausted[];

/** As it is kept; null: no limits. @throws ValidationError */
export function checkedBudget(budget: BudgetOptions | undefined): Budget | null {
  if (budget === undefined) return null;
  const { onExhausted, reserve, ...limits } = readOnce(budget, 'budget');
  if (onExhausted !== undefined && !EXHAUSTED.includes(onExhausted))
    throw new ValidationError(`budget.onExhausted is ${shown(onExhausted)}; it is one of ${EXHAUSTED.join(', ')}.`, {
      path: 'budget.onExhausted',
      onExhausted,
    });
  return {
    ...checkedLimits(limits, 'budget'),
    ...(onExhausted !== undefined && { onExhausted }),
    ...(reserve !== undefined && { reserve: checkedLimits(reserve, 'budget.reserve') }),
  };
}

/** @throws ValidationError */
export function checkedLimits(given: LimitOptions, path: string): Limits {
  const limits = readOnce(given, path);
  const checked: Limits = {};
  for (const name of Object.keys(limits))
    if (!KNOWN.includes(name))
      throw new ValidationError(`${path} has no limit '${name}'; known: ${KNOWN.join(', ')}.`, {
        path: `${path}.${name}`,
      });
  for (const name of WHOLE) {
    const limit = limits[name];
    if (limit === undefined) continue;
    if (!Number.isSafeInteger(limit) || limit < 0)
      throw new ValidationError(`${path}.${name} is ${text(limit)}; use a whole number from 0.`, {
        path: `${path}.${name}`,
        [name]: limit,
      });
    checked[name] = limit;
  }
  const { usd, wallClock } = limits;
  if (usd !== undefined) {
    if (!isUsd(usd))
      throw new ValidationError(
        `${path}.usd is ${text(usd)}; use US dollars from 0, at most 9 million. What is not named is not limited.`,
        { path: `${path}.usd`, usd },
      );
    checked.usd = usd;
  }
  if (wallClock !== undefined) {
    const ms = milliseconds(wallClock, `${path}.wallClock`);
    if (ms > MAX_TIME_MS)
      throw new ValidationError(`${path}.wallClock is ${ms} ms; use ten years at most.`, {
        path: `${path}.wallClock`,
        wallClock,
      });
    checked.wallClockMs = ms;
  }
  return checked;
}

const LIMITS: Expected = {
  what: 'an object of limits, as in { steps: 10 }, where what is not named is not limited',
  is: isReadable,
};

/** What is no object of limits would be a budget without any. @throws ValidationError */
function readOnce<T extends LimitOptions>(limits: T, path: string): T {
  mustBe(limits, LIMITS, path, path);
  return { ...limits };
}

/** In ms. @throws ValidationError */
export function checkedPeriod(period: Duration): number {
  const periodMs = milliseconds(period, 'period of the budget');
  if (periodMs >= MIN_PERIOD_MS && periodMs <= MAX_TIME_MS) return periodMs;
  throw new ValidationError(
    `The period of a budget is ${periodMs} ms; use a second at least and ten years ('3650d') at most.`,
    { periodMs },
  );
}

const MIN_PERIOD_MS = 1_000;
const MAX_TIME_MS = 3_650 * 86_400_000;
