import { describe, expect, test } from 'vitest';
import { ValidationError, type BudgetOptions } from '../../src/index.ts';
import { accountOf, mustStayWithin } from '../support/accounts.ts';
import { entriesOf, firstOf } from '../support/entries.ts';
import { Calls, fanOut, leaving, MANY } from '../support/spending.ts';
import { until } from '../support/simulatedClock.ts';
import { openedWith } from '../support/opened.ts';

/** What a run may spend, and what becomes of it when that is spent. */

const opened = openedWith();

describe('a hundred calls at once', () => {
  test.each<[BudgetOptions, number]>([
    [{ tokens: 505 }, 50],
    [{ usd: 0.3 }, 3],
    [{ steps: 42 }, 42],
  ])('with %j begin as often as that allows, and never more', async (budget, allowed) => {
    const [calls, troupe] = [new Calls(), await opened()];
    const run = await troupe.start(fanOut(calls, { tokens: 10, usd: 0.1 }), undefined, { budget });
    const { success, error, metadata } = await run.result();
    expect([success, error?.code, metadata.status]).toEqual([false, 'BUDGET_EXCEEDED', 'failed']);
    expect(calls.begun).toBe(allowed);
    const entries = await entriesOf(run);
    expect(entries.filter(({ type }) => type === 'budget.exceeded')).toHaveLength(1);
    mustStayWithin(entries);
    expect(await troupe.replay(run.id)).toMatchObject({ status: 'failed' });
  });

  test('that wait for a larger budget begin with that, each once', async () => {
    const [calls, troupe] = [new Calls(), await opened()];
    const budget = { tokens: 500, onExhausted: 'pause' } as const;
    const run = await troupe.start(fanOut(calls, { tokens: 10 }), undefined, { budget });
    await until(() => run.status === 'paused', 'it is paused');
    expect(calls.begun).toBe(50);
    // Without a larger one it pauses again.
    await run.resume();
    await until(() => run.status === 'paused', 'it is paused again');
    expect(calls.begun).toBe(50);
    await run.resume({ budget: { tokens: 1_000 } });
    await until(() => calls.begun === MANY, 'all have begun');
    calls.answer();
    const result = await run.result();
    expect([result.data, result.metadata.steps]).toEqual([MANY, MANY]);
    const entries = await entriesOf(run);
    mustStayWithin(entries);
    expect(accountOf(entries)).toMatchObject({ limits: { tokens: 1_000 }, spent: { tokens: 1_000, steps: MANY } });
  });

  test('cost what their input says', async () => {
    const [calls, troupe] = [new Calls(), await opened()];
    const run = await troupe.start(
      fanOut(calls, (input) => ({ tokens: input })),
      undefined,
      { budget: { tokens: 10 } },
    );
    // 0 + 1 + 2 + 3 + 4
    expect([(await run.result()).success, calls.begun]).toEqual([false, 5]);
  });

  test('are refused one by one where their cost cannot be told', async () => {
    const [calls, troupe] = [new Calls(), await opened()];
    const run = await troupe.start(
      fanOut(calls, () => ({ tokens: NaN })),
      undefined,
      { budget: { tokens: 10 } },
    );
    expect(await run.result()).toMatchObject({ success: false });
    expect(calls.begun).toBe(0);
    expect((await entriesOf(run)).find(({ type }) => type === 'leaf.failed')).toMatchObject({
      event: { error: { code: 'VALIDATION', notPerformed: true } },
    });
  });
});

test.each<BudgetOptions>([{ usd: 1e300 }, { usd: Number.MAX_VALUE }, { wallClock: 1e300 }, { tokens: 1e300 }])(
  'a limit that cannot be counted is refused: %j',
  async (budget) => {
    const troupe = await opened();
    await expect(troupe.start(leaving({}), undefined, { budget })).rejects.toBeInstanceOf(ValidationError);
  },
);

test('a larger budget replaces what it names, and nothing else', async () => {
  const [calls, troupe] = [new Calls(), await opened()];
  const budget = { tokens: 100, usd: 1, onExhausted: 'pause' } as const;
  const run = await troupe.start(fanOut(calls, { tokens: 10 }), undefined, { budget });
  await until(() => run.status === 'paused', 'it is paused');
  await run.resume({ budget: { tokens: 200 } });
  await until(() => calls.begun === 20, 'the larger one is spent');
  await until(() => run.status === 'paused', 'it is paused again');
  const resumed = await firstOf(run, 'run.resumed');
  expect(resumed?.event).toMatchObject({ budget: { tokens: 200, usd: 1, onExhausted: 'pause' } });
});
