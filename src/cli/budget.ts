import type { BudgetOptions } from '../define/budget.ts';
import { ValidationError } from '../protocol/errors.ts';

/** What a budget is given as on a command line. */
export interface BudgetFlags {
  budget?: string;
  steps?: number;
  onExhausted?: BudgetOptions['onExhausted'];
}

/** `usd=0.5,tokens=50000,wallClock=10m,reserve.tokens=500`; undefined where nothing is said. What the limits may be, the API says. @throws ValidationError */
export function budgetOf({ budget, steps, onExhausted }: BudgetFlags): BudgetOptions | undefined {
  const limits: Record<string, unknown> = {};
  const reserve: Record<string, unknown> = {};
  for (const part of budget?.split(',') ?? []) {
    const [, kept, name, value] = /^\s*(reserve\.)?(\w+)=(.+?)\s*$/.exec(part) ?? [];
    if (name === undefined || value === undefined)
      throw new ValidationError(
        `--budget has '${part}', which is no limit; as in: --budget usd=0.5,tokens=50000,steps=10,toolCalls=5,wallClock=10m`,
        { part },
      );
    (kept === undefined ? limits : reserve)[name] = name === 'wallClock' ? value : Number(value);
  }
  if (steps !== undefined) limits['steps'] = steps;
  if (onExhausted !== undefined) limits['onExhausted'] = onExhausted;
  if (Object.keys(reserve).length > 0) limits['reserve'] = reserve;
  return Object.keys(limits).length === 0 ? undefined : (limits as BudgetOptions);
}
