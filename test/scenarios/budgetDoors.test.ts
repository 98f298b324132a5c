import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { childRun, tool, ValidationError, type RunHandle } from '../../src/index.ts';
import { openedWith } from '../support/opened.ts';

/** Budgets and options as no honest caller writes them: none of them may be a budget without limits. */

const opened = openedWith();
const work = tool({ name: 'work', description: 'Works', inputSchema: z.object({}), effect: 'read', execute: () => 1 });
const pay = tool({
  name: 'pay',
  description: 'Pays',
  inputSchema: z.object({}),
  needsApproval: true,
  execute: () => 1,
});

const BUDGETS: [string, unknown][] = [
  ['null', null],
  ['an array', []],
  ['a number', 5],
  ['no number', NaN],
  ['zero', 0],
  ['false', false],
  ['an empty text', ''],
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

  test('of a child run that nobody knows are refused, and it takes a definition', () => {
    const wrong = (begin: () => unknown): string => {
      try {
        begin();
      } catch (error) {
        return closest(error);
      }
      return 'taken';
    };
    expect(wrong(() => childRun(work, { budgets: { steps: 1 } } as never))).toBe(
      "childRun() has no option 'budgets'; closest: budget.",
    );
    expect(wrong(() => childRun(undefined as never))).toContain('must be a definition');
  });

  const ASKED: [string, string, (run: RunHandle) => Promise<unknown>][] = [
    ['send', 'causes', (run) => run.send({ type: 'GO' }, { causes: 'x' } as never)],
    ['pause', 'By', (run) => run.pause('why', { By: 'ana' } as never)],
    ['resume', 'budgets', (run) => run.resume({ budgets: { steps: 1 } } as never)],
    ['checkpoint', 'By', (run) => run.checkpoint('one', { By: 'ana' } as never)],
    ['approve', 'Hash', (run) => run.approve('body', { Hash: 'of another call' } as never)],
    ['deny', 'Hash', (run) => run.deny('body', { Hash: 'of another call' } as never)],
    ['resolve', 'By', (run) => run.resolve('body', { retry: true }, { By: 'ana' } as never)],
    ['kill', 'graze', (run) => run.kill('why', { graze: '1s' } as never)],
  ];

  test.each(ASKED)('of %s that nobody knows are refused, and nothing is recorded', async (method, name, ask) => {
    const troupe = await opened();
    const run = (await troupe.start(pay, {})) as RunHandle;
    await run.settled();
    const { entries } = await run.summary();
    const refused = await ask(run).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ValidationError);
    expect(closest(refused)).toContain(`${method}() has no option '${name}'`);
    expect((await run.summary()).entries).toBe(entries);
  });

  test('of a kill at the troupe that nobody knows are refused', async () => {
    const troupe = await opened();
    const killing = troupe.kill('one', 'why', { graze: '1s' } as never).catch((error: unknown) => error);
    expect(closest(await killing)).toBe("kill() has no option 'graze'; closest: grace.");
  });

  test('of a tenant: what each run may spend is an object of limits', async () => {
    const troupe = await opened();
    const budget = { tenant: 'a', period: '1d', tokens: 5, perRun: null };
    await expect(troupe.setBudget(budget as never)).rejects.toBeInstanceOf(ValidationError);
  });
});
