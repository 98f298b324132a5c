import { describe, expect, it } from 'vitest';
import { budgetOf } from '../../../src/cli/budget.ts';
import { spentText } from '../../../src/cli/spent.ts';
import { checkedBudget } from '../../../src/define/budget.ts';

const spent = { tokens: 0, usd: 0, steps: 0, toolCalls: 0, wallClockMs: 0 };

describe('a budget on a command line', () => {
  it('is what the API takes', () => {
    const budget = 'usd=0.5,tokens=50000, steps=10 ,toolCalls=5,wallClock=10m,reserve.tokens=500';
    expect(checkedBudget(budgetOf({ budget, onExhausted: 'handBack' }))).toEqual({
      usd: 0.5,
      tokens: 50_000,
      steps: 10,
      toolCalls: 5,
      wallClockMs: 600_000,
      onExhausted: 'handBack',
      reserve: { tokens: 500 },
    });
    expect(budgetOf({ steps: 3 })).toEqual({ steps: 3 });
    expect(budgetOf({})).toBeUndefined();
  });

  it('is refused where it says nothing, or something unknown', () => {
    for (const budget of ['', 'usd', 'usd=', '=1', 'usd=1,,steps=2'])
      expect(() => budgetOf({ budget })).toThrow('which is no limit; as in: --budget usd=0.5');
    for (const name of ['money', '__proto__', 'constructor'])
      expect(() => checkedBudget(budgetOf({ budget: `${name}=1` }))).toThrow(`no limit '${name}'`);
    for (const twice of [{ budget: 'steps=1,steps=200' }, { budget: 'steps=1', steps: 2 }])
      expect(() => budgetOf(twice)).toThrow('says twice what steps may be');
    expect(() => budgetOf({ budget: 'usd=1,reserve.usd=1,reserve.usd=2' })).toThrow('says twice what usd may be');
    expect(() => checkedBudget(budgetOf({ budget: 'usd=much' }))).toThrow('budget.usd is much');
    for (const written of ['0x10', '1e3', '-1', 'Infinity', '1_000'])
      expect(() => checkedBudget(budgetOf({ budget: `usd=${written}` }))).toThrow(
        `budget.usd is ${written}; use US dollars`,
      );
    expect(() => checkedBudget(budgetOf({ budget: 'wallClock=10' }))).toThrow(
      "'wallClock=10', which is not a duration: say ms, s, m, h or d, as in wallClock=10m",
    );
  });

  it('and what is spent of it are told by the same names', () => {
    const limits = { usd: 0.5, steps: 10, wallClockMs: 600_000 };
    expect(spentText(limits, { ...spent, usd: 0.1 + 0.2, steps: 3, wallClockMs: 65_000 })).toBe(
      'usd 0.3 of 0.5, steps 3 of 10, wallClock 1m 5s of 10m 0s',
    );
    expect(spentText({}, { ...spent, steps: 3 })).toBe('');
    expect(spentText({}, { ...spent, tokens: 12 })).toBe('tokens 12');
  });
});
