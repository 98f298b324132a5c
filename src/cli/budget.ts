import type { BudgetOptions } from '../define/budget.ts';
import { ValidationError } from '../protocol/errors.ts';

/** What a budget is given as on a command line. */
export interface BudgetFlags {
  budget?: string;
  steps?: number;
  onExhausted?: BudgetOptions['onExhausted'];
}

const DECIMAL = /^\d*\.?\d+$/;

/** `usd=0.5,tokens=50000,wallClock=10m,reserve.tokens=500`; undefined where nothing is said. What the limits may be, the API says. @throws ValidationError */
export function budgetOf({ budget, steps, onExhausted }: BudgetFlags): BudgetOptions | undefined {
  const limits = new Map<string, unknown>();
  const reserve = new Map<string, unknown>();
  const name = (of: Map<string, unknown>, limit: string, value: unknown): void => {
    if (of.has(limit)) throw new ValidationError(`The budget says twice what ${limit} may be; say it once.`, { limit });
    of.set(limit, value);
  };
  for (const part of budget?.split(',') ?? []) {
    const [, kept, limit, value] = /^\s*(reserve\.)?(\w+)=(.+?)\s*$/.exec(part) ?? [];
    if (limit === undefined || value === undefined)
      throw new ValidationError(
        `--budget has '${part}', which is no limit; as in: --budget usd=0.5,tokens=50000,steps=10,toolCalls=5,wallClock=10m`,
        { part },
      );
    if (limit === 'wallClock' && DECIMAL.test(value))
      throw new ValidationError(
        `--budget has '${part}', which is not a duration: say ms, s, m, h or d, as in wallClock=10m`,
        { part },
      );
    // Anything else, a hexadecimal number say, is told back as it is written.
    name(kept === undefined ? limits : reserve, limit, DECIMAL.test(value) ? Number(value) : value);
  }
  if (steps !== undefined) name(limits, 'steps', steps);
  if (onExhausted !== undefined) name(limits, 'onExhausted', onExhausted);
  if (reserve.size > 0) name(limits, 'reserve', Object.fromEntries(reserve));
  // Whatever it is called, what was said is an own field, so that the API refuses it.
  return limits.size === 0 ? undefined : (Object.fromEntries(limits) as BudgetOptions);
}
