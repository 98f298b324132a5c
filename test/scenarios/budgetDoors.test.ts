import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { childRun, tool, ValidationError } from '../../src/index.ts';
import { openedWith } from '../support/opened.ts';

/** Budgets and options as no honest caller writes them: none of them may be a budget without limits. */

const opened = openedWith();
const work = tool({ name: 'work', description: 'Works', inputSchema: z.object({}), effect: 'read', execute: () => 1 });

const BUDGETS: [string, unknown][] = [
  ['null', null],
  ['an array', []],
  ['a number', 5],
  ['a text', 'steps=5'],
  ['a map', new Map([['steps', 5]])],
  ['limits that are inherited', Object.create({ steps: 5 })],
  ['a limit that is null', { steps: null }],
  ['a name that nobody knows', { step: 5 }],
  ['a reserve that is null', { steps: 5, reserve: null }],
  ['a reserve that is an array', { steps: 5, reserve: [] }],
];

describe.each(BUDGETS)('a budget that is %s', (_, budget) => {
  test('begins no run, and raises none', async () => {
    const troupe = await opened();
    await expect(troupe.start(work, {}, { budget } as never)).rejects.toBeInstanceOf(ValidationError);
    expect(await troupe.runs()).toEqual([]);
    const run = await troupe.start(work, {});
    await run.result();
    if (budget !== null)
      await expect(troupe.fork(run.id, { at: 2, budget } as never)).rejects.toBeInstanceOf(ValidationError);
    expect(() => childRun(work, { budget } as never)).toThrow(ValidationError);
  });
});

describe('options', () => {
  const closest = (refused: unknown): string => (refused as ValidationError).message;

  test('that nobody knows are refused, and the nearest is named', async () => {
    const troupe = await opened();
    const start = await troupe.start(work, {}, { bugdet: { steps: 1 } } as never).catch((error: unknown) => error);
    expect(start).toBeInstanceOf(ValidationError);
    expect(closest(start)).toBe("start() has no option 'bugdet'; closest: budget.");
    await troupe.start(work, {}, { id: 'one' });
    const fork = await troupe.fork('one', { bugdet: { steps: 1 } } as never).catch((error: unknown) => error);
    expect(closest(fork)).toBe("fork() has no option 'bugdet'; closest: budget.");
    const set = await troupe.setBudget({ tenant: 'a', period: '1d', token: 5 } as never).catch((e: unknown) => e);
    expect(closest(set)).toBe("setBudget() has no option 'token'; closest: tokens.");
  });

  test.each([[null], [undefined], [5], [[]]])('that are %j are none', async (options) => {
    const troupe = await opened();
    await expect(troupe.setBudget(options as never)).rejects.toBeInstanceOf(ValidationError);
    if (options !== undefined)
      await expect(troupe.start(work, {}, options as never)).rejects.toBeInstanceOf(ValidationError);
  });

  test('of a tenant: what each run may spend is an object of limits', async () => {
    const troupe = await opened();
    const budget = { tenant: 'a', period: '1d', tokens: 5, perRun: null };
    await expect(troupe.setBudget(budget as never)).rejects.toBeInstanceOf(ValidationError);
  });
});
